"""Did the scores move as a whole, or did only high scores become more (or less) frequent? For naming a cause, never an alarm.

More defects in the process add parts at the high end and leave the typical part where it was; a model, light or product that
changed moves all parts. From the lots since the likeliest change point (the start j that maximises n_j (mean excess / spread)^2; Page 1954,
Biometrika 41:100), body = excess of the share above the reference median, tail = that above its 90 % plus that above its 98 %
quantile. d more defects, all with high scores: body d/2, tail 1.9 d. A shift of all scores by .5 standard deviations: body 19, tail 16 points.
Between them lies tail = 1.5 body. One lot says little about the median, hence the mean over all lots since the change.
"""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import Json

Floats: TypeAlias = NDArray[np.float64]

KEPT = 60
"""Lots: 15,000 parts, longer than the slowest alarm on scores takes."""
SURE_Z = 3.0
"""Mean excess of the tail, in its standard errors, from which on it counts as moved."""
TAIL_PER_BODY = 1.5


@dataclass(frozen=True, slots=True)
class ScoreMove:
    """body, tail: excess shares since the change; sure: the tail's is more than chance. lots: how many they are taken over."""

    body: float = 0.0
    tail: float = 0.0
    sure: bool = False
    lots: float = 0.0

    @property
    def only_high(self) -> bool:
        """High scores became more or less frequent while the typical score stayed."""
        return self.sure and abs(self.tail) > TAIL_PER_BODY * abs(self.body)

    @property
    def text(self) -> str:
        """A sentence, empty when nothing is sure."""
        if not self.only_high:
            return ""
        return f"high scores became {'more' if self.tail > 0 else 'less'} frequent while the typical score stayed"


class ScoreTrail:
    """The excess shares (above the reference's 50, 90 and 98 % quantiles) of the latest lots."""

    def __init__(self) -> None:
        self._lots: deque[Floats] = deque(maxlen=KEPT)

    def add(self, excess: Floats) -> None:
        """(3,) of a full lot."""
        self._lots.append(np.asarray(excess, float))

    def clear(self) -> None:
        self._lots.clear()

    def move(self, sigma: Floats, unfinished: Floats | None = None, share: float = 0.0) -> ScoreMove:
        """sigma: (3,) spread of a lot's shares. unfinished: (3,) excess of the parts since the last lot, ``share`` of a lot."""
        rows, weights = list(self._lots), [1.0] * len(self._lots)
        if unfinished is not None:
            rows, weights = [*rows, unfinished], [*weights, share]
        if not rows:
            return ScoreMove()
        weight = np.cumsum(np.array(weights)[::-1])  # of the last lot, the last two, ...
        mean = np.cumsum((np.array(rows) * np.array(weights)[:, None])[::-1], axis=0) / weight[:, None]
        z = np.sqrt(weight)[:, None] * mean / np.maximum(sigma, 1e-9)
        since = int((z**2).max(1).argmax())
        body, q90, q98 = (float(v) for v in mean[since])
        tail_sigma = float(np.hypot(sigma[1], sigma[2]))
        sure = abs(q90 + q98) * np.sqrt(weight[since]) >= SURE_Z * max(tail_sigma, 1e-9)
        return ScoreMove(body, q90 + q98, bool(sure), float(weight[since]))

    def state(self) -> list[Json]:
        return [[float(v) for v in lot] for lot in self._lots]

    def restore(self, state: Json) -> None:
        assert isinstance(state, list)
        self._lots = deque((np.array(lot, float) for lot in state), maxlen=KEPT)
