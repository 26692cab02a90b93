"""Where REVIEW begins and ends, so that the parts that are decided keep the contract and people look at as few of the others as possible.

A part between ``review_at`` and ``reject_at`` goes to a person. Among those that the line decides by itself the detection rate is
P(NG | defective, decided) and the false-positive rate P(NG | good, decided); what is given up for them is the share of parts in review.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

STEPS = 200
"""Candidate thresholds: quantiles of all scores; more tell no difference between a few hundred parts."""


def review_band(
    good: Scores, defect: Scores, *, dr_floor: float, fpr_limit: float, prevalence: float, most_review: float
) -> tuple[float, float, float, bool]:
    """(review_at, reject_at, share of parts in review at this prevalence, whether both limits are kept).

    good, defect: (n,) scores, each not empty. The narrowest band that keeps both limits; where none within ``most_review`` does, the
    one that strains the worse of them least.

    >>> good, defect = np.linspace(0.0, 0.6, 101), np.linspace(0.4, 1.0, 101)
    >>> low, high, review, kept = review_band(good, defect, dr_floor=0.94, fpr_limit=0.08, prevalence=0.1, most_review=0.5)
    >>> round(low, 2), round(high, 2), round(review, 2), kept
    (0.42, 0.56, 0.24, True)
    """
    cuts = np.unique(np.quantile(np.concatenate([good, defect]), np.linspace(0, 1, STEPS)))
    good_below, defect_below = (np.searchsorted(np.sort(x), cuts, side="left") / len(x) for x in (good, defect))
    low, high = np.triu_indices(len(cuts))  # every pair review_at <= reject_at
    miss = _share(defect_below[low], 1 - defect_below[high])
    false = _share(1 - good_below[high], good_below[low])
    review = prevalence * (defect_below[high] - defect_below[low]) + (1 - prevalence) * (good_below[high] - good_below[low])
    strain = np.maximum(miss / (1 - dr_floor), false / fpr_limit)
    allowed = review <= most_review
    kept = allowed & (strain <= 1)
    # Among the narrowest bands the one that strains least; without any, the least strained that is allowed.
    best = (
        int(np.lexsort((strain, np.round(review, 3), ~kept))[0])
        if kept.any()
        else int(np.where(allowed, strain, np.inf).argmin())
    )
    return float(cuts[low[best]]), float(cuts[high[best]]), float(review[best]), bool(kept.any())


def _share(part: Scores, rest: Scores) -> Scores:
    """part / (part + rest), 0 where nothing is decided."""
    total = part + rest
    return np.divide(part, total, out=np.zeros_like(part), where=total > 0)
