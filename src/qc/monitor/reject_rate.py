"""Reject rate, part by part: a hint within tens of parts that something moved; never a claim about the detection rate.

Bernoulli e-detector (Shiryaev-Roberts, a start at every part) with null "reject rate <= p0", p0 = baseline + tolerance: S <- (S + 1)
times the likelihood ratio of p1 against p0, p1 at the odds of p0 times 1.5, 2.5, 5 and 10, averaged. Alarm at S >= parts * streams /
alpha, so P(any false alarm within ``parts`` parts) <= alpha while the true rate stays below p0. The tolerance (absolute)
is what lots may differ by without a cause. See ``evidence`` for the source.

A falling rate matters as much: a threshold set too high lets defects through, and no other input moves. ``TwoSidedRejectRate`` is the
same detector twice, on rejects and on accepts, and averages the two: each has mean <= parts while the rate stays between its
bounds, so their mean has too, and one alpha holds for both sides. Price: log 2 more evidence (docs/monitoring.md, point 10).
"""

import math
from collections.abc import Mapping

from qc.domain.record import Json

ODDS = (1.5, 2.5, 5.0, 10.0)
LARGEST_FALL = 0.5
"""Tolerance downwards, as a share of the baseline, at most: a line that rejects 2 % is watched on that side too."""
LARGEST = 1e290
"""S stops here: far above any threshold, and S * factor cannot overflow."""


def log_ratios(null_rate: float) -> "tuple[tuple[float, ...], tuple[float, ...]]":
    """Log likelihood ratio of a reject and of an accept, per alternative.

    >>> up, down = log_ratios(0.1)
    >>> round(up[1], 3), round(down[1], 3)  # p1 = .25 / 1.15 = .217
    (0.777, -0.14)
    """
    up, down = [], []
    for odds in ODDS:
        p1 = odds * null_rate / (1 - null_rate + odds * null_rate)
        up.append(math.log(p1 / null_rate))
        down.append(math.log((1 - p1) / (1 - null_rate)))
    return tuple(up), tuple(down)


class RejectRateDetector:
    """Costs about a microsecond per part.

    >>> detector = RejectRateDetector(null_rate=0.1, log_threshold=math.log(1e7))
    >>> for part in range(1, 20):
    ...     detector.update(True)
    ...     if detector.alarming:
    ...         break
    >>> part
    11
    """

    def __init__(self, null_rate: float, log_threshold: float) -> None:
        up, down = log_ratios(null_rate)
        self.null_rate = null_rate
        self.log_threshold = log_threshold
        self._bar = math.exp(log_threshold) * len(ODDS)
        self._reject = [math.exp(v) for v in up]
        self._accept = [math.exp(v) for v in down]
        self._s = [0.0] * len(ODDS)

    def update(self, rejected: bool) -> None:
        """Take one judged production part."""
        a, b, c, d = self._s
        e, f, g, h = self._reject if rejected else self._accept
        self._s = [(a + 1.0) * e, (b + 1.0) * f, (c + 1.0) * g, (d + 1.0) * h]
        if sum(self._s) > LARGEST:
            self._s = [min(s, LARGEST) for s in self._s]

    @property
    def value(self) -> float:
        """S, the e-value."""
        return sum(self._s) / len(self._s)

    @property
    def alarming(self) -> bool:
        return sum(self._s) >= self._bar

    def log_value(self) -> float:
        return math.log(self.value) if self.value > 0 else -math.inf

    def restart(self) -> None:
        self._s = [0.0] * len(ODDS)

    def state(self) -> dict[str, Json]:
        return {"null_rate": self.null_rate, "s": list(self._s)}

    @classmethod
    def restored(cls, state: Mapping[str, Json], log_threshold: float) -> "RejectRateDetector":
        detector = cls(float(str(state["null_rate"])), log_threshold)
        values = state["s"]
        assert isinstance(values, list)
        detector._s = [float(str(v)) for v in values]
        return detector


def null_rates(baseline: float, tolerance: float) -> tuple[float, float]:
    """(low, high): reject rates that raise nothing.

    >>> [round(rate, 3) for rate in (*null_rates(0.08, 0.03), *null_rates(0.02, 0.03))]
    [0.05, 0.11, 0.01, 0.05]
    """
    return max(baseline - tolerance, LARGEST_FALL * baseline, 1e-6), min(baseline + tolerance, 0.95)


class TwoSidedRejectRate:
    """Null: low <= reject rate <= high. log_threshold: of the mean of the two sides.

    >>> detector = TwoSidedRejectRate(0.05, 0.1, log_threshold=math.log(1e7))
    >>> for part in range(1, 2000):
    ...     detector.update(False)
    ...     if detector.alarming:
    ...         break
    >>> part, detector.rose
    (324, False)
    """

    def __init__(self, low: float, high: float, log_threshold: float) -> None:
        self.low, self.high = low, high
        self.log_threshold = log_threshold
        self._rising = RejectRateDetector(high, log_threshold)
        self._falling = RejectRateDetector(1 - low, log_threshold)
        self._bar = 2 * math.exp(log_threshold)

    def update(self, rejected: bool) -> None:
        """Take one judged production part."""
        self._rising.update(rejected)
        self._falling.update(not rejected)

    @property
    def alarming(self) -> bool:
        return self._rising.value + self._falling.value >= self._bar

    @property
    def rose(self) -> bool:
        """More of the evidence says "too many" than "too few"."""
        return self._rising.value >= self._falling.value

    def log_value(self) -> float:
        mean = (self._rising.value + self._falling.value) / 2
        return math.log(mean) if mean > 0 else -math.inf

    def restart(self) -> None:
        self._rising.restart()
        self._falling.restart()

    def state(self) -> dict[str, Json]:
        return {"low": self.low, "high": self.high, "rising": self._rising.state(), "falling": self._falling.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Json], log_threshold: float) -> "TwoSidedRejectRate":
        detector = cls(float(str(state["low"])), float(str(state["high"])), log_threshold)
        rising, falling = state["rising"], state["falling"]
        assert isinstance(rising, dict)
        assert isinstance(falling, dict)
        detector._rising = RejectRateDetector.restored(rising, log_threshold)
        detector._falling = RejectRateDetector.restored(falling, log_threshold)
        return detector
