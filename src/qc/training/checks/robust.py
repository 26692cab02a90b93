"""Outliers by median and median absolute deviation, which the outliers themselves cannot hide."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA: Final = 1.4826
SIGMAS: Final = 6.0
"""A normal distribution passes 6 sigma twice in 10^9; real lighting has heavier tails, and 4 sigma listed sound pictures."""
SMALLEST_GROUP: Final = 8
"""With fewer pictures a median deviation says nothing."""


def deviations(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Signed distance from the median in robust sigmas; floor: smallest sigma, in the unit of the values.

    >>> deviations(np.array([1.0, 1.1, 0.9, 1.0, 5.0]), floor=0.5)
    array([ 0. ,  0.2, -0.2,  0. ,  8. ])
    """
    middle = np.median(values)
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(values - middle))), floor)
    return np.asarray(np.round((values - middle) / sigma, 6), dtype=np.float64)


def grouped_deviations(values: NDArray[np.float64], keys: NDArray[np.int64], floor: float) -> NDArray[np.float64]:
    """``deviations`` within each key; keys with fewer than SMALLEST_GROUP values are joined with all others of their kind."""
    result = np.zeros(len(values))
    counts = np.bincount(keys, minlength=1)
    small = counts[keys] < SMALLEST_GROUP
    for key in np.flatnonzero(counts >= SMALLEST_GROUP):
        result[keys == key] = deviations(values[keys == key], floor)
    if small.any() and len(values) >= SMALLEST_GROUP:
        result[small] = deviations(values, floor)[small]
    return result
