"""One current alarm per quantity and slice; nobody is flooded; nothing is forgotten over a restart."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.errors import UnknownPart
from qc.monitor.alarm_book import MAX_PARTS, StoredAlarmBook
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.database import Database


@dataclass
class HandClock:
    at: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)
    told: list[Alarm] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return int(self.at.timestamp() * 1e9)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def book(tmp_path: Path, clock: HandClock) -> StoredAlarmBook:
    return StoredAlarmBook(SqliteAlarmStore(Database(tmp_path / "qc.sqlite3")), clock, clock.told.append)


def report(alarms: StoredAlarmBook, action: Action = Action.ADVISE, part: str = "p") -> Alarm:
    return alarms.report("fpr", "cell", cause=Cause.ENVIRONMENT, action=action, message="m", evidence=2.5, parts=[part])


def test_a_burst_is_one_alarm_told_once_a_minute(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    for second in range(150):
        clock.at += timedelta(seconds=1)
        report(alarms, part=f"p{second}")
    (alarm,) = alarms.open_alarms()
    assert alarm.updates == 149
    assert len(clock.told) == 3
    assert len(alarm.parts) == MAX_PARTS
    assert alarm.parts[0] == "p149"


def test_another_cause_is_told_at_once(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    report(alarms)
    for cause in (Cause.ENVIRONMENT, Cause.MODEL_DECAY, Cause.MODEL_DECAY):
        alarms.report("fpr", "cell", cause=cause, action=Action.ADVISE, message="m")
    assert [alarm.cause for alarm in clock.told] == [Cause.ENVIRONMENT, Cause.MODEL_DECAY]
    assert [alarm.cause for alarm in book(tmp_path, clock).open_alarms()] == [Cause.MODEL_DECAY]  # and it is durable


def test_escalation_is_told_at_once_and_reopens_an_acknowledged_alarm(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    first = report(alarms)
    alarms.acknowledge(first.alarm_id, "anna", "seen")
    clock.at += timedelta(seconds=1)
    assert report(alarms).state is AlarmState.ACKNOWLEDGED
    escalated = report(alarms, Action.HALT)
    assert (escalated.state, escalated.action, escalated.alarm_id) == (AlarmState.OPEN, Action.HALT, first.alarm_id)
    assert clock.told[-1] == escalated
    assert report(alarms, Action.ADVISE).action is Action.HALT  # an open alarm never softens


def test_an_acknowledged_alarm_is_updated_without_telling(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    alarms.acknowledge(report(alarms).alarm_id, "anna")
    told = len(clock.told)
    clock.at += timedelta(hours=1)
    report(alarms)
    assert len(clock.told) == told


def test_a_snoozed_alarm_wakes_up_by_itself(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    alarm = alarms.snooze(report(alarms).alarm_id, "anna", clock.at + timedelta(hours=2), "lamp ordered")
    assert (alarm.state, alarm.note) == (AlarmState.SNOOZED, "lamp ordered")
    clock.at += timedelta(hours=1)
    assert alarms.open_alarms()[0].state is AlarmState.SNOOZED
    clock.at += timedelta(hours=1)
    assert alarms.open_alarms()[0].state is AlarmState.OPEN
    assert clock.told[-1].state is AlarmState.OPEN


def test_clearing_ends_it_and_a_new_report_is_a_new_alarm(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    first = report(alarms)
    alarms.clear("fpr", "cell")
    assert alarms.open_alarms() == []
    assert clock.told[-1].state is AlarmState.CLEARED
    with pytest.raises(UnknownPart, match="no current alarm"):
        alarms.acknowledge(first.alarm_id, "anna")
    assert report(alarms).alarm_id != first.alarm_id
    alarms.clear("nothing", "here")


def test_current_alarms_and_history_survive_a_restart(tmp_path: Path, clock: HandClock) -> None:
    alarms = book(tmp_path, clock)
    alarm = alarms.acknowledge(report(alarms).alarm_id, "anna", "seen")
    again = book(tmp_path, clock)
    assert again.open_alarms() == [alarm]
    again.clear("fpr", "cell")
    store = SqliteAlarmStore(Database(tmp_path / "qc.sqlite3"))
    assert store.current() == []
    assert [found.alarm_id for found in store.find()] == [alarm.alarm_id]


def test_detector_state_is_kept_by_key(tmp_path: Path, clock: HandClock) -> None:
    store = SqliteAlarmStore(Database(tmp_path / "qc.sqlite3"))
    assert store.get_state("dr/cell") is None
    store.put_state("dr/cell", {"s": [1.5, 0.1]}, clock.at)
    store.put_state("dr/cell", {"s": [2.5]}, clock.at)
    assert store.get_state("dr/cell") == {"s": [2.5]}
