"""The answer for one part."""

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """The four possible answers, mildest first; there is no silence and no OK by default."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"
    NOT_INSPECTED = "NOT_INSPECTED"


class Reason(StrEnum):
    """Why the decision fell as it did."""

    BELOW_REVIEW = "below_review_at"
    BETWEEN_THRESHOLDS = "between_thresholds"
    ABOVE_REJECT = "above_reject_at"
    REVIEW_ALL = "review_all"
    """The score says OK, but the line is in the state in which everything is reviewed."""
    CAMERA_FAULT = "camera_fault"
    MODEL_ERROR = "model_error"
    DEADLINE_MISSED = "deadline_missed"
    OVERLOAD = "overload"
    """The trigger came while the queue in front of the model was full."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision with its reason; ``detail`` is a sentence for people."""

    decision: Decision
    reason: Reason
    detail: str = ""
