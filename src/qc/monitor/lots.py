"""Lot features against reference lots: has the score, the picture or the look of the parts moved?

A feature F of a lot of m_l consecutive parts (score mean, share above a quantile, mean brightness, ...) is compared with its
mean mu and spread s over m reference lots: z = (F - mu) / sigma_U clipped to +-6, sigma_U = s sqrt((m - 1) / chi2_{.05, m-1})
an upper bound of the spread; tolerance 1.96 / sqrt(m) + .25 for the error of mu. Gaussian e-detector per feature, sign and
delta in {.5, 1, 2, 3}: S <- (S + 1) exp(delta (+-z - tolerance) - delta^2 / 2), averaged; alarm at H / alpha with H lots in the
horizon. Valid for lots that are independent and no wilder than Gaussian with spread sigma_U: needs 20-40 reference
lots, and lots longer than the autocorrelation (``lots_to_merge``). Measured false alarms: docs/monitoring.md, point 10.
Source: e-detectors as in ``evidence``; the clip bounds what one freak lot can do (at delta 3: e^11).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from qc.domain.errors import EvaluationError

Floats: TypeAlias = NDArray[np.float64]

DELTAS = np.array([0.5, 1.0, 2.0, 3.0])
CLIP = 6.0
FEWEST_LOTS = 20
TOO_CORRELATED = 0.3


@dataclass(frozen=True, slots=True)
class LotReference:
    """What lots look like when all is well. mean, sigma: (J,) per feature; lots: how many they come from."""

    mean: Floats
    sigma: Floats
    lots: int

    @classmethod
    def of(cls, features: Floats) -> "LotReference":
        """features: (m, J), one row per reference lot. Raises EvaluationError for fewer than 20 lots."""
        m = len(features)
        if m < FEWEST_LOTS:
            raise EvaluationError(f"{m} reference lots are too few: at least {FEWEST_LOTS} are needed, 40 are better")
        spread = features.std(0, ddof=1)
        # A feature that never moved (grey camera: colour 0) must not alarm on the last bit.
        least = 1e-6 * np.maximum(np.abs(features.mean(0)), 1e-6)
        upper = np.sqrt((m - 1) / chdtri(m - 1, 0.95))
        return cls(features.mean(0), np.maximum(spread, least) * upper, m)

    @property
    def tolerance(self) -> float:
        return float(1.96 / np.sqrt(self.lots) + 0.25)

    def z(self, features: Floats, share: float = 1.0) -> Floats:
        """(..., J) standardised and clipped. share: of a lot that the features come from; fewer parts scatter more."""
        return np.asarray(np.clip(np.sqrt(share) * (features - self.mean) / self.sigma, -CLIP, CLIP))


def gaussian_log_factors(z: Floats, tolerance: float) -> Floats:
    """(..., 4) log factors of a one-sided shift of z by more than the tolerance.

    >>> gaussian_log_factors(np.array(2.5), 0.5).tolist()
    [0.875, 1.5, 2.0, 1.5]
    """
    return DELTAS * (np.asarray(z)[..., None] - tolerance) - DELTAS**2 / 2


def two_sided_log_factors(z: Floats, tolerance: float) -> Floats:
    """(..., J, 2, 4): features, signs (up, down), deltas."""
    return gaussian_log_factors(np.stack([z, -z], -1), tolerance)


def lots_to_merge(features: Floats, most: int = 4) -> int:
    """How many consecutive lots make one, so that no feature's lag-1 correlation exceeds .3 by more than chance.

    features: (m, J) of consecutive lots. The correlation of m independent lots scatters by 1 / sqrt(m).
    """
    merged, factor = features, 1
    while factor < most and len(merged) >= 2 * FEWEST_LOTS:
        centred = merged - merged.mean(0)
        power = (centred**2).sum(0)
        lag1 = np.divide((centred[1:] * centred[:-1]).sum(0), power, out=np.zeros(len(power)), where=power > 0)
        if lag1.max() <= TOO_CORRELATED + 1 / np.sqrt(len(merged)):
            break
        pairs = len(merged) // 2
        merged = (merged[: 2 * pairs : 2] + merged[1 : 2 * pairs : 2]) / 2
        factor *= 2
    return factor


def score_features(scores: Floats, quantiles: Sequence[float]) -> Floats:
    """(..., 5) of lots of scores (..., m): mean, log sd, share above the reference's 50, 90 and 98 % quantiles.

    scores on an unbounded scale (log-odds of calibrated ones), so that mean and sd are not ruled by the crowd at 0.
    """
    shares = [(scores > q).mean(-1) for q in quantiles]
    return np.stack([scores.mean(-1), np.log(scores.std(-1, ddof=1) + 1e-9), *shares], -1)


def log_odds(score: Floats) -> Floats:
    """Calibrated scores in [0, 1] on an unbounded scale.

    >>> log_odds(np.array([0.5, 0.0])).round(2).tolist()
    [0.0, -9.21]
    """
    inside = np.clip(score, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(inside / (1 - inside)))
