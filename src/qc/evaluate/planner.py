"""How many labels, over how many shifts and reviewer minutes, for an interval of +-x points? And what cannot be had.

The answer is found by trying: a budget is turned into the plan that the line would use (``label.plan.design_plan``), 200
seeded windows are drawn from the assumed world and put through the estimators, and the labels are varied by halves
until the mean half-width meets the target. So the planner cannot promise what the estimators do not keep; it is as right as
the assumed rates and the assumed shape of the scores (two normal densities of equal width with the stated DR and FPR, the
shape of a well-behaved model; a share of defects that look like good parts costs more, see W3 in docs/monitoring.md).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from qc.domain.errors import SamplingError
from qc.evaluate.sample import Floats, StratumCounts, merge_thin_strata
from qc.evaluate.stratified import detection_rate_intervals, false_positive_rate_intervals
from qc.label.plan import PlanBudget, design_plan

WINDOWS_TRIED = 200
REFERENCE_PARTS = 20_000
MOST_LABELS = 1_000_000

PlannedMetric = Literal["detection_rate", "false_positive_rate"]


@dataclass(frozen=True, slots=True)
class LabelQuestion:
    """half_width and all rates in [0, 1]. labels_per_window, most_windows: what the plant can afford."""

    half_width: float
    prevalence: float
    metric: PlannedMetric = "detection_rate"
    detection_rate: float = 0.94
    false_positive_rate: float = 0.08
    parts_per_window: int = 5000
    labels_per_window: int = 60
    most_windows: int = 1000
    verify_all_rejects: bool = False
    exploration: float = 0.3
    seconds_per_label: float = 6.0

    def __post_init__(self) -> None:
        for name in ("half_width", "prevalence", "detection_rate", "false_positive_rate"):
            if not 0 < getattr(self, name) < 1:
                raise SamplingError(f"{name} must lie between 0 and 1 (0 and 100 %), not {getattr(self, name)}")
        if self.detection_rate <= self.false_positive_rate:
            raise SamplingError("a model that rejects good parts as often as defective ones cannot be planned for")
        if not 0 < self.labels_per_window <= self.parts_per_window:
            raise SamplingError(
                f"{self.labels_per_window} labels from {self.parts_per_window} parts a shift cannot be drawn: "
                "labels_per_window must lie between 1 and parts_per_window"
            )


@dataclass(frozen=True, slots=True)
class LabelBudget:
    """What the answer costs. half_width: mean over the tried windows; half_width_90: nine of ten windows do better.

    second_looks: expected adjudications, included in reviewer_minutes. defects: expected defects found.
    """

    labels: int
    windows: int
    reviewer_minutes: float
    half_width: float
    half_width_90: float
    defects: float
    second_looks: float


def plan_labels(question: LabelQuestion, *, seed: int = 0) -> LabelBudget:
    """The cheapest budget whose mean half-width meets the question. Raises SamplingError with the reason when there is none."""
    most = min(question.most_windows * question.labels_per_window, MOST_LABELS)
    best = try_labels(question, most, seed=seed)
    if best.half_width > question.half_width:
        raise SamplingError(
            f"+-{100 * question.half_width:g} points cannot be had: {most:,} labels ({question.most_windows} shifts of "
            f"{question.labels_per_window}) give +-{100 * best.half_width:.1f} with about {best.defects:.0f} defects found; "
            + (
                "send challenge parts through the line instead (92 passes give +-5 points on known defects), or "
                * _rare(question)
            )
            + "allow more labels, more shifts or a wider interval"
        )
    low, high = 0.0, math.log(most)
    while high - low > 0.02:
        middle = (low + high) / 2
        tried = try_labels(question, round(math.exp(middle)), seed=seed)
        if tried.half_width <= question.half_width:
            high, best = middle, tried
        else:
            low = middle
    return best


def try_labels(question: LabelQuestion, labels: int, *, seed: int = 0) -> LabelBudget:
    """What so many labels would give."""
    windows = max(1, math.ceil(labels / question.labels_per_window))
    parts = windows * question.parts_per_window
    W, p, decision, q = _strata(question, labels, parts)
    rng = np.random.default_rng(seed)
    N = rng.multinomial(parts, W / W.sum(), size=WINDOWS_TRIED)
    n = rng.binomial(N, q)
    x = rng.binomial(n, p)
    counts = merge_thin_strata(StratumCounts.of_constant_q(N.astype(float), decision, n.astype(float), x.astype(float), q))
    intervals_of = detection_rate_intervals if question.metric == "detection_rate" else false_positive_rate_intervals
    intervals = intervals_of(counts)
    # A window with an unlabelled side has no interval; it counts as knowing nothing.
    blind = ((counts.n * decision).sum(-1) == 0) | ((counts.n * (1 - decision)).sum(-1) == 0)
    half = np.where(blind, 0.5, (intervals.high - intervals.low) / 2)
    asked, looks = float(n.sum(-1).mean()), float((x * (1 - decision)).sum(-1).mean())
    return LabelBudget(
        labels=round(asked),
        windows=windows,
        reviewer_minutes=(asked + looks) * question.seconds_per_label / 60,
        half_width=float(half.mean()),
        half_width_90=float(np.quantile(half, 0.9)),
        defects=float(x.sum(-1).mean()),
        second_looks=looks,
    )


def _strata(question: LabelQuestion, labels: int, parts: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Share, P(defective), decision and inclusion probability per stratum of the plan for the assumed world."""
    threshold = float(stats.norm.ppf(1 - question.false_positive_rate))
    shift = threshold + float(stats.norm.ppf(question.detection_rate))
    grid = np.linspace(-6.0, shift + 6.0, 8001)
    good = (1 - question.prevalence) * stats.norm.cdf(grid)
    bad = question.prevalence * stats.norm.cdf(grid, shift)
    # Reference parts at equal steps of the mixture's distribution, their p from the densities.
    score = np.interp((np.arange(REFERENCE_PARTS) + 0.5) / REFERENCE_PARTS, good + bad, grid)
    density_good = (1 - question.prevalence) * stats.norm.pdf(score)
    density_bad = question.prevalence * stats.norm.pdf(score, shift)
    budget = PlanBudget(labels, parts, question.exploration, question.verify_all_rejects, horizon_labels=labels, seed=0)
    plan = design_plan("plan", score, score >= threshold, density_bad / (density_good + density_bad), budget)
    edges = np.array([-np.inf, *plan.accepted_cuts, threshold, *plan.rejected_cuts, np.inf])
    mass_bad = question.prevalence * np.diff(stats.norm.cdf(edges, shift))
    W = (1 - question.prevalence) * np.diff(stats.norm.cdf(edges)) + mass_bad
    return W, mass_bad / W, plan.rejected.astype(float), plan.probabilities


def _rare(question: LabelQuestion) -> bool:
    return question.metric == "detection_rate"
