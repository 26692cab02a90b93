"""What to do about an alarm, graded by what it is and how far its evidence exceeds the threshold.

    quantity              at the threshold     10 times beyond      1,000 times beyond
    detection rate        raise sampling       review all           halt
    false-positive rate   advise               raise sampling       review all
    reject rate, rising   raise sampling       raise sampling       review all
    reject rate, falling  raise sampling       raise sampling       raise sampling
    score, image quality  advise               raise sampling       raise sampling
    embedding             advise               raise sampling       raise sampling
    prevalence            advise               advise               raise sampling

Only evidence from labels and challenge parts asks for a halt: the others never show that defects escape.
"""

import math

from qc.domain.alarm import Action

_A, _S, _R, _H = Action.ADVISE, Action.RAISE_SAMPLING, Action.REVIEW_ALL, Action.HALT

_GRADES = {
    "detection_rate": (_S, _R, _H),
    "false_positive_rate": (_A, _S, _R),
    "reject_rate": (_S, _S, _R),
    "reject_rate_fall": (_S, _S, _S),
    "score": (_A, _S, _S),
    "image_quality": (_A, _S, _S),
    "embedding": (_A, _S, _S),
    "prevalence": (_A, _A, _S),
}


def suggested_action(quantity: str, log_value: float, log_threshold: float) -> Action:
    """NONE below the threshold.

    >>> suggested_action("detection_rate", 12.0, 9.0)
    <Action.REVIEW_ALL: 'review_all'>
    """
    excess = log_value - log_threshold
    if excess < 0:
        return Action.NONE
    grade = 0 if excess < math.log(10) else 1 if excess < math.log(1000) else 2
    return _GRADES[quantity][grade]
