"""What the one threshold of a model does to each of its variants, out of fold, and which threshold would suit a variant better."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import Json
from qc.training.metrics import rates_at
from qc.training.thresholds import Aim, choose_thresholds

MIN_GOOD = 10


def rates_by_variant(
    scores: NDArray[np.float64], labels: NDArray[np.int64], variants: Sequence[str], reject_at: float, aim: Aim
) -> tuple[dict[str, Json], list[str]]:
    """(variant -> rates at ``reject_at`` and thresholds of its own, limits as sentences).

    scores, labels: (n,) out-of-fold calibrated scores and 0 / 1. Empty with fewer than two variants of at least 10 good pictures.
    """
    names = np.array(variants)
    known = [str(name) for name in np.unique(names) if name and ((names == name) & (labels == 0)).sum() >= MIN_GOOD]
    table: dict[str, Json] = {}
    limits = []
    for name in known if len(known) > 1 else []:
        inside = names == name
        detection, false_positive = rates_at(scores[inside], labels[inside], reject_at)
        own = choose_thresholds(scores[inside & (labels == 0)], scores[inside & (labels == 1)], aim)
        table[name] = {
            "detection_rate": detection.as_json(),
            "false_positive_rate": false_positive.as_json(),
            "own_review_at": own.review_at,
            "own_reject_at": own.reject_at,
        }
        if false_positive.low is not None and false_positive.low > aim.fpr_limit:
            limits.append(
                f"variant {name}: {false_positive.estimate:.0%} of its good parts would be rejected at {reject_at:.3f}; "
                f"put reject_at {own.reject_at:.3f} and review_at {own.review_at:.3f} into its recipe"
            )
    return table, limits
