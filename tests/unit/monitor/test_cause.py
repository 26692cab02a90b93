"""Each cause by its typical findings, and each action by its evidence."""

import pytest

from qc.domain.alarm import Action, Cause
from qc.monitor.actions import suggested_action
from qc.monitor.cause import Findings, diagnose


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (Findings(watched=True, faulty_share=0.3, quality_moved=True), Cause.CAMERA_FAULT),
        (
            Findings(watched=True, quality_moved=True, score_moved=True, embedding_moved=True, detection_fell=True),
            Cause.ENVIRONMENT,
        ),
        (Findings(watched=True, embedding_moved=True, score_moved=True, reject_rate_moved=True), Cause.NEW_APPEARANCE),
        (
            Findings(watched=True, quality_moved=True, rejects_unlike=True, accepted_pictures_as_before=True),
            Cause.NEW_APPEARANCE,
        ),
        (Findings(watched=True, quality_moved=True, accepted_pictures_as_before=True), Cause.ENVIRONMENT),
        (Findings(watched=True, quality_moved=True, rejects_unlike=True), Cause.ENVIRONMENT),
        (Findings(watched=True, detection_fell=True), Cause.MODEL_DECAY),
        (Findings(watched=True, false_positives_rose=True, reject_rate_moved=True), Cause.MODEL_DECAY),
        (Findings(watched=True, reject_rate_moved=True), Cause.MODEL_DECAY),
        (Findings(watched=True, score_moved=True, only_high_scores=True, reject_rate_moved=True), Cause.PROCESS_CHANGE),
        (Findings(watched=True, prevalence_moved=True), Cause.PROCESS_CHANGE),
        (Findings(watched=True, prevalence_moved=True, detection_fell=True), Cause.MODEL_DECAY),
        (Findings(watched=True), Cause.UNKNOWN),
        (Findings(watched=False), Cause.UNKNOWN),
        (Findings(watched=False, detection_fell=True), Cause.UNKNOWN),
    ],
    ids=str,
)
def test_causes(found, cause):
    diagnosis = diagnose(found)
    assert diagnosis.cause is cause
    assert {name for name, _ in diagnosis.evidence} >= {"camera_fault", "environment", "process_change", "model_decay"}
    assert all(text for _, text in diagnosis.evidence)


def test_no_halt_without_labels():
    for quantity in ("score", "image_quality", "embedding", "reject_rate", "prevalence", "false_positive_rate"):
        assert suggested_action(quantity, 1e6, 10) is not Action.HALT
    assert suggested_action("detection_rate", 1e6, 10) is Action.HALT


def test_actions_only_grow_with_the_evidence():
    order = list(Action)
    for quantity in ("detection_rate", "score", "reject_rate"):
        grades = [order.index(suggested_action(quantity, 10 + step, 10)) for step in (-1, 0, 2, 4, 8)]
        assert grades[0] == 0
        assert grades == sorted(grades)
