"""The meaning of a score: how rarely a good part scores that high. The same for every model, so thresholds survive retraining.

    score = 1 / (1 + sqrt(p / p0)),  p0 = 0.01

p is the probability that a good part of the training's kind gets at least this score: 0.5 means 1 good part in 100, 0.24
one in 10, 0.76 one in 1,000. p comes from out-of-fold scores of good images: their empirical distribution in the middle, and
beyond the last well-supported quantile an exponential tail in asinh(raw), which is a heavy (power-law) tail in the raw score
(peaks over threshold, cf. Coles, Introduction to Statistical Modeling of Extreme Values, 2001, ch. 4). The map raw -> score is
strictly increasing, so different raw scores never share one value.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ANCHOR = 0.01
"""p0: the share of good parts that reaches a score of one half."""

QUANTILES = (0.9, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02)
MIN_TAIL = 8
"""Observations beyond the last quantile: fewer tell nothing about the tail's slope."""

SLOPE_LIMITS = (0.5, 8.0)
"""Bounds of the slope of logit(score) in asinh(raw); below, scores would be indistinguishable; above, pile up at 0 and 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit(score) is piecewise linear in asinh(raw) through (knots, values), with the outer slopes beyond."""

    knots: tuple[float, ...]
    values: tuple[float, ...]
    low_slope: float
    high_slope: float

    def score(self, raw: NDArray[np.floating]) -> NDArray[np.float64]:
        """Raw scores of any shape -> calibrated scores in (0, 1)."""
        with torch.inference_mode():
            scores = CalibrationLayer(self)(torch.from_numpy(np.asarray(raw, np.float64)).float())
        return np.asarray(scores.double().numpy())


def fit_calibration(good_raw: NDArray[np.float64]) -> Calibration:
    """good_raw: (n,) out-of-fold raw scores of good images, n >= 2."""
    u = np.sort(np.arcsinh(good_raw))
    n = len(u)
    quantiles = [p for p in QUANTILES if p * n >= MIN_TAIL or p >= 0.5]
    knots: list[float] = []
    values: list[float] = []
    for p in quantiles:
        at = float(np.quantile(u, 1 - p, method="hazen"))
        if not knots or at > knots[-1] + 1e-4:
            knots.append(at)
            values.append(share_to_logit(p))
    excess = u[u > knots[-1]] - knots[-1]
    # logit = -ln(p / p0) / 2, and an exponential tail has d(-ln p)/du = 1 / mean excess; one more, average, observation
    # keeps the estimate of a short tail from being over-confident.
    spread = max(float(u.std()), 1e-3)
    mean_excess = (float(excess.sum()) + spread) / (len(excess) + 1)
    low = (values[1] - values[0]) / (knots[1] - knots[0]) if len(knots) > 1 else 1.0
    return Calibration(
        tuple(knots), tuple(values), float(np.clip(low, *SLOPE_LIMITS)), float(np.clip(0.5 / mean_excess, *SLOPE_LIMITS))
    )


def share_to_score(p: float) -> float:
    """Score that a share p of good parts reaches."""
    return float(1 / (1 + np.sqrt(p / ANCHOR)))


def score_to_share(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of share_to_score: expected share of good parts at or above the score, at most 1."""
    return np.minimum(1.0, ANCHOR * ((1 - score) / np.maximum(score, 1e-12)) ** 2)


def share_to_logit(p: float) -> float:
    return float(-0.5 * np.log(p / ANCHOR))


class CalibrationLayer(nn.Module):
    """Calibration as tensors: the graph's last step."""

    knots: Tensor
    bends: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        knots, values = np.array(calibration.knots), np.array(calibration.values)
        inner = np.diff(values) / np.diff(knots)
        slopes = np.concatenate([[calibration.low_slope], inner, [calibration.high_slope]])
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float32))
        self.register_buffer("bends", torch.tensor(np.diff(slopes), dtype=torch.float32))
        self.first, self.start, self.slope = float(knots[0]), float(values[0]), calibration.low_slope

    def forward(self, raw: Tensor) -> Tensor:
        u = torch.asinh(raw)
        bent = ((u.unsqueeze(-1) - self.knots).clamp_min(0) * self.bends).sum(-1)
        return torch.sigmoid(self.start + self.slope * (u - self.first) + bent)
