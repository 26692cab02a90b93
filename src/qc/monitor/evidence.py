"""Shiryaev-Roberts e-detector over windows, in logarithms, for labels that arrive late and in any order.

S = sum over windows j of the product of all factors since j began: S <- (S + 1) P_w with P_w the product of window w's
factors. Each factor has mean <= 1 under the null, so S minus the number of started windows is a supermartingale and
P(S ever reaches H / alpha within H windows) <= alpha (Shin, Ramdas & Rinaldo 2024, doi 10.51387/23-NEJSDS51, th. 2.4;
Doob's inequality). A grid of bets is averaged: the mean of e-detectors is an e-detector.

Why the products of recent windows are kept apart: a label belongs to the window of its part. Multiplied into S when it
arrives, a late label would also count for windows that began after its part; which labels are late depends on the truth
(defects need a second look), and then the bound would not hold. Kept apart, the value depends on the set of
labels only, not on their order, and a window's product can be replaced when a label was corrected.
Price of waiting: while a window's labels are incomplete its product is that of the ones that are there. The bound then
assumes that accepted defects do not come in before the rejected ones of the same window; the second look makes it so.
"""

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import Json

Floats: TypeAlias = NDArray[np.float64]


def log_mean(log_values: Floats) -> float:
    """log of the mean of exp(log_values), over all entries."""
    top = float(log_values.max())
    if top == -math.inf:
        return -math.inf
    return top + math.log(float(np.exp(log_values - top).mean()))


class WindowedEvidence:
    """log S on a grid of bets of the given shape. keep: windows whose labels may still come in.

    >>> evidence = WindowedEvidence((2,))
    >>> evidence.start("monday")
    >>> evidence.put("monday", np.log([4.0, 2.0]))
    >>> evidence.start("tuesday")
    >>> round(math.exp(evidence.log_value()), 3)  # mean of 4 + 1 and 2 + 1
    4.0
    >>> evidence.put("monday", np.log([8.0, 4.0]))  # a late label of monday does not touch the 1 of tuesday
    >>> round(math.exp(evidence.log_value()), 3)
    7.0
    """

    def __init__(self, shape: tuple[int, ...], keep: int = 12) -> None:
        self._keep = keep
        self._closed: Floats = np.full(shape, -math.inf)
        self._open: dict[str, Floats] = {}

    def start(self, window: str) -> None:
        """A window begins (once; later calls for the same window change nothing)."""
        if window in self._open:
            return
        self._open[window] = np.zeros_like(self._closed)
        while len(self._open) > self._keep:
            oldest = next(iter(self._open))
            self._closed = np.logaddexp(self._closed, 0) + self._open.pop(oldest)

    def put(self, window: str, log_product: Floats) -> None:
        """The product of all of a window's factors so far (broadcast to the grid); ignored when the window is closed."""
        if window in self._open:
            self._open[window] = np.broadcast_to(log_product, self._closed.shape).copy()

    @property
    def windows(self) -> list[str]:
        """Windows whose labels still count, oldest first."""
        return list(self._open)

    def log_value(self) -> float:
        """log of the mean of S over the grid: what is compared with the threshold."""
        log_s = self._closed
        for product in self._open.values():
            log_s = np.logaddexp(log_s, 0) + product
        return log_mean(log_s)

    def restart(self) -> None:
        """Forget everything, as after an acknowledged alarm or a new model. Labels of earlier windows no longer count."""
        self._closed = np.full_like(self._closed, -math.inf)
        self._open.clear()

    def state(self) -> dict[str, Json]:
        """JSON, exact to the bit (-inf as None)."""
        return {"closed": _numbers(self._closed), "open": [[name, _numbers(p)] for name, p in self._open.items()]}

    def restore(self, state: Mapping[str, Json]) -> None:
        shape = self._closed.shape
        self._closed = _array(state["closed"], shape)
        windows = state["open"]
        assert isinstance(windows, list)
        self._open = {}
        for item in windows:
            assert isinstance(item, list)
            self._open[str(item[0])] = _array(item[1], shape)


def log_threshold(horizon: float, streams: int, alpha: float) -> float:
    """log(H M / alpha): H windows (or parts, or lots) started in the horizon, M streams watched."""
    return math.log(horizon * streams / alpha)


def as_number(log_value: float) -> float:
    """An e-value that JSON can carry."""
    return math.exp(min(log_value, 600.0))


def _numbers(values: Floats) -> list[Json]:
    return [None if v == -math.inf else float(v) for v in values.ravel()]


def _array(values: Json, shape: tuple[int, ...]) -> Floats:
    assert isinstance(values, list)
    flat = [-math.inf if v is None else float(v) for v in values]  # type: ignore[arg-type]  # stored JSON: numbers or null
    return np.array(flat).reshape(shape)
