"""Points 1-5, 11 and 12 of the monitoring claims: rates from sampled labels. Every function is seeded by its caller."""

from dataclasses import dataclass, replace

import numpy as np

from qc.evaluate.sample import LabelledSample, Population, StratumCounts, merge_thin_strata
from qc.evaluate.stratified import (
    Intervals,
    detection_rate,
    detection_rate_intervals,
    false_positive_rate,
    false_positive_rate_intervals,
)
from qc.evaluate.wilson import wilson_interval
from simulations.worlds import W1, W3, Design, World, draw_counts

WINDOW = 100_000
"""Parts in the simulated windows unless a point says otherwise."""


@dataclass(frozen=True)
class Quality:
    """How an interval did over many replications; shares and rates in percent (points)."""

    coverage: float
    bias: float
    half_width: float

    @classmethod
    def of(cls, intervals: Intervals, truth: float) -> "Quality":
        covered = (intervals.low <= truth) & (truth <= intervals.high)
        bias = float(np.nanmean(intervals.estimate) - truth) * 100
        return cls(float(covered.mean()) * 100, bias, float((intervals.high - intervals.low).mean()) * 50)


def design_for(world: World, prevalence: float, labels: int) -> Design:
    """Strata are designed on W1 where the world is W3: the plan does not know of the hidden defects."""
    return Design(world, W1 if world == W3 else world, prevalence, labels)


def rates_quality(world, prevalence, labels, *, replications, seed, parts=WINDOW, verify_rejects=False):
    """Quality of the DR and the FPR interval in one cell of point 1."""
    rng = np.random.default_rng(seed)
    counts = draw_counts(rng, design_for(world, prevalence, labels), parts, replications, verify_rejects=verify_rejects)
    dr = Quality.of(detection_rate_intervals(counts), world.detection_rate)
    return dr, Quality.of(false_positive_rate_intervals(counts), world.false_positive_rate)


def pipeline_quality(world, prevalence, labels, *, replications, seed, parts=20_000):
    """Part by part through the public functions: draw, label, estimate; all rejects verified. (coverage DR, FPR) in percent."""
    rng = np.random.default_rng(seed)
    design = design_for(world, prevalence, labels)
    W, _ = design.shares(design.planned)
    q = np.where(design.decision == 1, 1.0, np.minimum(1, design.labels * design.allocation / (parts * W)))
    hits = np.zeros(2)
    for _ in range(replications):
        score, defective = world.draw(rng, parts, prevalence)
        stratum = np.searchsorted(design.edges[1:-1], score, side="right")
        drawn = rng.random(parts) < q[stratum]
        sample = LabelledSample(defective[drawn], stratum[drawn], q[stratum[drawn]])
        population = Population(np.bincount(stratum, minlength=len(q)), design.decision == 1)
        for i, (rate, truth) in enumerate(
            (
                (detection_rate(sample, population), world.detection_rate),
                (false_positive_rate(sample, population), world.false_positive_rate),
            )
        ):
            hits[i] += rate.low is None or rate.low <= truth <= rate.high
    return hits / replications * 100


def mean_half_width(world, prevalence, labels, *, replications, seed):
    """Mean half-width of the DR interval in points when 2 % of the parts are labelled (a fixed number of parts would cap the gain)."""
    dr, _ = rates_quality(world, prevalence, labels, replications=replications, seed=seed, parts=50 * labels)
    return dr.half_width


def labels_for(half_width, half_width_of, *, low=200, high=60_000, steps=12):
    """Labels at which the mean half-width reaches the target, by halving on the logarithm."""
    a, b = np.log(low), np.log(high)
    for _ in range(steps):
        middle = (a + b) / 2
        a, b = (a, middle) if half_width_of(round(np.exp(middle))) <= half_width else (middle, b)
    return round(float(np.exp((a + b) / 2)))


def uniform_half_width(world, prevalence, labels, *, replications, seed):
    """Mean half-width of Wilson's DR interval from uniformly drawn labels, in points."""
    rng = np.random.default_rng(seed)
    defects = rng.binomial(labels, prevalence, replications)
    low, high = wilson_interval(rng.binomial(defects, world.detection_rate), defects)
    return float((high - low).mean()) * 50


def noisy_inspector(world, prevalence, labels, *, specificity, sensitivity, adjudicate, replications, seed):
    """Quality of DR when first looks err and (with ``adjudicate``) each "defect" on an accepted part gets a second look."""
    rng = np.random.default_rng(seed)
    design = design_for(world, prevalence, labels)
    W, p = design.shares(world)
    Wp, _ = design.shares(design.planned)
    q = np.minimum(1, labels * design.allocation / (WINDOW * Wp))
    N = rng.multinomial(WINDOW, W, size=replications)
    n = rng.binomial(N, q)
    true_defects = rng.binomial(n, p)
    looks = np.where((design.decision == 0) & adjudicate, 2, 1)
    x = rng.binomial(true_defects, sensitivity**looks) + rng.binomial(n - true_defects, (1 - specificity) ** looks)
    counts = StratumCounts.of_constant_q(N.astype(float), design.decision, n.astype(float), x.astype(float), q)
    return Quality.of(detection_rate_intervals(merge_thin_strata(counts)), world.detection_rate)


def ignoring_probabilities(counts: StratumCounts) -> StratumCounts:
    """The mistake that the weights prevent: every label counts the same."""
    return replace(counts, N=counts.n, sw=counts.n, sw2=counts.n, swx=counts.x)


def same_in_any_order(*, seed):
    """Largest difference of DR and FPR (point and limits) between a sample and the same sample shuffled."""
    rng = np.random.default_rng(seed)
    design = design_for(W1, 0.01, 1000)
    W, p = design.shares(W1)
    N = rng.multinomial(20_000, W)
    q = np.minimum(1, 1000 * design.allocation / (20_000 * W))
    stratum = np.repeat(np.arange(len(W)), rng.binomial(N, q))
    sample = LabelledSample(rng.random(len(stratum)) < p[stratum], stratum, q[stratum])
    order = rng.permutation(len(stratum))
    shuffled = LabelledSample(sample.defective[order], sample.stratum[order], sample.inclusion_probability[order])
    population = Population(N, design.decision == 1)
    worst = 0.0
    for rate in (detection_rate, false_positive_rate):
        a, b = rate(sample, population), rate(shuffled, population)
        worst = max(worst, *(abs(u - v) for u, v in zip((a.estimate, a.low, a.high), (b.estimate, b.low, b.high), strict=True)))
    return worst
