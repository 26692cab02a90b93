"""What becomes of an alarm after it was raised: acknowledged, restarted, quiet for a while and cleared, or back again."""

from collections.abc import Callable
from typing import TypeAlias

from qc.domain.alarm import AlarmState, Cause
from qc.domain.ports import AlarmBook
from qc.domain.record import Json
from qc.monitor.actions import suggested_action
from qc.monitor.cause import Diagnosis
from qc.monitor.evidence import as_number

Key: TypeAlias = tuple[str, str]
"""Quantity and slice."""

PARTS_NAMED = 20


class FollowUp:
    """Reports evidence to the alarm book and applies the restart rules. quiet_for: lots (or windows) after which a restarted
    alarm that does not come back is cleared."""

    def __init__(self, alarms: AlarmBook, quiet_for: int) -> None:
        self._alarms = alarms
        self._quiet_for = quiet_for
        self._raised: set[Key] = {(alarm.quantity, alarm.slice) for alarm in alarms.open_alarms()}
        self._quiet: dict[Key, int] = {}

    def is_raised(self, key: Key) -> bool:
        return key in self._raised and key not in self._quiet

    def report(
        self, key: Key, values: tuple[float, float], diagnosis: Diagnosis, message: str, parts: list[str], *, graded: str = ""
    ) -> None:
        """values: log e-value and its log threshold, which it has reached. graded: row of ``actions``, the quantity when empty."""
        if self._quiet.pop(key, None) is not None:
            self._alarms.clear(*key)  # acknowledged, restarted, and here it is again: a new alarm
        self._raised.add(key)
        self._alarms.report(
            *key,
            cause=diagnosis.cause,
            action=suggested_action(graded or key[0], *values),
            message=message,
            evidence=as_number(values[0]),
            threshold=as_number(values[1]),
            parts=parts[:PARTS_NAMED],
            evidence_by_cause=diagnosis.evidence,
        )

    def refresh(
        self, variant: str, diagnose: Callable[[], Diagnosis], parts_of: Callable[[Cause], list[str]], *, name_only: bool
    ) -> None:
        """Tell of another cause than when an alarm of this variant was raised, whoever raised it: an update of the same alarm.

        An alarm comes when its evidence is complete, often before there is any evidence about its cause. name_only: only give a cause
        to alarms that have none; what was named is not changed again by a handful of parts."""
        concerned = [
            alarm
            for alarm in self._alarms.open_alarms()
            if alarm.slice.split("/")[0] == variant
            and alarm.evidence_by_cause
            and not (name_only and alarm.cause is not Cause.UNKNOWN)
        ]
        if not concerned:
            return
        found = diagnose()
        for alarm in concerned:
            if found.cause is not alarm.cause and found.cause is not Cause.UNKNOWN:
                self._alarms.report(
                    alarm.quantity,
                    alarm.slice,
                    cause=found.cause,
                    action=alarm.action,
                    message=alarm.message,
                    evidence=alarm.evidence,
                    threshold=alarm.threshold,
                    parts=parts_of(found.cause)[:PARTS_NAMED],
                    evidence_by_cause=found.evidence,
                )

    def restart_if_acknowledged(self, key: Key, restart: Callable[[], None]) -> None:
        """Look into the book (only while an alarm is up): somebody who knows of it starts its evidence anew."""
        if not self.is_raised(key):
            return
        states = {(alarm.quantity, alarm.slice): alarm.state for alarm in self._alarms.open_alarms()}
        if key not in states:
            self._raised.discard(key)
        elif states[key] is AlarmState.ACKNOWLEDGED:
            restart()
            self._quiet[key] = 0

    def quiet(self, key: Key) -> None:
        """One more lot or window without alarm; clears an acknowledged one after enough of them."""
        if key in self._quiet:
            self._quiet[key] += 1
            if self._quiet[key] >= self._quiet_for:
                self.forget(key)

    def forget(self, key: Key) -> None:
        """What the alarm was about is no more (a new model, a new reference)."""
        self._quiet.pop(key, None)
        if key in self._raised:
            self._raised.discard(key)
            self._alarms.clear(*key)

    def state(self) -> list[Json]:
        return [[quantity, name, count] for (quantity, name), count in self._quiet.items()]

    def restore(self, state: Json) -> None:
        assert isinstance(state, list)
        rows = [row for row in state if isinstance(row, list)]
        self._quiet = {(str(quantity), str(name)): int(str(count)) for quantity, name, count in rows}
