"""The monitor on simulated production: what is raised, why, what happens to it, and that it can be replayed to the bit."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from qc.domain.alarm import Action, AlarmState, Cause
from qc.domain.truth import Answer, ChallengePass, Label, Purpose, SampleTicket, Truth
from qc.domain.verdict import Decision, Reason, Verdict
from qc.monitor.replay import replay
from qc.record.rows import embedding, embedding_blob

from .conftest import LEARNED, PLAN, START, Production


@pytest.fixture(scope="module")
def commissioned():
    """The parts of commissioning: simulated once."""
    production = Production(seed=1)
    return list(production.parts(LEARNED)), production


def started(make_rig, commissioned, **changes):
    """A rig that has learned its reference, and the production that goes on from there."""
    records, production = commissioned
    rig = make_rig(**changes)
    rig.feed(iter(records))
    on = Production(seed=2, made=production.made)
    return rig, on


def answer(i, *, rejected, truth, window, number=1, at=START):
    stratum, q = ("r1", 0.2) if rejected else ("a2", 0.1)
    purpose = Purpose.ESTIMATE if number == 1 else Purpose.ADJUDICATE
    ticket = SampleTicket(f"t{i}-{number}", f"e{i:06d}", f"p{i:06d}", window, stratum, q, PLAN.policy, purpose, at, at, number)
    return Answer(ticket, Label(f"l{i}-{number}", ticket.ticket_id, truth, "", "ann", at, review_round=number))


# What is raised, and why


def test_good_production_raises_nothing(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    rig.feed(production.parts(6000))
    assert rig.told == []
    assert {reading.quantity for reading in rig.monitor.readings() if reading.log_value is not None} == {
        "detection_rate",
        "false_positive_rate",
        "prevalence",
        "score",
        "image_quality",
        "embedding",
        "reject_rate",
    }


@pytest.mark.parametrize(
    ("change", "quantity", "cause", "most_parts"),
    [
        ({"brightness": 116.0}, "image_quality", Cause.ENVIRONMENT, 500),
        ({"appearance": 0.5}, "embedding", Cause.NEW_APPEARANCE, 1500),
        ({"prevalence": 0.15}, "reject_rate", Cause.PROCESS_CHANGE, 600),
        ({"score_shift": 0.5}, "score", Cause.MODEL_DECAY, 1000),
        ({"reject_at": 0.05}, "reject_rate", Cause.MODEL_DECAY, 200),
    ],
    ids=str,
)
def test_changes_are_noticed_and_named(make_rig, commissioned, change, quantity, cause, most_parts):
    rig, production = started(make_rig, commissioned)
    for name, value in change.items():
        setattr(production, name, value)
    rig.feed(production.parts(most_parts))
    alarm = rig.open()[quantity, "cell/cam1"]
    assert alarm.cause is cause
    assert alarm.evidence >= alarm.threshold
    assert alarm.action in (Action.ADVISE, Action.RAISE_SAMPLING, Action.REVIEW_ALL)
    assert alarm.parts
    assert all(part.startswith("e") for part in alarm.parts)
    assert dict(alarm.evidence_by_cause)[cause.value]


def test_the_darkest_parts_are_shown(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 116
    records = list(production.parts(300))
    rig.feed(iter(records))
    shown = rig.open()["image_quality", "cell/cam1"].parts[:5]
    brightness = {record.event_id: record.quality.brightness for record in records}
    assert max(brightness[part] for part in shown) < np.median(list(brightness.values()))


def test_a_burst_is_one_alarm_with_updates(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 100
    rig.feed(production.parts(2000))
    assert list(rig.open()) == [("image_quality", "cell/cam1")]
    assert len({alarm.alarm_id for alarm in rig.told}) == 1
    assert len(rig.told) <= 20


def test_missed_challenge_parts_raise_the_detection_alarm_with_a_grade(make_rig, commissioned):
    rig, _ = started(make_rig, commissioned)
    for i in range(40):
        rig.monitor.on_pass("cell", ChallengePass(f"k{i}", "K1", "2026-03-01/early", START, rejected=i % 2 == 0))
    alarm = rig.open()["detection_rate", "cell"]
    assert alarm.cause is Cause.MODEL_DECAY
    assert alarm.action is Action.HALT
    assert set(alarm.parts) <= {f"k{i}" for i in range(1, 40, 2)}


def test_confirmed_escapes_raise_it_and_unconfirmed_ones_do_not(make_rig, commissioned):
    rig, _ = started(make_rig, commissioned)
    for i in range(12):
        rig.monitor.on_answer("cell", answer(i, rejected=False, truth=Truth.DEFECT, window="2026-03-01/early"))
    assert rig.open() == {}
    for i in range(12):
        rig.monitor.on_answer("cell", answer(i, rejected=False, truth=Truth.DEFECT, window="2026-03-01/early", number=2))
    assert ("detection_rate", "cell") in rig.open()


def test_training_labels_are_not_looked_at(make_rig, commissioned):
    rig, _ = started(make_rig, commissioned)
    for i in range(200):
        one = answer(i, rejected=True, truth=Truth.GOOD, window="2026-03-01/early")
        rig.monitor.on_answer("cell", replace(one, ticket=replace(one.ticket, purpose=Purpose.TRAINING)))
    assert rig.open() == {}


# What is not production


def test_challenge_canary_uninspected_and_planned_stops_do_not_count(make_rig, commissioned):
    stop = START + timedelta(seconds=LEARNED + 3000)
    rig, production = started(make_rig, commissioned, planned_stop=lambda at: "cleaning" if at > stop else None)
    before = rig.monitor.state()
    production.score_shift, production.brightness = 5.0, 20.0
    nothing = Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT)
    rig.feed(replace(record, challenge_id="K1") for record in production.parts(1000))
    rig.feed(replace(record, role="canary") for record in production.parts(1000))
    rig.feed(replace(record, score=None, verdict=nothing) for record in production.parts(1000))
    rig.feed(production.parts(1000))  # during the planned stop
    assert rig.told == []
    assert rig.monitor.state()["inputs"] == before["inputs"]


def test_camera_faults_become_the_cause(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 100
    broken = Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT, "black")
    rig.feed(replace(r, score=None, verdict=broken) if r.seq % 4 == 0 else r for r in production.parts(600))
    assert rig.open()["image_quality", "cell/cam1"].cause is Cause.CAMERA_FAULT


# Restart rules


def test_acknowledged_and_gone_clears_by_itself(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 112
    rig.feed(production.parts(300))
    alarm = rig.open()["image_quality", "cell/cam1"]
    rig.book.acknowledge(alarm.alarm_id, "ann", "lamp replaced")
    production.brightness = 120
    rig.feed(production.parts(1000))
    assert rig.open() == {}
    assert rig.told[-1].state is AlarmState.CLEARED


def test_acknowledged_and_still_there_is_a_new_alarm(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 112
    rig.feed(production.parts(300))
    first = rig.open()["image_quality", "cell/cam1"]
    rig.book.acknowledge(first.alarm_id, "ann")
    rig.feed(production.parts(600))
    again = rig.open()["image_quality", "cell/cam1"]
    assert again.alarm_id != first.alarm_id
    assert again.state is AlarmState.OPEN


def test_without_acknowledgement_it_stays(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 112
    rig.feed(production.parts(300))
    production.brightness = 120
    rig.feed(production.parts(700))
    assert ("image_quality", "cell/cam1") in rig.open()


def test_relearning_accepts_the_new_normal(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 112
    rig.feed(production.parts(300))
    rig.monitor.relearn("cell", "cam1")
    assert rig.open() == {}
    rig.feed(production.parts(LEARNED + 500))
    assert rig.open() == {}


def test_a_new_model_starts_everything_anew(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    for i in range(40):
        rig.monitor.on_pass("cell", ChallengePass(f"k{i}", "K1", "2026-03-01/early", START, rejected=i % 2 == 0))
    assert rig.open()
    production.model = "1" * 64
    rig.feed(production.parts(200))
    assert rig.open() == {}
    values = {(r.quantity, r.slice): r.log_value for r in rig.monitor.readings()}
    assert values["detection_rate", "cell"] == 0
    assert values["score", "cell/cam1"] is None
    # A pass from before the change is no evidence against the new model.
    rig.monitor.on_pass("cell", ChallengePass("late", "K1", "2026-03-01/early", START, rejected=False))
    assert {(r.quantity, r.slice): r.log_value for r in rig.monitor.readings()}["detection_rate", "cell"] == 0


def test_an_alarm_that_is_open_at_the_start_is_taken_over(make_rig, commissioned):
    rig, production = started(make_rig, commissioned)
    production.brightness = 112
    rig.feed(production.parts(300))
    alarm = rig.open()["image_quality", "cell/cam1"]
    from qc.monitor.watch import Monitor

    from .conftest import SETTINGS

    later = Monitor(rig.book, SETTINGS, lambda *_: PLAN)
    later.restore(json.loads(json.dumps(rig.monitor.state())))
    rig.book.acknowledge(alarm.alarm_id, "ann")
    production.brightness = 120
    for record in production.parts(1000):
        later.on_record(record)
    assert rig.open() == {}


# State and replay


def labels_and_passes():
    shifts = ("2026-03-01/early", "2026-03-01/late")
    answers, passes = [], []
    for i in range(100):
        at = START + timedelta(seconds=LEARNED + 40 * i + 10)
        window = shifts[i >= 50]
        truth = Truth.DEFECT if i % 7 == 0 else Truth.GOOD
        answers.append(("cell", answer(i, rejected=i % 3 == 0, truth=truth, window=window, at=at)))
        if i % 25 == 0:
            passes.append(("cell", ChallengePass(f"k{i}", "K1", window, at, rejected=i % 50 == 0)))
    return answers, passes


def production_with_two_shifts(commissioned):
    records, made = commissioned
    early = Production(seed=3, made=made.made)
    late = Production(seed=4, made=made.made + 2000, shift="2026-03-01/late", brightness=118)
    return [*records, *early.parts(2000), *late.parts(2050)]


@pytest.mark.parametrize("stop_at", [LEARNED - 1234, LEARNED + 777, LEARNED + 2000, LEARNED + 3999])
def test_a_restart_changes_nothing(make_rig, commissioned, stop_at):
    """State saved at any instant, through JSON, and the stored records since then: the same values to the last bit."""
    records = production_with_two_shifts(commissioned)
    straight, before, after = make_rig(), make_rig(), make_rig()
    straight.feed(iter(records))
    before.feed(iter(records[:stop_at]))
    after.monitor.restore(json.loads(json.dumps(before.monitor.state())))
    resume = after.monitor.resume_after
    assert resume <= stop_at
    # From the store: embeddings come back as float16.
    after.feed(replace(r, embedding=embedding(embedding_blob(r.embedding))) for r in records if r.seq > resume)
    assert after.monitor.readings() == straight.monitor.readings()
    assert json.dumps(after.monitor.state(), sort_keys=True) == json.dumps(straight.monitor.state(), sort_keys=True)
    # Values too, not only both silent.
    assert any(reading.log_value not in (None, 0.0) for reading in straight.monitor.readings())


def test_everything_can_be_replayed_from_the_records(make_rig, commissioned):
    records = production_with_two_shifts(commissioned)
    answers, passes = labels_and_passes()
    live, again = make_rig(), make_rig()
    replay(live.monitor, records, answers, passes)
    stored = [replace(r, embedding=embedding(embedding_blob(r.embedding))) for r in records]
    replay(again.monitor, stored, answers, passes)
    assert again.monitor.state() == live.monitor.state()
    # Feeding labels and passes again after a restart changes nothing.
    replay(again.monitor, [], answers, passes)
    assert again.monitor.state() == live.monitor.state()
    values = {r.quantity: r.log_value for r in live.monitor.readings()}
    assert values["detection_rate"] not in (None, 0.0)
    assert values["false_positive_rate"] not in (None, 0.0)


def test_a_state_of_another_format_is_ignored(make_rig):
    rig = make_rig()
    rig.monitor.restore({"format": 99})
    assert rig.monitor.resume_after == 0
