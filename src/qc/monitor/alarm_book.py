"""The alarm book: one current alarm per quantity and slice, so that a burst of reports never floods anybody.

A first report opens an alarm and is told at once. Repeated reports update it: an escalation of the suggested action is told at
once (and reopens an acknowledged or snoozed alarm), another cause at once, other updates at most every ``update_every``. Acknowledged means somebody
knows; the alarm stays until its cause is gone (``clear``). Snoozed alarms wake up by themselves.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import uuid_utils

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.errors import UnknownPart
from qc.domain.ports import AlarmStore, Clock

_RANK = {action: rank for rank, action in enumerate(Action)}
MAX_PARTS = 20
"""Parts named by one alarm: as many as a person looks at."""


class StoredAlarmBook:
    """AlarmBook over an AlarmStore; thread-safe, survives restarts.

    tell(alarm): publishes and stores the alarm's event; called outside hot paths, after the alarm is durable.
    """

    def __init__(
        self,
        store: AlarmStore,
        clock: Clock,
        tell: Callable[[Alarm], None],
        *,
        update_every: timedelta = timedelta(minutes=1),
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell
        self._update_every = update_every
        self._lock = threading.RLock()
        self._current = {(alarm.quantity, alarm.slice): alarm for alarm in store.current()}
        self._told_at: dict[str, datetime] = {}

    def report(
        self,
        quantity: str,
        slice_: str,
        *,
        cause: Cause,
        action: Action,
        message: str,
        evidence: float = 1.0,
        threshold: float = 1.0,
        parts: Sequence[str] = (),
        evidence_by_cause: Sequence[tuple[str, str]] = (),
        since: datetime | None = None,
    ) -> Alarm:
        now = self._clock.now()
        with self._lock:
            known = self._current.get((quantity, slice_))
            alarm = Alarm(
                alarm_id=known.alarm_id if known else str(uuid_utils.uuid7()),
                quantity=quantity,
                slice=slice_,
                state=AlarmState.OPEN,
                cause=cause,
                action=action,
                evidence=evidence,
                threshold=threshold,
                message=message,
                since=known.since if known else since or now,
                updated_at=now,
                updates=known.updates + 1 if known else 0,
                parts=tuple(dict.fromkeys([*parts, *(known.parts if known else ())]))[:MAX_PARTS],
                evidence_by_cause=tuple(evidence_by_cause),
            )
            if known is None:
                return self._put(alarm, tell=True)
            escalated = _RANK[action] > _RANK[known.action]
            if not escalated:
                alarm = replace(
                    alarm,
                    action=known.action,
                    state=known.state,
                    acknowledged_by=known.acknowledged_by,
                    note=known.note,
                    snoozed_until=known.snoozed_until,
                )
            silent = alarm.state is not AlarmState.OPEN
            due = now - self._told_at.get(alarm.alarm_id, known.since) >= self._update_every
            renamed = cause is not known.cause
            if not escalated and not renamed and not due:
                self._current[quantity, slice_] = alarm  # kept in memory; written with the next update that is due
                return alarm
            return self._put(alarm, tell=escalated or not silent)

    def clear(self, quantity: str, slice_: str) -> None:
        with self._lock:
            known = self._current.get((quantity, slice_))
            if known is not None:
                self._put(replace(known, state=AlarmState.CLEARED, updated_at=self._clock.now()), tell=True)

    def acknowledge(self, alarm_id: str, who: str, note: str = "") -> Alarm:
        with self._lock:
            known = self._by_id(alarm_id)
            changed = replace(
                known,
                state=AlarmState.ACKNOWLEDGED,
                acknowledged_by=who,
                note=note,
                updated_at=self._clock.now(),
                snoozed_until=None,
            )
            return self._put(changed, tell=True)

    def snooze(self, alarm_id: str, who: str, until: datetime, reason: str) -> Alarm:
        with self._lock:
            known = self._by_id(alarm_id)
            changed = replace(
                known,
                state=AlarmState.SNOOZED,
                acknowledged_by=who,
                note=reason,
                updated_at=self._clock.now(),
                snoozed_until=until,
            )
            return self._put(changed, tell=True)

    def open_alarms(self) -> list[Alarm]:
        with self._lock:
            self._wake_up()
            return sorted(self._current.values(), key=lambda alarm: (alarm.since, alarm.alarm_id))

    def _wake_up(self) -> None:
        now = self._clock.now()
        for alarm in list(self._current.values()):
            if alarm.snoozed_until is not None and alarm.snoozed_until <= now:
                self._put(replace(alarm, state=AlarmState.OPEN, snoozed_until=None, updated_at=now), tell=True)

    def _by_id(self, alarm_id: str) -> Alarm:
        for alarm in self._current.values():
            if alarm.alarm_id == alarm_id:
                return alarm
        raise UnknownPart(f"no current alarm {alarm_id!r}; it may have been cleared")

    def _put(self, alarm: Alarm, *, tell: bool) -> Alarm:
        self._store.save(alarm)
        if alarm.state is AlarmState.CLEARED:
            del self._current[alarm.quantity, alarm.slice]
            self._told_at.pop(alarm.alarm_id, None)
        else:
            self._current[alarm.quantity, alarm.slice] = alarm
            self._told_at[alarm.alarm_id] = alarm.updated_at
        if tell:
            self._tell(alarm)
        return alarm
