"""Alarms: open and past, acknowledged or snoozed with a reason."""

from collections.abc import Mapping

from qc.console.accounts import Role
from qc.console.api.answers import alarm_answer
from qc.console.endpoint import Call, Endpoint
from qc.console.schema.alarms import AckBody, AlarmsAnswer, AlarmsQuery, RelearnBody, SnoozeBody
from qc.console.schema.base import Done
from qc.control import Control
from qc.domain.errors import UnknownPart
from qc.domain.ports import AlarmBook, AlarmStore
from qc.domain.record import Json


class AlarmsApi:
    def __init__(self, book: AlarmBook, store: AlarmStore, control: Control) -> None:
        self._book, self._store, self._control = book, store, control

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/v1/alarms", self._alarms, AlarmsAnswer, "Alarms, newest first", query=AlarmsQuery, tag="alarms"
            ),
            Endpoint(
                "POST", "/api/v1/alarms/{alarm_id}/ack", self._acknowledge, Done, "I have seen it and deal with it",
                role=Role.OPERATOR, body=AckBody, tag="alarms", errors=(404, 409),
            ),
            Endpoint(
                "POST", "/api/v1/alarms/{alarm_id}/snooze", self._snooze, Done, "Be quiet about it for a while, with a reason",
                role=Role.OPERATOR, body=SnoozeBody, tag="alarms", errors=(404, 409),
            ),
            Endpoint(
                "POST", "/api/v1/alarms/{alarm_id}/relearn", self._relearn, Done,
                "What this alarm is about is normal from now on: learn a new reference of the inputs",
                role=Role.ENGINEER, body=RelearnBody, tag="alarms", errors=(404, 409),
            ),
        ]  # fmt: skip

    def _alarms(self, call: Call) -> AlarmsAnswer:
        if call.query.state == "current":
            found = self._book.open_alarms()[::-1]
        else:  # what is open is newer in memory than in the store
            now = {alarm.alarm_id: alarm for alarm in self._book.open_alarms()}
            found = [now.get(alarm.alarm_id, alarm) for alarm in self._store.find(limit=call.query.limit)]
        return AlarmsAnswer(alarms=[alarm_answer(alarm) for alarm in found[: call.query.limit]])

    def _acknowledge(self, call: Call) -> Done:
        body = {"alarm_id": call.path["alarm_id"], "note": call.body.note}
        return Done(result=_flat(self._control.handle(call.command("ack-alarm", body))))

    def _snooze(self, call: Call) -> Done:
        body = {"alarm_id": call.path["alarm_id"], "minutes": call.body.minutes, "reason": call.body.reason}
        return Done(result=_flat(self._control.handle(call.command("snooze-alarm", body))))

    def _relearn(self, call: Call) -> Done:
        alarm_id = call.path["alarm_id"]
        alarm = next((alarm for alarm in self._book.open_alarms() if alarm.alarm_id == alarm_id), None)
        if alarm is None:
            raise UnknownPart(f"no current alarm {alarm_id!r}; it may have been cleared")
        variant, _, camera = alarm.slice.partition("/")
        body = {"variant": variant, "reason": call.body.reason} | ({"camera": camera} if camera else {})
        return Done(result=_flat(self._control.handle(call.command("relearn", body))))


def _flat(result: Mapping[str, Json]) -> dict[str, bool | int | float | str | None]:
    return {key: value for key, value in result.items() if not isinstance(value, list | dict)}
