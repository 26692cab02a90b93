"""Strata of decision x score and how many labels each of them gets: pure functions over arrays."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc.domain.errors import SamplingError
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason

Floats: TypeAlias = NDArray[np.float64]


def judged_rejected(record: InspectionRecord) -> bool | None:
    """What the model decided: rejected (NG or REVIEW), accepted, or None when it judged nothing (NOT_INSPECTED).

    While the line reviews everything, a part goes to review although its score says OK. It stays on the accepted side here:
    rates are about the model, and its recovery must be visible while people look at every part.
    """
    if record.score is None or record.verdict.decision is Decision.NOT_INSPECTED:
        return None
    return record.verdict.decision is not Decision.OK and record.verdict.reason is not Reason.REVIEW_ALL


def is_accepted_stratum(name: str) -> bool:
    """Stratum names begin with ``a`` (accepted by the model) or ``r`` (rejected)."""
    return name.startswith("a")


def cut_points(scores: ArrayLike, p: ArrayLike, strata: int) -> tuple[float, ...]:
    """Inner borders that split one side into ``strata`` classes of equal cumulative f(s) sqrt(p(s)(1-p(s))).

    scores, p: (N,) parts of one side and their P(defective | score). Borders lie between observed scores; a part on a border
    belongs to the class above. Scores tied across a border merge its classes, so fewer borders may come back.
    Source: the cumulative sqrt(f) rule (Dalenius & Hodges 1959) for the variance of a rare binary outcome.
    """
    s, probability = np.asarray(scores, np.float64), np.asarray(p, np.float64)
    if s.shape != probability.shape or s.ndim != 1:
        raise SamplingError(f"scores and p need one value per part; got {s.shape} and {probability.shape}")
    if strata < 1:
        raise SamplingError(f"a side needs at least one stratum, not {strata}")
    values, class_of = np.unique(s, return_inverse=True)
    if values.size < 2 or strata == 1:
        return ()
    spread = np.sqrt(probability * (1 - probability))
    cumulative = np.cumsum(np.bincount(class_of, weights=spread if spread.sum() > 0 else np.ones_like(spread)))
    wanted = cumulative[-1] * np.arange(1, strata) / strata
    # Nearest possible border; a running sum that does not move leaves several, of which the lowest is taken.
    after = np.unique(np.abs(cumulative[:-1, None] - wanted).argmin(axis=0))
    low, high = values[after], values[after + 1]
    middle = low + (high - low) / 2
    return tuple(float(border) for border in np.where(middle > low, middle, high))


def anticipated_detection_rate(p: ArrayLike, rejected: ArrayLike) -> float:
    """Share of the expected defects that lies on the rejected side, kept in [0.5, 0.98]: R0 of the allocation."""
    probability, side = np.asarray(p, np.float64), np.asarray(rejected, bool)
    total = float(probability.sum())
    return float(np.clip(probability[side].sum() / total, 0.5, 0.98)) if total > 0 else 0.9


def allocate(
    parts: ArrayLike,
    rejected: ArrayLike,
    p: ArrayLike,
    *,
    labels: float,
    detection_rate: float,
    exploration: float = 0.3,
    least: float = 0.0,
) -> Floats:
    """Expected labels n_h per stratum, (H,), 0 < n_h <= parts_h, summing to min(labels, all parts).

    parts: E N_h, expected parts per stratum. rejected: (H,) bool. p: (H,) mean P(defective). With W_h = N_h / N:
    n_h proportional to (1-e) W_h |d_h - R0| sqrt(p_h(1-p_h)) / sum(same) + e W_h. What a stratum with fewer parts than its
    share cannot use goes to the others in the same proportion. (Neyman allocation for the ratio's linearised variance.)
    least: labels that every stratum gets first, if it has the parts; at most labels / H.

    Raises SamplingError for impossible numbers.

    >>> allocate([900, 100], [False, True], [0.001, 0.3], labels=100, detection_rate=0.9).round(1).tolist()
    [86.4, 13.6]
    """
    n_parts, side, prob = np.asarray(parts, np.float64), np.asarray(rejected, bool), np.asarray(p, np.float64)
    if not n_parts.shape == side.shape == prob.shape or n_parts.ndim != 1 or n_parts.size == 0:
        raise SamplingError(f"parts, rejected and p need one value per stratum; got {n_parts.shape}, {side.shape}, {prob.shape}")
    if not np.all(n_parts > 0):
        raise SamplingError("every stratum needs a positive expected number of parts")
    if not np.all((prob >= 0) & (prob <= 1)):
        raise SamplingError("p must lie in [0, 1]")
    if not labels > 0:
        raise SamplingError(f"a budget of {labels} labels cannot be drawn; ask for more than 0")
    if not 0 < exploration <= 1:
        raise SamplingError(f"exploration must lie in (0, 1], not {exploration}: a stratum that is never drawn is never known")
    if not 0 <= detection_rate <= 1:
        raise SamplingError(f"the anticipated detection rate must lie in [0, 1], not {detection_rate}")
    share = n_parts / n_parts.sum()
    targeted = share * np.abs(side - detection_rate) * np.sqrt(prob * (1 - prob))
    mix = (1 - exploration) * targeted / targeted.sum() + exploration * share if targeted.sum() > 0 else share
    total = min(labels, float(n_parts.sum()))
    return _with_least(mix, n_parts, total, min(least, total / n_parts.size))


def anticipated_variance(
    parts: ArrayLike, rejected: ArrayLike, p: ArrayLike, labels: ArrayLike, *, detection_rate: float
) -> float:
    """Variance of the DR estimate, up to a constant, when stratum h gets labels_h: sum W_h^2 (d_h-R0)^2 p_h(1-p_h) / n_h."""
    n_parts, prob, n = (np.asarray(a, np.float64) for a in (parts, p, labels))
    share = n_parts / n_parts.sum()
    return float(np.sum((share * (np.asarray(rejected, bool) - detection_rate)) ** 2 * prob * (1 - prob) / n))


def _with_least(mix: Floats, limit: Floats, total: float, least: float) -> Floats:
    """As ``_fill``, and no stratum gets fewer than ``least`` (or all its parts)."""
    floor = np.minimum(least, limit)
    held = np.zeros(mix.size, bool)
    for _ in range(mix.size):
        n = floor.copy()
        if not held.all():
            n[~held] = _fill(mix[~held], limit[~held], total - floor[held].sum())
        below = (n < floor) & ~held
        if not below.any():
            return n
        held |= below
    return floor


def _fill(mix: Floats, limit: Floats, total: float) -> Floats:
    """Split ``total`` in proportion to ``mix`` with n_h <= limit_h; each pass fixes the strata that are full."""
    full = np.zeros(mix.size, bool)
    for _ in range(mix.size):
        left = total - limit[full].sum()
        n = np.where(full, limit, mix * left / mix[~full].sum() if not full.all() else limit)
        over = (n >= limit) & ~full
        if not over.any():
            return n
        full |= over
    return np.asarray(limit, np.float64)
