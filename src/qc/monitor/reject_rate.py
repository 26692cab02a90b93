"""Reject rate, part by part: a hint within tens of parts that something moved; never a claim about the detection rate.

Bernoulli e-detector (Shiryaev-Roberts, a start at every part) with null "reject rate <= p0", p0 = baseline + tolerance: S <- (S + 1)
times the likelihood ratio of p1 against p0, p1 at the odds of p0 times 1.5, 2.5, 5 and 10, averaged. Alarm at S >= parts * streams /
alpha, so P(any false alarm within ``parts`` parts) <= alpha while the true rate stays below p0. The tolerance (absolute)
is what lots may differ by without a cause. See ``evidence`` for the source.
"""

import math
from collections.abc import Mapping

from qc.domain.record import Json

ODDS = (1.5, 2.5, 5.0, 10.0)
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
    def alarming(self) -> bool:
        return sum(self._s) >= self._bar

    def log_value(self) -> float:
        mean = sum(self._s) / len(self._s)
        return math.log(mean) if mean > 0 else -math.inf

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
