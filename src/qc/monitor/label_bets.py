"""Bets against "the rate is fine" on labels that were drawn with unequal probabilities.

Per labelled part with inclusion probability q, truth y and decision d, weight w = q_limit / q:
    DR    null DR >= r0:        factor 1 + f w y (r0 - d) / (1 - r0)
    FPR   null FPR <= f0:       factor 1 + f w (1 - y) (d - f0) / f0
    prevalence, null <= p0:     factor 1 + f w (y - p0) / p0
q_limit is the smallest q among the strata on which the bet can lose (DR: rejected; FPR: accepted; prevalence: all), fixed
with the window's plan, so that every factor stays >= 1 - f > 0. This is the bet lambda = f lambda_max on Z = w y (r0 - d) with
w = W_h / v_h of the design: W_h / v_h is proportional to 1 / q_h, and the constant cancels in lambda_max. Drawing parts
independently with q makes E[Z] proportional to the expectation over all parts, so E[factor] <= 1 under the null
whatever became of the shares of the strata.
Averaged over the fractions f below: small ones win when accepted defects weigh hundreds of rejected ones.
False-alarm price: see ``evidence``. Source of the betting form: Waudby-Smith & Ramdas 2024, JRSS B 86:1.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

FRACTIONS = np.array([0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7])


def detection_log_factors(defective: ArrayLike, rejected: ArrayLike, q: ArrayLike, *, q_limit: ArrayLike, floor: float) -> Floats:
    """(..., 7) log factors against DR >= floor.

    >>> detection_log_factors(True, False, 0.01, q_limit=0.1, floor=0.9)[2].round(3)  # log(1 + .03 * 10 * .9 / .1)
    np.float64(1.308)
    """
    y, d = np.asarray(defective, float), np.asarray(rejected, float)
    return _log_factors(np.asarray(q_limit) / np.asarray(q) * y * (floor - d) / (1 - floor))


def false_positive_log_factors(
    defective: ArrayLike, rejected: ArrayLike, q: ArrayLike, *, q_limit: ArrayLike, ceiling: float
) -> Floats:
    """(..., 7) log factors against FPR <= ceiling.

    >>> false_positive_log_factors(False, True, 0.1, q_limit=0.02, ceiling=0.08)[3].round(3)
    np.float64(0.207)
    """
    y, d = np.asarray(defective, float), np.asarray(rejected, float)
    return _log_factors(np.asarray(q_limit) / np.asarray(q) * (1 - y) * (d - ceiling) / ceiling)


def prevalence_log_factors(defective: ArrayLike, q: ArrayLike, *, q_limit: ArrayLike, ceiling: float) -> Floats:
    """(..., 7) log factors against prevalence <= ceiling.

    >>> prevalence_log_factors(True, 0.5, q_limit=0.01, ceiling=0.02)[6].round(3)
    np.float64(0.522)
    """
    return _log_factors(np.asarray(q_limit) / np.asarray(q) * (np.asarray(defective, float) - ceiling) / ceiling)


def _log_factors(gain: Floats) -> Floats:
    return np.log1p(FRACTIONS * np.asarray(gain)[..., None])
