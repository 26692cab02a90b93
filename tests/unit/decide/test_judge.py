"""Verdicts: thresholds, monotonicity, and never OK by default."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.decide.judge import camera_fault, deadline_missed, judge, review_all
from qc.domain.frame import CameraFault
from qc.domain.recipe import Recipe
from qc.domain.verdict import Decision, Reason

RECIPE = Recipe(variant="cell", model_id="m", review_at=0.4, reject_at=0.6)
SEVERITY = [Decision.OK, Decision.REVIEW, Decision.NG]
unit = st.floats(0, 1)


@pytest.mark.parametrize(
    ("score", "decision", "reason"),
    [
        (0.0, Decision.OK, Reason.BELOW_REVIEW),
        (0.399, Decision.OK, Reason.BELOW_REVIEW),
        (0.4, Decision.REVIEW, Reason.BETWEEN_THRESHOLDS),
        (0.6, Decision.NG, Reason.ABOVE_REJECT),
        (1.0, Decision.NG, Reason.ABOVE_REJECT),
    ],
)
def test_thresholds_are_inclusive(score: float, decision: Decision, reason: Reason) -> None:
    verdict = judge(score, RECIPE)
    assert (verdict.decision, verdict.reason) == (decision, reason)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_a_model_error(score: float) -> None:
    assert judge(score, RECIPE).reason is Reason.MODEL_ERROR
    assert judge(score, RECIPE).decision is Decision.NOT_INSPECTED


@given(a=unit, b=unit, t=st.tuples(unit, unit))
def test_a_higher_score_never_gives_a_milder_verdict(a: float, b: float, t: tuple[float, float]) -> None:
    recipe = Recipe(variant="cell", model_id="m", review_at=min(t), reject_at=max(t))
    low, high = judge(min(a, b), recipe), judge(max(a, b), recipe)
    assert SEVERITY.index(high.decision) >= SEVERITY.index(low.decision)
    assert SEVERITY.index(review_all(high).decision) >= SEVERITY.index(review_all(low).decision)


def test_reviewing_everything_leaves_no_ok_and_keeps_ng() -> None:
    assert review_all(judge(0.1, RECIPE)).reason is Reason.REVIEW_ALL
    assert review_all(judge(0.9, RECIPE)) == judge(0.9, RECIPE)


@pytest.mark.parametrize("fault", CameraFault)
def test_every_camera_fault_has_a_sentence(fault: CameraFault) -> None:
    verdict = camera_fault(fault, "cam1")
    assert verdict.decision is Decision.NOT_INSPECTED
    assert verdict.detail.endswith(": cam1")


def test_a_late_result_names_both_times() -> None:
    assert deadline_missed(1234.4, RECIPE).detail == "1234 ms > deadline_ms 1000"
