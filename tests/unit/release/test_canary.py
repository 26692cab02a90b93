"""When a candidate loses the decision, and when it must not."""

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.release.test_suggest import part

from qc.domain.inspection import StageTimings
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.release.canary import CanaryGuard, CanaryRules


def judged(rejected: bool, total_ms: float = 10.0, **fields: object) -> InspectionRecord:
    record = replace(part(1, score=0.9 if rejected else 0.1), timings=StageTimings(total_ms=total_ms))
    return replace(record, **fields)


REJECT, ACCEPT = judged(True), judged(False)


def parts_until_reason(rate: float, guard: CanaryGuard, seed: int, limit: int = 5000) -> tuple[int, str]:
    rng = np.random.default_rng(seed)
    for number in range(1, limit + 1):
        if reason := guard.judged(REJECT if rng.random() < rate else ACCEPT):
            return number, reason
    return limit, ""


def test_a_jump_of_the_reject_rate_is_noticed_within_tens_of_parts() -> None:
    parts = [parts_until_reason(0.6, CanaryGuard(0.08, 1000), seed)[0] for seed in range(20)]
    assert np.median(parts) <= 30
    assert max(parts) <= 60


def test_a_candidate_that_accepts_everything_is_noticed() -> None:
    number, reason = parts_until_reason(0.0, CanaryGuard(0.08, 1000), 0)
    assert number <= 700
    assert "far fewer" in reason


@pytest.mark.parametrize("rate", [0.05, 0.08, 0.12])
def test_a_rate_like_the_active_model_s_is_left_alone(rate: float) -> None:
    assert sum(bool(parts_until_reason(rate, CanaryGuard(0.08, 1000), seed)[1]) for seed in range(10)) == 0


def test_the_first_error_or_missed_deadline_ends_it() -> None:
    late = judged(False, verdict=Verdict(Decision.NOT_INSPECTED, Reason.DEADLINE_MISSED))
    assert "could not be judged" in CanaryGuard(0.08, 1000).judged(late)
    guard = CanaryGuard(0.08, 1000, CanaryRules(errors=2))
    assert guard.failed() == ""
    assert guard.failed() != ""


def test_one_slow_part_is_excused_and_ten_are_not() -> None:
    guard = CanaryGuard(0.08, 1000)
    assert [guard.judged(judged(False, 10.0 if number else 5000.0)) for number in range(40)] == [""] * 40
    reasons = [guard.judged(judged(False, 900.0)) for _ in range(11)]
    assert reasons[0] == ""
    assert "too slow" in reasons[-1]


def test_camera_faults_and_challenge_parts_are_no_evidence() -> None:
    guard = CanaryGuard(0.08, 1000)
    fault = judged(False, verdict=Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT), score=None)
    assert {guard.judged(fault) for _ in range(50)} == {""}
    assert {guard.judged(judged(True, challenge_id="c1")) for _ in range(50)} == {""}
