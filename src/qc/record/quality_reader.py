"""Image quality per shift and camera, averaged by the database: a report draws it, no detector decides on it."""

from dataclasses import dataclass
from datetime import datetime

from qc.domain.frame import ImageQuality
from qc.record.database import Database
from qc.record.times import from_us, to_us

_MEANS = """
SELECT shift, camera_id, min(decided_us), count(*), avg(brightness), avg(contrast), avg(focus), avg(noise), avg(colour)
FROM inspections WHERE decided_us >= ? AND decided_us < ? AND brightness IS NOT NULL
GROUP BY shift, camera_id ORDER BY min(decided_us), camera_id
"""


@dataclass(frozen=True, slots=True)
class ShiftQuality:
    """means: of the features over ``pictures`` pictures of one camera in one shift; began: time of the first of them."""

    shift: str
    camera_id: str
    began: datetime
    pictures: int
    means: ImageQuality


class QualityReader:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_shift(self, since: datetime, until: datetime) -> list[ShiftQuality]:
        """Records decided in [since, until), oldest shift first."""
        with self._database.read() as connection:
            rows = connection.execute(_MEANS, (to_us(since), to_us(until))).fetchall()
        return [ShiftQuality(r[0], r[1], from_us(r[2]), r[3], ImageQuality(r[4], r[5], r[6], r[7], r[8])) for r in rows]
