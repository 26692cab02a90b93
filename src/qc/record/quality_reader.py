"""Image quality per shift and camera: a report draws it, no detector decides on it.

Packed records bring their sums along, so that millions of them cost next to nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qc.domain.frame import ImageQuality
from qc.record import column_chunks
from qc.record.database import Database
from qc.record.times import from_us, to_us


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
        bounds = (to_us(since), to_us(until))
        found: dict[tuple[str, str], _Sums] = {}
        with self._database.read() as connection:
            for stretch in column_chunks.stretches(connection):
                if not isinstance(stretch, column_chunks.Chunk):
                    _add(found, column_chunks.quality_sums(connection, *stretch, bounds))
                elif stretch.lies_in(bounds):
                    _add(found, column_chunks.read_quality(connection, stretch))
                elif stretch.touches(bounds):
                    _add(found, column_chunks.quality_sums(connection, stretch.after_seq, stretch.last_seq, bounds))
        rows = sorted(found.items(), key=lambda item: (item[1].first_us, item[0][1]))
        return [
            ShiftQuality(shift, camera, from_us(one.first_us), one.pictures, ImageQuality(*(s / one.pictures for s in one.sums)))
            for (shift, camera), one in rows
        ]


@dataclass(slots=True)
class _Sums:
    first_us: int
    pictures: int = 0
    sums: tuple[float, ...] = (0.0,) * 5


def _add(found: dict[tuple[str, str], _Sums], rows: Iterable[Sequence[Any]]) -> None:
    for shift, camera, first_us, pictures, *sums in rows:
        one = found.setdefault((shift, camera), _Sums(first_us))
        one.first_us = min(one.first_us, first_us)
        one.pictures += pictures
        one.sums = tuple(old + new for old, new in zip(one.sums, sums, strict=True))
