"""Two models on the same parts: the difference of two paired proportions, and how many more parts would settle it.

Of n parts (all defective, or all good) ``gained`` are those on which only the candidate is right, ``lost`` those on which only the
incumbent is; the rest says nothing about the difference (gained - lost) / n. Interval: Tango's score interval (Tango 1998, Statistics in
Medicine 17:891), which keeps its level at the small counts of discordant parts that are usual here, also at none.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from qc.domain.errors import EvaluationError
from qc.release.report import Outcome

Floats: TypeAlias = NDArray[np.float64]
MOST_LABELS = 100_000
"""More than this nobody will label: the question is then answered with no."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Candidate minus incumbent, in [-1, 1], positive is better. needed: further parts to decide; None when none would help."""

    estimate: float
    low: float
    high: float
    n: int
    outcome: Outcome
    needed: int | None = 0


def tango_interval(gained: ArrayLike, lost: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Limits of (gained - lost) / n, elementwise; [-1, 1] where n is 0. Counts may be fractional (for planning).

    >>> low, high = tango_interval(12, 2, 120)  # 10 more of 120 parts
    >>> round(float(low), 4), round(float(high), 4)
    (0.0259, 0.1529)
    >>> low, high = tango_interval(0, 0, 100)
    >>> round(float(low), 4), round(float(high), 4)
    (-0.037, 0.037)
    """
    b, c, size = (np.asarray(a, float) for a in np.broadcast_arrays(gained, lost, n))
    if np.any(b < 0) or np.any(c < 0) or np.any(b + c > size):
        raise EvaluationError("paired comparison: gained and lost must be counts of different parts among the n")
    z = float(ndtri(0.5 + confidence / 2))
    estimate = np.divide(b - c, size, out=np.zeros_like(size), where=size > 0)
    # Rounding must not push a limit past the estimate, at which it may lie exactly (all parts gained, or all lost).
    low = np.where(size > 0, np.minimum(_limit(b, c, size, -z), estimate), -1.0)
    high = np.where(size > 0, np.maximum(_limit(b, c, size, z), estimate), 1.0)
    return low, high


def compare(gained: int, lost: int, n: int, *, margin: float, confidence: float = 0.95) -> Gain:
    """PASS: not worse by ``margin`` or more (non-inferior). FAIL: worse, and by more than can be excused. Else more labels are needed.

    A model that is truly worse by the margin passes in (1 - confidence) / 2 of all cases (to the accuracy of the interval).

    >>> compare(0, 0, 60, margin=0.05).outcome.value, compare(0, 0, 60, margin=0.05).needed
    ('NOT ENOUGH EVIDENCE', 13)
    >>> compare(0, 9, 60, margin=0.05).outcome.value
    'FAIL'
    >>> compare(3, 1, 200, margin=0.05).outcome.value
    'PASS'
    """
    if n == 0:
        return Gain(0.0, -1.0, 1.0, 0, Outcome.NOT_ENOUGH_EVIDENCE, _needed(0.0, 0.0, margin, confidence))
    low, high = (float(limit) for limit in tango_interval(gained, lost, n, confidence))
    estimate = (gained - lost) / n
    if low > -margin:
        return Gain(estimate, low, high, n, Outcome.PASS)
    if high < 0:
        return Gain(estimate, low, high, n, Outcome.FAIL)
    total = _needed(gained / n, lost / n, margin, confidence)
    return Gain(estimate, low, high, n, Outcome.NOT_ENOUGH_EVIDENCE, None if total is None else max(1, total - n))


def _needed(gained: float, lost: float, margin: float, confidence: float) -> int | None:
    """Smallest n at which these shares would pass; None above MOST_LABELS."""
    sizes = np.unique(np.geomspace(1, MOST_LABELS, 2000).astype(int))
    low, _ = tango_interval(gained * sizes, lost * sizes, sizes, confidence)
    passing = np.flatnonzero(low > -margin)
    if not len(passing):
        return None
    first = int(passing[0])
    between = np.arange(sizes[first - 1] + 1 if first else 1, sizes[first] + 1)
    low, _ = tango_interval(gained * between, lost * between, between, confidence)
    return int(between[np.argmax(low > -margin)])


def _limit(b: Floats, c: Floats, n: Floats, z: float) -> Floats:
    """The difference at which the score statistic is z (it falls as the difference rises): bisection."""
    safe = np.where(n > 0, n, 1.0)
    low, high = np.full(b.shape, -1.0), np.full(b.shape, 1.0)
    for _ in range(50):
        middle = (low + high) / 2
        above = _score(b, c, safe, middle) > -z
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray((low + high) / 2, float)


def _score(b: Floats, c: Floats, n: Floats, delta: Floats) -> Floats:
    """Tango's statistic at the difference delta, with the maximum-likelihood share of lost parts under it."""
    first, last = 2 * n, -c * delta * (1 - delta)
    middle = -b - c + (2 * n - b + c) * delta
    lost = (np.sqrt(np.maximum(middle**2 - 4 * first * last, 0)) - middle) / (2 * first)
    variance = n * (2 * lost + delta * (1 - delta))
    return np.asarray((b - c - n * delta) / np.sqrt(np.maximum(variance, 1e-12)), float)
