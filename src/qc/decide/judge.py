"""Inspection and recipe to verdict. A higher score never gives a milder verdict."""

import math

from qc.domain.frame import CameraFault
from qc.domain.recipe import Recipe
from qc.domain.verdict import Decision, Reason, Verdict

_FAULT_TEXT = {
    CameraFault.NO_FRAME: "the camera gave no frame for this trigger",
    CameraFault.UNREADABLE: "the image could not be read",
    CameraFault.TRUNCATED: "the image ends early",
    CameraFault.WRONG_SIZE: "the image has an unexpected size",
    CameraFault.FROZEN: "the camera repeats the same image",
    CameraFault.BLACK: "the image is black",
    CameraFault.SATURATED: "the image is overexposed",
    CameraFault.OUT_OF_FOCUS: "the image is out of focus",
}


def judge(score: float, recipe: Recipe) -> Verdict:
    """Compare a calibrated score in [0, 1] with the recipe's thresholds.

    A score that is not a finite number is a model error, never OK.
    """
    if not math.isfinite(score):
        return not_inspected(Reason.MODEL_ERROR, f"the model returned {score}")
    if score >= recipe.reject_at:
        return Verdict(Decision.NG, Reason.ABOVE_REJECT, f"score {score:.3f} >= reject_at {recipe.reject_at:.3f}")
    if score >= recipe.review_at:
        return Verdict(Decision.REVIEW, Reason.BETWEEN_THRESHOLDS, f"score {score:.3f} >= review_at {recipe.review_at:.3f}")
    return Verdict(Decision.OK, Reason.BELOW_REVIEW, f"score {score:.3f} < review_at {recipe.review_at:.3f}")


def review_all(verdict: Verdict) -> Verdict:
    """What becomes of a verdict while everything is to be reviewed: OK turns into REVIEW, the rest stays."""
    if verdict.decision is Decision.OK:
        return Verdict(Decision.REVIEW, Reason.REVIEW_ALL, f"{verdict.detail}; everything is reviewed at present")
    return verdict


def camera_fault(fault: CameraFault, detail: str = "") -> Verdict:
    """The verdict for a shot without a usable frame."""
    return not_inspected(Reason.CAMERA_FAULT, f"{_FAULT_TEXT[fault]}{': ' + detail if detail else ''}")


def deadline_missed(elapsed_ms: float, recipe: Recipe) -> Verdict:
    """The verdict for a part whose result would come too late for the machine."""
    return not_inspected(Reason.DEADLINE_MISSED, f"{elapsed_ms:.0f} ms > deadline_ms {recipe.deadline_ms:.0f}")


def not_inspected(reason: Reason, detail: str) -> Verdict:
    """A verdict that says: this part was not judged, and why."""
    return Verdict(Decision.NOT_INSPECTED, reason, detail)
