"""Maintenance alarms: raised per camera and reason, cleared by good parts, never flickering."""

from dataclasses import replace
from pathlib import Path

from qc.domain.alarm import Action, Alarm, Cause
from qc.domain.clock import SystemClock
from qc.domain.frame import CameraFault, Shot
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.not_inspected import CLEAR_AFTER, NotInspectedAlarms
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.database import Database

CLOCK = SystemClock()
SHOT = Shot(part_id="p", camera_id="cam1", triggered_ns=0, triggered_at=CLOCK.now(), frame=None)
GOOD = InspectionRecord(
    event_id="e",
    part_id="p",
    camera_id="cam1",
    captured_at=CLOCK.now(),
    decided_at=CLOCK.now(),
    verdict=Verdict(Decision.OK, Reason.BELOW_REVIEW),
    variant="v",
    recipe_version="r",
    model_id="m",
    model_sha256="0" * 64,
    review_at=0.4,
    reject_at=0.6,
)


def bad(reason: Reason) -> InspectionRecord:
    return replace(GOOD, verdict=Verdict(Decision.NOT_INSPECTED, reason, "detail"))


def rig(tmp_path: Path) -> tuple[StoredAlarmBook, NotInspectedAlarms, list[Alarm]]:
    told: list[Alarm] = []
    book = StoredAlarmBook(SqliteAlarmStore(Database(tmp_path / "qc.sqlite3")), CLOCK, told.append)
    return book, NotInspectedAlarms(book), told


def test_each_reason_of_a_camera_is_one_alarm_with_its_cause(tmp_path: Path) -> None:
    book, observer, told = rig(tmp_path)
    for _ in range(50):
        observer.inspected(bad(Reason.CAMERA_FAULT), replace(SHOT, fault=CameraFault.BLACK), None)
        observer.inspected(bad(Reason.MODEL_ERROR), SHOT, None)
    alarms = {alarm.slice: alarm for alarm in book.open_alarms()}
    assert {name: alarm.cause for name, alarm in alarms.items()} == {
        "cam1/black": Cause.CAMERA_FAULT,
        "cam1/model_error": Cause.SYSTEM,
    }
    assert {alarm.action for alarm in alarms.values()} == {Action.ADVISE}
    assert len(told) == 2


def test_a_flickering_camera_keeps_one_alarm_and_a_good_one_clears_it(tmp_path: Path) -> None:
    book, observer, told = rig(tmp_path)
    for _ in range(10):
        observer.inspected(bad(Reason.CAMERA_FAULT), replace(SHOT, fault=CameraFault.FROZEN), None)
        for _ in range(CLEAR_AFTER - 1):
            observer.inspected(GOOD, SHOT, None)
    assert len(book.open_alarms()) == 1
    assert len(told) == 1
    observer.inspected(GOOD, SHOT, None)
    assert book.open_alarms() == []


def test_alarms_open_before_a_restart_clear_after_it(tmp_path: Path) -> None:
    book, observer, _ = rig(tmp_path)
    observer.inspected(bad(Reason.OVERLOAD), SHOT, None)
    book, observer, _ = rig(tmp_path)
    assert len(book.open_alarms()) == 1
    for _ in range(CLEAR_AFTER):
        observer.inspected(GOOD, SHOT, None)
    assert book.open_alarms() == []
