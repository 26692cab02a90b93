"""Wilson's score interval for a simple random sample: x successes among n independent, equally likely draws."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate

Floats: TypeAlias = NDArray[np.float64]


def wilson_interval(found: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper limit, elementwise; [0, 1] where n is 0.

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with p = found / n.
    Assumes independent draws with one probability: for samples drawn with unequal probabilities use ``stratified``.
    Source: E. B. Wilson 1927, JASA 22:209; recommended for small n by Brown, Cai & DasGupta 2001, Stat. Sci. 16:101.

    >>> low, high = wilson_interval(9, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.5958, 0.9821)
    """
    x, size = np.asarray(found, float), np.asarray(n, float)
    if np.any(x < 0) or np.any(x > size):
        raise EvaluationError("wilson: found must lie between 0 and n")
    z = float(ndtri(0.5 + confidence / 2))
    safe = np.where(size > 0, size, 1.0)
    p = x / safe
    centre = p + z * z / (2 * safe)
    half = z * np.sqrt(p * (1 - p) / safe + z * z / (4 * safe * safe))
    scale = 1 + z * z / safe
    # Exact limits at x = 0 and x = n are 0 and 1; rounding must not push them past the estimate.
    low = np.where((size > 0) & (x > 0), (centre - half) / scale, 0.0)
    high = np.where((size > 0) & (x < size), (centre + half) / scale, 1.0)
    return low, high


def wilson_rate(found: int, n: int, what: str, confidence: float = 0.95) -> Rate:
    """Rate of a simple sample; ``what`` names the denominator in the reason when n is 0.

    >>> rate = wilson_rate(3, 200, "parts")
    >>> rate.estimate, round(rate.low, 5), round(rate.high, 5)
    (0.015, 0.00511, 0.04317)
    """
    if n == 0:
        return Rate(None, None, None, 0, 0, "wilson", confidence, not_estimable=f"no {what}")
    low, high = wilson_interval(found, n, confidence)
    return Rate(found / n, float(low), float(high), n, found, "wilson", confidence)
