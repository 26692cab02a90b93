"""Alarms and detector state beside the records, so that both survive a restart."""

import json
from datetime import datetime

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.record import Json
from qc.record.database import Database
from qc.record.times import from_us, to_us

_COLUMNS = (
    "alarm_id, quantity, slice, state, cause, action, evidence, threshold, message, since_us, updated_us, updates, parts, "
    "evidence_by_cause, acknowledged_by, note, snoozed_until_us"
)


class SqliteAlarmStore:
    """Every alarm ever raised, and small JSON states by key. Durable on return, thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, alarm: Alarm) -> None:
        """Insert or replace by alarm_id. Raises StoreError when another current alarm has the same quantity and slice."""
        row = (
            alarm.alarm_id,
            alarm.quantity,
            alarm.slice,
            alarm.state.value,
            alarm.cause.value,
            alarm.action.value,
            alarm.evidence,
            alarm.threshold,
            alarm.message,
            to_us(alarm.since),
            to_us(alarm.updated_at),
            alarm.updates,
            json.dumps(alarm.parts),
            json.dumps(alarm.evidence_by_cause),
            alarm.acknowledged_by,
            alarm.note,
            None if alarm.snoozed_until is None else to_us(alarm.snoozed_until),
        )
        marks = ", ".join("?" * len(row))
        updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
        with self._database.write() as connection:
            connection.execute(
                f"INSERT INTO alarms ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (alarm_id) DO UPDATE SET {updates}",  # noqa: S608  # constants
                row,
            )

    def current(self) -> list[Alarm]:
        """Alarms that are not cleared, oldest first."""
        return self._select("WHERE state <> 'cleared' ORDER BY since_us, alarm_id", ())

    def find(self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100) -> list[Alarm]:
        """Alarms that began in [since, until), newest first."""
        low = -(2**62) if since is None else to_us(since)
        high = 2**62 if until is None else to_us(until)
        return self._select("WHERE since_us >= ? AND since_us < ? ORDER BY since_us DESC, alarm_id LIMIT ?", (low, high, limit))

    def put_state(self, key: str, value: Json, at: datetime) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO monitor_state (key, value, updated_us) VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_us = excluded.updated_us",
                (key, json.dumps(value), to_us(at)),
            )

    def get_state(self, key: str) -> Json:
        """None when nothing was stored under this key."""
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM monitor_state WHERE key = ?", (key,)).fetchone()
        value: Json = None if row is None else json.loads(row[0])
        return value

    def _select(self, condition: str, values: tuple[object, ...]) -> list[Alarm]:
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM alarms {condition}", values).fetchall()  # noqa: S608  # constants
        return [
            Alarm(
                alarm_id=row[0],
                quantity=row[1],
                slice=row[2],
                state=AlarmState(row[3]),
                cause=Cause(row[4]),
                action=Action(row[5]),
                evidence=row[6],
                threshold=row[7],
                message=row[8],
                since=from_us(row[9]),
                updated_at=from_us(row[10]),
                updates=row[11],
                parts=tuple(json.loads(row[12])),
                evidence_by_cause=tuple((cause, text) for cause, text in json.loads(row[13])),
                acknowledged_by=row[14],
                note=row[15],
                snoozed_until=None if row[16] is None else from_us(row[16]),
            )
            for row in rows
        ]
