"""What people and machines may do to a line: every command does its work or is refused by code; both leave their traces."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from qc.control import LEVEL_ALARM, Control, ControlPorts
from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.clock import SystemClock
from qc.domain.errors import BundleError, CommandError, LabelError, PublishError, StoreError, UnknownPart
from qc.domain.ports import Command, CommandHandler, Inspector
from qc.domain.recipe import HaltPolicy, Recipe
from qc.domain.record import AuditEntry, Entry, EventKind, Json
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame, OnCommand
from qc.inspection.fake import FakeInspector
from qc.inspection.heatmap import encode_map
from qc.inspection.tiny import tiny_card
from qc.line import Line, LinePorts
from qc.line.latest import LatestParts
from qc.line.ports import NoSignal
from qc.line.shelf import Shelf
from qc.monitor.alarm_book import StoredAlarmBook
from qc.publish.events import alarm_event
from qc.publish.fake import MemoryPublisher
from qc.publish.topics import EdgeName
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.database import Database
from qc.record.fake import MemoryImageArchive, MemoryRecordStore

NAME = EdgeName("s", "a", "l", "e")
RECIPES = {
    "cell": Recipe(variant="cell", model_id="m1", review_at=0.4, reject_at=0.6),
    "other": Recipe(variant="other", model_id="m2", review_at=0.3, reject_at=0.5),
    "broken": Recipe(variant="broken", model_id="bad", review_at=0.3, reject_at=0.5),
}


class Store(MemoryRecordStore):
    """A memory store whose audit or events can be made to fail."""

    audit_fails = events_fail = False

    def audit(self, entry: AuditEntry) -> None:
        if self.audit_fails:
            raise StoreError("disk full")
        super().audit(entry)

    def append(self, entries: Sequence[Entry]) -> list[int]:
        if self.events_fail:
            raise StoreError("disk full")
        return super().append(entries)


class Signal(NoSignal):
    def __init__(self) -> None:
        self.halts: list[str] = []

    def request_halt(self, reason: str) -> None:
        self.halts.append(reason)


def load(model_id: str) -> Inspector:
    if model_id == "bad":
        raise BundleError("models/bad: model.onnx does not match its hash")
    return FakeInspector(tiny_card(model_id))


@dataclass
class Rig:
    line: Line
    control: Control
    store: Store
    publisher: MemoryPublisher
    archive: MemoryImageArchive
    alarms: StoredAlarmBook
    signal: Signal
    remembered: list[str] = field(default_factory=list)
    halts: list[int] = field(default_factory=list)

    def do(self, name: str, **body: Json) -> Mapping[str, Json]:
        return self.control.handle(Command(name, body, who="anna", via="http"))

    def refused(self, name: str, **body: Json) -> CommandError:
        with pytest.raises(CommandError) as caught:
            self.do(name, **body)
        return caught.value

    def audit(self) -> list[tuple[str, str, str, str]]:
        """(who, via, action, outcome), oldest first."""
        return [(entry.who, entry.via, entry.action, entry.outcome) for entry in reversed(self.store.audit_trail())]

    def told(self) -> list[dict[str, Json]]:
        """Bodies of the evt/line messages that arrived at the broker."""
        return [body for topic, body in self.publisher.messages if topic.endswith("/evt/line")]

    def alarm(self, quantity: str, action: Action = Action.ADVISE) -> Alarm:
        return self.alarms.report(quantity, "cell", cause=Cause.UNKNOWN, action=action, message=f"{quantity} is off")


def make(tmp_path: Path, cameras: Sequence[TriggeredCamera], *, recipe: Recipe = RECIPES["cell"], **extra: CommandHandler) -> Rig:
    store, signal, latest, clock = Store(), Signal(), LatestParts(), SystemClock()
    archive = MemoryImageArchive(encode_heatmap=encode_map)
    publisher = MemoryPublisher(store, NAME)
    publisher.start()
    alarms = StoredAlarmBook(
        SqliteAlarmStore(Database(tmp_path / "alarms.sqlite3")),
        clock,
        lambda alarm: store.append([Entry(alarm_event(alarm, NAME))]),
    )
    shelf = Shelf({**RECIPES, recipe.variant: recipe}, load)
    ports = LinePorts(
        name=NAME,
        cameras=cameras,
        store=store,
        archive=archive,
        publisher=publisher,
        signal=signal,
        clock=clock,
        shift_of=lambda _at: "2026-11-24/early",
        observers=[latest],
    )
    line = Line(ports, shelf.setup(recipe.variant))
    remembered: list[str] = []
    halts: list[int] = []
    control_ports = ControlPorts(
        name=NAME,
        cameras=cameras,
        store=store,
        archive=archive,
        publisher=publisher,
        alarms=alarms,
        clock=clock,
        latest=latest,
        remember=remembered.append,
        halted=halts.append,
    )
    return Rig(line, Control(line, shelf, control_ports, extra), store, publisher, archive, alarms, signal, remembered, halts)


def picture(level: int = 99) -> np.ndarray:
    pixels = np.full((32, 32, 3), level, np.uint8)
    pixels[::2, ::2] = level // 2
    return pixels


def replaying(camera_id: str = "cam1", pictures: int = 1) -> TriggeredCamera:
    return TriggeredCamera(ScriptedSource(camera_id, [picture()] * pictures), EachFrame())


def commanded(camera_id: str = "cam1") -> TriggeredCamera:
    return TriggeredCamera(ScriptedSource(camera_id, [picture()] * 5), OnCommand())


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return make(tmp_path, [replaying()])


# --- changeover -------------------------------------------------------------------------------------------


def test_a_changeover_swaps_recipe_and_model_and_is_remembered_told_and_audited(rig: Rig) -> None:
    answer = rig.do("recipe", variant="other", operator="Bea")
    assert answer == {
        "variant": "other",
        "recipe_version": RECIPES["other"].version,
        "model": "m2",
        "former_variant": "cell",
    }
    assert (rig.line.setup.recipe.variant, rig.line.setup.inspector.card.model_id) == ("other", "m2")
    assert rig.remembered == ["other"]
    (event,) = rig.told()
    assert (event["what"], event["message"], event["who"], event["via"]) == ("changeover", "cell -> other", "Bea", "http")
    assert event["detail"] == dict(answer)
    assert rig.audit() == [("anna", "http", "recipe", "done")]


@pytest.mark.parametrize(("variant", "code"), [("third", "unknown_variant"), ("broken", "model_refused")])
def test_a_refused_changeover_leaves_the_previous_setup_running(rig: Rig, variant: str, code: str) -> None:
    before = rig.line.setup
    error = rig.refused("recipe", variant=variant)
    assert error.code == code
    assert rig.line.setup is before
    assert rig.remembered == []
    assert rig.told() == []
    assert rig.audit() == [("anna", "http", "recipe", f"refused: {code}: {error}")]


# --- pause, resume, trigger -------------------------------------------------------------------------------


def test_pause_and_resume_reach_line_and_cameras(rig: Rig) -> None:
    assert rig.do("pause", reason="shift change") == {"paused": True}
    assert rig.line.status().paused
    assert rig.do("resume") == {"paused": False}
    assert not rig.line.status().paused
    assert [(event["what"], event["message"]) for event in rig.told()] == [("paused", "shift change"), ("resumed", "")]


def test_a_trigger_takes_one_part_of_the_named_id(tmp_path: Path) -> None:
    rig = make(tmp_path, [commanded()])
    rig.line.start()
    assert rig.do("trigger", part_id="P7") == {"camera": "cam1", "part_id": "P7"}
    unnamed = rig.do("trigger", camera="cam1")
    assert until(lambda: rig.line.status().triggers == 2)
    rig.line.stop()
    assert rig.store.by_part("P7")
    assert rig.store.by_part(str(unnamed["part_id"]))


def test_a_trigger_is_refused_by_a_camera_that_triggers_itself_is_paused_or_unknown(tmp_path: Path) -> None:
    rig = make(tmp_path, [replaying("cam1"), commanded("cam2")])
    assert rig.refused("trigger", camera="cam1").code == "not_supported"
    error = rig.refused("trigger")
    assert error.code == "unknown_camera"
    assert "cam1, cam2" in str(error)
    assert rig.refused("trigger", camera="cam9").code == "unknown_camera"
    rig.line.pause()
    assert rig.refused("trigger", camera="cam2").code == "paused"
    assert {outcome.split(":")[1].strip() for _, _, _, outcome in rig.audit()} == {"not_supported", "unknown_camera", "paused"}


# --- alarms and levels ------------------------------------------------------------------------------------


def test_acknowledging_the_level_alarm_resets_the_policy_and_clears_the_alarm(rig: Rig) -> None:
    rig.line.raise_level(Action.REVIEW_ALL, "8 NG among the last 10")
    alarm = rig.alarm(LEVEL_ALARM, Action.REVIEW_ALL)
    answer = rig.do("ack-alarm", alarm_id=alarm.alarm_id, operator="Bea", note="looked at the parts")
    assert answer == {"alarm_id": alarm.alarm_id, "state": "acknowledged"}
    assert rig.line.status().level is Action.NONE
    assert rig.alarms.open_alarms() == []
    (event,) = rig.told()
    assert (event["what"], event["message"]) == ("level_acknowledged", "review_all acknowledged by Bea")


def test_another_alarm_holds_its_level_until_it_is_acknowledged_itself(rig: Rig) -> None:
    first, second = rig.alarm("detection_rate", Action.REVIEW_ALL), rig.alarm("fpr", Action.REVIEW_ALL)
    rig.control.heed(first)
    rig.do("ack-alarm", alarm_id=second.alarm_id, operator="Bea")
    assert rig.line.status().level is Action.REVIEW_ALL  # the first one still asks for it
    rig.do("ack-alarm", alarm_id=first.alarm_id, operator="Bea")
    assert rig.line.status().level is Action.NONE
    assert [alarm.state for alarm in rig.alarms.open_alarms()] == [AlarmState.ACKNOWLEDGED] * 2  # gone only with their cause


def test_a_milder_open_alarm_does_not_hold_a_stronger_level(rig: Rig) -> None:
    strong, mild = rig.alarm("detection_rate", Action.REVIEW_ALL), rig.alarm("brightness", Action.ADVISE)
    rig.control.heed(strong)
    rig.control.heed(mild)
    rig.do("ack-alarm", alarm_id=strong.alarm_id, operator="Bea")
    assert rig.line.status().level is Action.NONE


def test_acknowledging_at_a_calm_level_tells_nothing_of_levels(rig: Rig) -> None:
    alarm = rig.alarm("disk")
    rig.do("ack-alarm", alarm_id=alarm.alarm_id, operator="Bea")
    assert rig.told() == []


def test_heeding_raises_the_level_once_and_counts_a_halt(tmp_path: Path) -> None:
    rig = make(tmp_path, [replaying()], recipe=Recipe("cell", "m1", 0.4, 0.6, halt=HaltPolicy(stop_line=True)))
    alarm = rig.alarm("detection_rate", Action.HALT)
    for _ in range(3):
        rig.control.heed(alarm)
    assert rig.line.status().level is Action.HALT
    assert rig.line.status().halts == 1
    assert rig.halts == [1]
    assert rig.signal.halts == ["detection_rate is off"]
    (event,) = rig.told()
    assert event["what"] == "halt_requested"
    assert event["detail"] == {"level": "halt", "alarm_id": alarm.alarm_id, "quantity": "detection_rate"}


def test_heeding_an_advice_raises_the_level_and_stops_nothing(rig: Rig) -> None:
    rig.control.heed(rig.alarm("brightness", Action.ADVISE))
    assert rig.line.status().level is Action.ADVISE
    assert [event["what"] for event in rig.told()] == ["level_raised"]
    rig.control.heed(rig.alarm("noise", Action.NONE))
    assert rig.line.status().level is Action.ADVISE
    assert rig.line.status().halts == 0
    assert rig.signal.halts == []


def test_the_level_of_an_alarm_that_clears_by_itself_falls_unless_another_one_asks_for_it(rig: Rig) -> None:
    """A new model starts its evidence anew: what was asked because of the old one must not stay with nothing left to acknowledge."""
    first, second = rig.alarm("fpr", Action.REVIEW_ALL), rig.alarm("detection_rate", Action.REVIEW_ALL)
    rig.control.heed(first)
    rig.control.heed(second)
    rig.alarms.clear(first.quantity, first.slice)
    rig.control.relieve(first)
    assert rig.line.status().level is Action.REVIEW_ALL  # the second one still asks for it
    rig.do("ack-alarm", alarm_id=second.alarm_id, operator="Bea")
    third = rig.alarm("fpr", Action.REVIEW_ALL)
    rig.control.heed(third)
    rig.control.relieve(second)
    assert rig.line.status().level is Action.REVIEW_ALL  # it was not the second one that raised it
    rig.alarms.clear(third.quantity, third.slice)
    rig.control.relieve(third)
    assert rig.line.status().level is Action.NONE
    assert rig.told()[-1]["what"] == "level_cleared"


def test_snoozing_lasts_as_long_as_asked(rig: Rig) -> None:
    alarm = rig.alarm("disk")
    answer = rig.do("snooze-alarm", alarm_id=alarm.alarm_id, operator="Bea", minutes=90, reason="new disk comes")
    until_ = datetime.fromisoformat(str(answer["until"]))
    assert timedelta(minutes=89) < until_ - datetime.now(UTC) <= timedelta(minutes=90)
    (snoozed,) = rig.alarms.open_alarms()
    assert (snoozed.state, snoozed.acknowledged_by, snoozed.note) == (AlarmState.SNOOZED, "Bea", "new disk comes")


@pytest.mark.parametrize("name", ["ack-alarm", "snooze-alarm"])
def test_an_alarm_that_is_not_open_is_not_found(rig: Rig, name: str) -> None:
    error = rig.refused(name, alarm_id="none", operator="Bea", minutes=1, reason="r")
    assert error.code == "not_found"
    assert rig.audit() == [("anna", "http", name, f"refused: not_found: {error}")]


def test_minutes_must_be_a_number(rig: Rig) -> None:
    assert rig.refused("snooze-alarm", alarm_id="x", operator="B", minutes="ten", reason="r").code == "invalid_argument"


# --- replay and snapshot ----------------------------------------------------------------------------------


def test_a_replay_queues_delivered_events_again(rig: Rig) -> None:
    rig.do("pause")
    rig.do("resume")
    before = len(rig.told())
    assert rig.do("replay", from_seq=2) == {"queued": 1}
    assert [event["what"] for event in rig.told()[before:]] == ["resumed"]
    assert rig.do("replay", since="2020-01-01T00:00:00+00:00")["queued"] == 2
    assert rig.do("replay", since="2999-01-01T00:00:00+00:00")["queued"] == 0


def test_a_replay_without_a_start_fails_with_an_audit_row(rig: Rig) -> None:
    assert rig.refused("replay").code == "internal"
    assert rig.audit()[-1][3].startswith("failed: replay needs a start")


def test_a_snapshot_keeps_the_last_picture(rig: Rig) -> None:
    assert rig.refused("snapshot").code == "not_found"
    rig.line.start()
    assert until(rig.line.finished)
    rig.line.stop()
    answer = rig.do("snapshot")
    (record,) = rig.store.find()
    assert answer == {"camera": "cam1", "part_id": record.part_id, "image_ref": f"/api/v1/images/{record.event_id}"}
    assert rig.archive.load(record.event_id).content
    rig.archive.fail = True
    assert rig.refused("snapshot", camera="cam1").code == "busy"


# --- the frame around every command -----------------------------------------------------------------------


def test_an_unknown_command_is_refused_and_audited(rig: Rig) -> None:
    assert not rig.control.serves("explode")
    assert rig.refused("explode").code == "unknown_command"
    assert rig.audit()[0][2] == "explode"


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (LabelError("ticket was answered", code="answered"), "answered", "refused: answered: ticket was answered"),
        (UnknownPart("no such ticket"), "not_found", "refused: not_found: no such ticket"),
        (StoreError("disk full"), "internal", "failed: disk full"),
        (PublishError("too long"), "internal", "failed: too long"),
        (CommandError("busy", "later"), "busy", "refused: busy: later"),
    ],
)
def test_what_a_further_command_raises_becomes_a_code_and_an_audit_row(
    tmp_path: Path, error: Exception, code: str, outcome: str
) -> None:
    def fails(_command: Command) -> Mapping[str, Json]:
        raise error

    rig = make(tmp_path, [replaying()], label=fails)
    assert rig.control.serves("label")
    assert rig.refused("label", ticket_id="t").code == code
    assert rig.audit() == [("anna", "http", "label", outcome)]


def test_an_audit_row_that_cannot_be_written_does_not_undo_the_command(rig: Rig) -> None:
    rig.store.audit_fails = True
    assert rig.do("pause") == {"paused": True}
    assert rig.line.status().paused


def test_an_event_that_cannot_be_stored_makes_the_command_fail_visibly(rig: Rig) -> None:
    rig.store.events_fail = True
    assert rig.refused("pause").code == "internal"
    assert rig.audit() == [("anna", "http", "pause", "failed: disk full")]


def test_line_events_are_durable_and_pass_the_published_schema(rig: Rig) -> None:
    from qc.publish.payloads import EVENT_PAYLOADS, to_json

    rig.do("recipe", variant="other")
    rig.control.heed(rig.alarm("fpr", Action.ADVISE))
    assert len(rig.told()) == 2
    for body in rig.told():
        EVENT_PAYLOADS[EventKind.LINE].model_validate_json(to_json(body))
