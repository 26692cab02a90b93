"""The last part of each camera, for snapshots and live views."""

from dataclasses import dataclass

from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord


@dataclass(frozen=True, slots=True)
class LatestPart:
    record: InspectionRecord
    shot: Shot
    inspection: Inspection | None


class LatestParts:
    """An observer that remembers one part per camera; costs one assignment per part."""

    def __init__(self) -> None:
        self._parts: dict[str, LatestPart] = {}

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self._parts[record.camera_id] = LatestPart(record, shot, inspection)

    def of(self, camera_id: str) -> LatestPart | None:
        return self._parts.get(camera_id)
