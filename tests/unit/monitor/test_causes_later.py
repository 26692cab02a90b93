"""The cause of an open alarm follows the evidence, and what tells more defects from a worse model."""

import numpy as np
import pytest

from qc.domain.alarm import Action, Cause
from qc.monitor.label_shift import label_shift
from qc.monitor.reject_rate import TwoSidedRejectRate
from qc.monitor.score_move import ScoreTrail

from .conftest import LEARNED, Production

REJECT_RATE = ("reject_rate", "cell/cam1")
HALT = ("halt_policy", "cell")


def learned(make_rig, **world):
    rig, production = make_rig(), Production(seed=11, **world)
    rig.feed(production.parts(LEARNED))
    return rig, production


def halt(rig):
    """What the edge does when the halt policy speaks: it asks the monitor for the cause there and then."""
    found = rig.monitor.diagnosis("cell")
    rig.book.report(
        *HALT, cause=found.cause, action=Action.HALT, message="38 NG", parts=["e000001"], evidence_by_cause=found.evidence
    )
    return rig.open()[HALT]


def test_a_threshold_that_is_too_high_is_found_without_labels(make_rig):
    rig, production = learned(make_rig, prevalence=0.1)
    production.reject_at = 0.999
    rig.feed(production.parts(400))
    alarm = rig.open()[REJECT_RATE]
    assert alarm.cause is Cause.MODEL_DECAY
    assert alarm.action is Action.RAISE_SAMPLING  # fewer rejects alone never review everything
    assert "has fallen" in alarm.message
    assert "the threshold was changed" in dict(alarm.evidence_by_cause)["model_decay"]
    assert alarm.parts


def test_fewer_defects_are_a_process_change_and_not_a_decay(make_rig):
    rig, production = learned(make_rig, prevalence=0.08)
    production.prevalence = 0.005
    rig.feed(production.parts(1500))
    assert rig.open()[REJECT_RATE].cause is Cause.PROCESS_CHANGE


def test_the_halt_policys_alarm_gets_its_cause_when_there_is_one(make_rig):
    rig, production = learned(make_rig, prevalence=0.05)
    production.brightness, production.score_shift = 60.0, 6.0
    rig.feed(production.parts(6))
    first = halt(rig)
    assert first.cause is Cause.UNKNOWN
    rig.feed(production.parts(30))
    later = rig.open()[HALT]
    assert (later.alarm_id, later.cause, later.action) == (first.alarm_id, Cause.ENVIRONMENT, Action.HALT)
    assert later.message == first.message
    assert len(later.parts) > 1
    assert [alarm.cause for alarm in rig.told if alarm.alarm_id == first.alarm_id] == [Cause.UNKNOWN, Cause.ENVIRONMENT]


def test_what_somebody_else_raised_without_a_cause_of_ours_is_left_alone(make_rig):
    rig, production = learned(make_rig, prevalence=0.05)
    rig.book.report("disk", "cell", cause=Cause.SYSTEM, action=Action.ADVISE, message="disk is full")
    production.brightness = 60.0
    rig.feed(production.parts(300))
    assert rig.open()["disk", "cell"].cause is Cause.SYSTEM


def test_an_acknowledged_alarm_stays_acknowledged_when_its_cause_is_found(make_rig):
    rig, production = learned(make_rig, prevalence=0.05)
    production.brightness = 60.0
    rig.feed(production.parts(6))
    rig.book.acknowledge(halt(rig).alarm_id, "ann", "looking")
    rig.feed(production.parts(60))
    alarm = rig.open()[HALT]
    assert (alarm.cause, alarm.acknowledged_by, alarm.state.value) == (Cause.ENVIRONMENT, "ann", "acknowledged")


def test_both_sides_of_the_reject_rate_survive_a_restart():
    detector = TwoSidedRejectRate(0.05, 0.1, 12.0)
    for i in range(200):
        detector.update(i % 50 == 0)
    again = TwoSidedRejectRate.restored(detector.state(), 12.0)
    assert again.state() == detector.state()
    for one in (detector, again):
        one.update(False)
    assert again.log_value() == detector.log_value()
    assert not again.rose


@pytest.mark.parametrize(
    ("more", "only_high"), [((0.02, 0.036, 0.038), True), ((0.19, 0.12, 0.04), False), ((-0.02, -0.036, -0.038), True)]
)
def test_only_high_scores_or_all_of_them(more, only_high):
    rng = np.random.default_rng(0)
    sigma, trail = np.array([0.03, 0.02, 0.01]), ScoreTrail()
    for lot in range(40):
        trail.add(rng.normal(size=3) * sigma / 1.2 + (np.array(more) if lot >= 30 else 0))
    move = trail.move(sigma)
    assert move.sure
    assert move.only_high is only_high
    assert 8 <= move.lots <= 13  # the change point is found
    again = ScoreTrail()
    again.restore(trail.state())
    assert again.move(sigma) == move


def test_nothing_moved_says_nothing():
    rng = np.random.default_rng(1)
    sigma, trail = np.array([0.03, 0.02, 0.01]), ScoreTrail()
    assert not trail.move(sigma).only_high
    for _ in range(60):
        trail.add(rng.normal(size=3) * sigma / 1.2)
    assert not trail.move(sigma).only_high


def windows(rng, count, *, prevalence, fpr):
    """Labelled parts of so many shifts of 2,500 parts: rejects drawn with q .4, accepted ones with .05; DR .8."""
    found = []
    for _ in range(count):
        y = rng.random(2500) < prevalence
        d = np.where(y, rng.random(len(y)) < 0.8, rng.random(len(y)) < fpr)
        q = np.where(d, 0.4, 0.05)
        drawn = rng.random(len(y)) < q
        found.append((y[drawn], d[drawn], q[drawn]))
    return found


@pytest.mark.parametrize(
    ("prevalence", "fpr", "says"), [(0.08, 0.1, "more_defects"), (0.03, 0.25, "more_false_rejects"), (0.03, 0.1, "")]
)
def test_labels_tell_more_defects_from_more_false_rejects(prevalence, fpr, says):
    rng = np.random.default_rng(2)
    shift = label_shift([*windows(rng, 8, prevalence=0.03, fpr=0.1), *windows(rng, 4, prevalence=prevalence, fpr=fpr)])
    assert [name for name in ("more_defects", "fewer_defects", "more_false_rejects") if getattr(shift, name)] == [says] * bool(
        says
    )
    assert bool(shift.text) is bool(says)


def test_few_labels_or_one_window_say_nothing():
    rng = np.random.default_rng(3)
    assert label_shift([]).text == ""
    assert label_shift(windows(rng, 1, prevalence=0.5, fpr=0.5)).text == ""
    tiny = (np.ones(3, bool), np.ones(3, bool), np.full(3, 0.5))
    assert label_shift([tiny, tiny]).text == ""
