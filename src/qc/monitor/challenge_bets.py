"""Bets on challenge parts: known defectives that the line should reject. The cheapest sensor of the detection rate.

Null: miss rate <= q0 = 1 - r0. Factor 1 + lambda (miss - q0) with lambda = (q1 - q0) / (q0 (1 - q0)): the likelihood ratio of
q1 against q0, mean <= 1 under the null. Averaged over q1 at four distances between q0 and 1 (for r0 = .94: .12, .16, .32, .45;
these noticed 94 -> 88 after a median of 242 passes and 94 -> 68 after 28, where .10, .18, .32, .50 needed 264 and 28.5). False-alarm price: see ``evidence``; assumes passes that are
independent given the part, so the register must be rotated.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

DISTANCES = (np.array([0.12, 0.16, 0.32, 0.45]) - 0.06) / 0.94
"""(q1 - q0) / (1 - q0), so that every floor has alternatives."""


def challenge_log_factors(missed: ArrayLike, *, floor: float) -> Floats:
    """(..., 4) log factors against DR >= floor on challenge parts.

    >>> challenge_log_factors(True, floor=0.94).round(3).tolist()  # log(q1 / .06)
    [0.693, 0.981, 1.674, 2.015]
    """
    q0 = 1 - floor
    q1 = q0 + (1 - q0) * DISTANCES
    miss = np.asarray(missed, bool)[..., None]
    return np.where(miss, np.log(q1 / q0), np.log((1 - q1) / (1 - q0)))
