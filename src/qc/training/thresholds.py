"""Where to cut: review_at and reject_at from out-of-fold scores, with the rates they should give.

Five aims: the customer's two limits at once (default), or for the decided parts only; a false positive rate; a detection floor; lowest cost.
Where no defects are known only the good scores speak: the threshold is then an order statistic of theirs, whose true false
positive rate has a known distribution whatever the scores' distribution is (split conformal prediction; Vovk, 2012).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qc.domain.errors import TrainingError
from qc.domain.record import Json
from qc.training.calibrate import share_to_score
from qc.training.metrics import CONFIDENCE, Proportion
from qc.training.review_band import review_band

Scores: TypeAlias = NDArray[np.float64]
Variants: TypeAlias = Sequence[str]
Objective: TypeAlias = Literal["limits", "fpr", "detection", "cost", "decided"]

MIN_OF_VARIANT = 4
MIN_GOOD = 40
MIN_DEFECTS = 20
"""Fewer images than these: the card is marked, and the threshold leans on the calibrated tail."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the thresholds are to achieve. The defaults are the limits of a typical contract: DR >= 94 %, FPR <= 8 %.

    target_fpr: aimed at when the detection rate is unknown or cannot be had within the limit; below the limit, so that it still
    holds on new parts. review_share: of good parts that may go to review; with ``decided``, of all parts at this prevalence. miss_cost, false_cost: per part; prevalence: share of
    defects in production. lot: number of parts for which the promised interval holds.
    """

    objective: Objective = "limits"
    fpr_limit: float = 0.08
    dr_floor: float = 0.94
    target_fpr: float = 0.05
    review_share: float = 0.05
    miss_cost: float = 10.0
    false_cost: float = 1.0
    prevalence: float = 0.05
    lot: int = 50


@dataclass(frozen=True, slots=True)
class Thresholds:
    """review_at <= reject_at in [0, 1]; the rates that reject_at should give on new parts; why; and what to be wary of."""

    review_at: float
    reject_at: float
    false_positive_rate: Proportion
    detection_rate: Proportion
    rationale: str
    warnings: tuple[str, ...]

    def promise(self) -> dict[str, Json]:
        return {
            "false_positive_rate": self.false_positive_rate.as_json(),
            "detection_rate": self.detection_rate.as_json(),
            "rationale": self.rationale,
        }


def choose_thresholds(
    good: Scores,
    defect: Scores,
    aim: Aim = Aim(),
    lots: tuple[int, int] | None = None,
    independent: tuple[float, float] = (1.0, 1.0),
    *,
    variants: tuple[Variants, Variants] = ((), ()),
) -> Thresholds:
    """good, defect: out-of-fold calibrated scores; defect may be empty. lots: (good, defect) parts the promise is for.

    independent: groups per image of each class: six pictures of one tile are not six tiles, so the promise gets wider.
    variants: of good and of defect, in their order: the promise then holds for a lot of any one variant, too.
    """
    if len(good) < 2:
        raise TrainingError(f"a threshold needs at least 2 good images, there are {len(good)}")
    unsorted = good, defect
    good, defect = np.sort(good), np.sort(defect)
    if aim.objective == "decided" and len(defect):
        review_at, reject_at, rationale, wary = _decided(good, defect, aim)
    else:
        reject_at, rationale = _reject_at(good, defect, aim)
        review_at, wary = _review_at(good, defect, reject_at, aim)
    warnings = _scarcity(len(good), len(defect)) + wary
    good_lot, defect_lot = lots or (aim.lot, aim.lot)
    return Thresholds(
        review_at,
        reject_at,
        _promised(unsorted[0] >= reject_at, good_lot, independent[0], variants[0]),
        _promised(unsorted[1] >= reject_at, defect_lot, independent[1], variants[1]),
        rationale,
        tuple(warnings),
    )


def _promised(rejected: NDArray[np.bool_], lot: int, independent: float, variants: Variants) -> Proportion:
    """Of all together, widened to what each variant of at least MIN_OF_VARIANT images shows by itself."""
    together = expected_rate(int(rejected.sum()), len(rejected), lot, independent)
    names = np.array(variants)
    rates = [together]
    for name in np.unique(names):
        inside = rejected[names == name]
        if len(inside) >= MIN_OF_VARIANT:
            rates.append(expected_rate(int(inside.sum()), len(inside), lot, independent))
    lows, highs = (
        [bound for bound in bounds if bound is not None] for bounds in zip(*((r.low, r.high) for r in rates), strict=True)
    )
    return Proportion(together.estimate, min(lows, default=None), max(highs, default=None), together.n)


def expected_rate(hits: int, n: int, lot: int, independent: float = 1.0) -> Proportion:
    """Share to expect in the next ``lot`` parts when ``hits`` of ``n`` were seen: beta-binomial prediction, Jeffreys prior.

    Wider than a confidence interval of the rate itself, because a lot is a sample too (Brown, Cai, DasGupta 2001).
    independent: groups per image, at most 1: hits, n and lot then count as so many fewer independent parts.
    """
    if n == 0:
        return Proportion(None, None, None, 0)
    a, b = independent * hits + 0.5, independent * (n - hits) + 0.5
    tail = (1 - CONFIDENCE) / 2
    lot = max(round(independent * lot), 1)
    low, high = (float(stats.betabinom.ppf(q, lot, a, b)) / lot for q in (tail, 1 - tail))
    return Proportion(hits / n, min(low, hits / n), max(high, hits / n), n)


def _reject_at(good: Scores, defect: Scores, aim: Aim) -> tuple[float, str]:
    if not len(defect) or aim.objective == "fpr":
        return _at_fpr(good, aim.target_fpr), f"false positive rate {aim.target_fpr:.1%} on out-of-fold good images"
    if aim.objective == "detection":
        at = float(np.quantile(defect, 1 - aim.dr_floor, method="lower"))
        return _between(at, good, defect), f"detection rate {aim.dr_floor:.0%} on out-of-fold defects"
    grid = _logit(np.unique(np.concatenate([good, defect])))
    grid = np.unique(np.concatenate([grid, (grid[1:] + grid[:-1]) / 2]))
    fpr, miss = _smooth_rates(_logit(good), _logit(defect), grid)
    if aim.objective == "cost":
        loss = aim.miss_cost * aim.prevalence * miss + aim.false_cost * (1 - aim.prevalence) * fpr
        return _unlogit(grid[loss.argmin()]), f"lowest expected cost at {aim.prevalence:.1%} defects"
    strain = np.maximum(fpr / aim.fpr_limit, miss / (1 - aim.dr_floor))
    best = int(strain.argmin())
    if strain[best] <= 1:
        return _unlogit(grid[best]), "equal margin to both limits (false positives and missed defects)"
    at = _at_fpr(good, aim.target_fpr)
    return at, (
        f"no threshold holds detection >= {aim.dr_floor:.0%} at false positives <= {aim.fpr_limit:.0%}; "
        f"set for false positives of {aim.target_fpr:.0%}"
    )


def _decided(good: Scores, defect: Scores, aim: Aim) -> tuple[float, float, str, list[str]]:
    """Both limits for the parts that are decided, with as few in review as that takes."""
    review_at, reject_at, review, kept = review_band(
        good,
        defect,
        dr_floor=aim.dr_floor,
        fpr_limit=aim.fpr_limit,
        prevalence=aim.prevalence,
        most_review=aim.review_share,
    )
    limits = f"detection >= {aim.dr_floor:.0%} and false positives <= {aim.fpr_limit:.0%} for the decided parts"
    rationale = f"{limits}, {review:.0%} of all parts in review at {aim.prevalence:.0%} defects"
    wary = [] if kept else [f"{limits} cannot be had with {aim.review_share:.0%} of the parts in review"]
    return review_at, reject_at, rationale, wary


def _at_fpr(good: Scores, fpr: float) -> float:
    """Conformal order statistic; where there are too few images for one, the calibrated tail, whose score means the share."""
    n = len(good)
    rank = int(np.ceil((n + 1) * (1 - fpr)))
    if rank > n:
        return max(share_to_score(fpr), float(good[-1]) + 1e-3)
    upper = good[rank] if rank < n else good[-1] + 2e-3
    return float((good[rank - 1] + upper) / 2)


def _review_at(good: Scores, defect: Scores, reject_at: float, aim: Aim) -> tuple[float, list[str]]:
    """Lowest cut that sends at most review_share of the good parts to review, raised while that loses no detection."""
    allowed = (good >= reject_at).mean() + aim.review_share
    position = min(int(np.ceil((1 - allowed) * len(good))), len(good) - 1)
    lowest = min(float(good[max(position, 0)]), reject_at)
    if not len(defect):
        return lowest, []
    reached = float((defect >= lowest).mean())
    if reached < aim.dr_floor:
        return lowest, [
            f"with {aim.review_share:.0%} of good parts in review, {reached:.0%} of the defects are rejected or reviewed, "
            f"less than the floor of {aim.dr_floor:.0%}: more labelled parts or a better picture are needed"
        ]
    return lowest, []


def _scarcity(good: int, defect: int) -> list[str]:
    warnings = []
    if good < MIN_GOOD:
        warnings.append(f"few images: {good} good ones (at least {MIN_GOOD} are wanted); the threshold is conservative")
    if 0 < defect < MIN_DEFECTS:
        warnings.append(f"few images: {defect} defects (at least {MIN_DEFECTS} are wanted); the detection rate is a guess")
    if not defect:
        warnings.append("no defects were available: the detection rate is unknown")
    return warnings


def _smooth_rates(good: Scores, defect: Scores, grid: Scores) -> tuple[Scores, Scores]:
    """Kernel estimates of P(good >= t) and P(defect < t) with Silverman's bandwidth: the middle of a gap then costs least."""
    spread_good, spread_defect = (max(0.9 * min(x.std(), _iqr(x)) * len(x) ** -0.2, 0.05) for x in (good, defect))
    fpr = stats.norm.sf((grid[:, None] - good[None, :]) / spread_good).mean(1)
    miss = stats.norm.cdf((grid[:, None] - defect[None, :]) / spread_defect).mean(1)
    return fpr, miss


def _iqr(x: Scores) -> float:
    return float(np.subtract(*np.quantile(x, [0.75, 0.25])) / 1.34)


def _between(at: float, good: Scores, defect: Scores) -> float:
    """Half way from ``at`` down to the next lower score, so that the defect at ``at`` is not on the edge."""
    lower = np.concatenate([good, defect])
    lower = lower[lower < at]
    return float((at + lower.max()) / 2) if len(lower) else at


def _logit(score: Scores) -> Scores:
    clipped = np.clip(score, 1e-7, 1 - 1e-7)
    return np.log(clipped / (1 - clipped))


def _unlogit(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))
