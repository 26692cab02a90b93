"""Maintenance alarms for parts that could not be inspected. Deterministic; never a halt.

One alarm per camera and reason; it clears by itself after ``CLEAR_AFTER`` good parts of that camera in a row, so that a camera
that flickers between good and bad does not open and clear an alarm with every part.
"""

from collections import defaultdict

from qc.domain.alarm import Action, Cause
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import AlarmBook
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason

CLEAR_AFTER = 20
QUANTITY = "not_inspected"

_CAUSES = {
    Reason.CAMERA_FAULT: Cause.CAMERA_FAULT,
    Reason.MODEL_ERROR: Cause.SYSTEM,
    Reason.DEADLINE_MISSED: Cause.SYSTEM,
    Reason.OVERLOAD: Cause.SYSTEM,
}


class NotInspectedAlarms:
    """An observer of the line; costs a dictionary look-up for a good part."""

    def __init__(self, alarms: AlarmBook) -> None:
        self._alarms = alarms
        self._good_in_a_row: dict[str, int] = {}
        self._open: dict[str, set[str]] = defaultdict(set)
        for alarm in alarms.open_alarms():
            if alarm.quantity == QUANTITY:
                self._open[alarm.slice.split("/")[0]].add(alarm.slice)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        camera = record.camera_id
        if record.verdict.decision is not Decision.NOT_INSPECTED:
            self._good(camera)
            return
        cause = _CAUSES[record.verdict.reason]
        kind = shot.fault.value if shot.fault is not None else record.verdict.reason.value
        name = f"{camera}/{kind}"
        self._good_in_a_row[camera] = 0
        self._open[camera].add(name)
        message = f"camera {camera}: {record.verdict.detail}"
        self._alarms.report(QUANTITY, name, cause=cause, action=Action.ADVISE, message=message, parts=[record.event_id])

    def _good(self, camera: str) -> None:
        if not self._open.get(camera):
            return
        self._good_in_a_row[camera] = self._good_in_a_row.get(camera, 0) + 1
        if self._good_in_a_row[camera] >= CLEAR_AFTER:
            for name in self._open.pop(camera):
                self._alarms.clear(QUANTITY, name)
