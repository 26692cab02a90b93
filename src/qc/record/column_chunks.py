"""Records packed as arrays, some thousand to a row of ``column_chunks``: reading millions costs no Python object per part.

Complete stretches of records are packed once, by upkeep; the records themselves stay. Records never change, and a purge deletes
the chunks that it touches, so a chunk always says what its rows say.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc.domain.columns import FIELDS, RecordColumns
from qc.record.database import Database

CHUNK = 10_000
"""Records in a chunk: 320 kB. More of them make the peak of memory when rows are read (500 bytes each, as Python objects)."""

_SEPARATOR = "\x1f"
"""ASCII unit separator: never part of a name. A row's nine strings travel as one, because there are few combinations of them."""
_NAMES = " || char(31) || ".join([*FIELDS[:-1], "ifnull(challenge_id, '')"])
_ROWS = f"""
    SELECT seq, decided_us, score, brightness, {_NAMES} FROM inspections
    WHERE seq > ? AND seq <= ? AND +decided_us >= ? AND +decided_us < ? ORDER BY seq
"""  # noqa: S608 - constants only
_QUALITY = """
    SELECT shift, camera_id, min(decided_us), count(*), sum(brightness), sum(contrast), sum(focus), sum(noise), sum(colour)
    FROM inspections
    WHERE seq > ? AND seq <= ? AND +decided_us >= ? AND +decided_us < ? AND brightness IS NOT NULL
    GROUP BY shift, camera_id ORDER BY shift, camera_id
"""
_KINDS: tuple[np.dtype[Any], ...] = (np.dtype("<i8"), np.dtype("<i8"), np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i4"))
ALWAYS_US = (-(2**62), 2**62)
MAX_SEQ = 2**62


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row of the table without its body."""

    after_seq: int
    last_seq: int
    first_us: int
    last_us: int

    def touches(self, range_us: tuple[int, int]) -> bool:
        """Whether some of its records may have been decided in [range_us)."""
        return self.last_us >= range_us[0] and self.first_us < range_us[1]

    def lies_in(self, range_us: tuple[int, int]) -> bool:
        return range_us[0] <= self.first_us and self.last_us < range_us[1]


def pack_next(database: Database, size: int = CHUNK) -> bool:
    """Pack the oldest ``size`` records that are not packed yet, in one short transaction; False when there are not so many."""
    with database.read() as connection:
        after = connection.execute("SELECT ifnull(max(last_seq), 0) FROM column_chunks").fetchone()[0]
        batch = next(read_rows(connection, after, MAX_SEQ, ALWAYS_US, size), None)
        if batch is None or len(batch.seq) < size:
            return False
        quality = quality_sums(connection, after, int(batch.seq[-1]), ALWAYS_US)
    with database.write() as connection:  # durable, or the line's next commit would have to flush all of it
        insert(connection, after, batch, quality)
    return True


def insert(connection: sqlite3.Connection, after_seq: int, batch: RecordColumns, quality: Sequence[Sequence[object]]) -> None:
    """after_seq: of the chunk before. quality: of ``quality_sums``."""
    arrays: tuple[NDArray[Any], ...] = (batch.seq, batch.decided_us, batch.score, batch.brightness, batch.combination)
    body = b"".join(array.astype(kind).tobytes() for array, kind in zip(arrays, _KINDS, strict=True))
    bounds = (int(batch.seq[-1]), int(batch.decided_us.min()), int(batch.decided_us.max()))
    connection.execute(
        "INSERT OR IGNORE INTO column_chunks VALUES (?, ?, ?, ?, ?, ?, ?)",  # another process may have been quicker
        (after_seq, *bounds, json.dumps(batch.combinations, ensure_ascii=False), json.dumps(quality), body),
    )


def stretches(connection: sqlite3.Connection) -> Iterator[Chunk | tuple[int, int]]:
    """All records in the order of seq: chunks, and (after_seq, last_seq) of what is not packed or was left by a purge."""
    read_to = 0
    for row in connection.execute(
        "SELECT after_seq, last_seq, first_us, last_us FROM column_chunks ORDER BY last_seq"
    ).fetchall():
        chunk = Chunk(*row)
        if chunk.after_seq > read_to:
            yield read_to, chunk.after_seq
        yield chunk
        read_to = chunk.last_seq
    yield read_to, MAX_SEQ


def read_chunk(connection: sqlite3.Connection, chunk: Chunk, range_us: tuple[int, int]) -> RecordColumns:
    """Its records decided in [range_us)."""
    names, body = connection.execute("SELECT names, body FROM column_chunks WHERE last_seq = ?", (chunk.last_seq,)).fetchone()
    rows = len(body) // sum(kind.itemsize for kind in _KINDS)
    arrays: list[Any] = []
    offset = 0
    for kind in _KINDS:
        arrays.append(np.frombuffer(body, kind, rows, offset))
        offset += rows * kind.itemsize
    seq, decided, score, brightness, combination = arrays
    columns = RecordColumns(seq, decided, score, brightness, combination, tuple(tuple(name) for name in json.loads(names)))
    if chunk.lies_in(range_us):
        return columns
    return columns.where((columns.decided_us >= range_us[0]) & (columns.decided_us < range_us[1]))


def read_rows(
    connection: sqlite3.Connection, after_seq: int, last_seq: int, range_us: tuple[int, int], size: int = CHUNK
) -> Iterator[RecordColumns]:
    """Records with after_seq < seq <= last_seq decided in [range_us), from their rows, ``size`` at a time."""
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(_ROWS, (after_seq, last_seq, *range_us))
    while rows := cursor.fetchmany(size):
        seq, decided, score, brightness, names = zip(*rows, strict=True)
        codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
        yield RecordColumns(
            np.array(seq, np.int64),
            np.array(decided, np.int64),
            np.array(score, np.float64),  # None becomes nan
            np.array(brightness, np.float32),
            np.array([codes[name] for name in names], np.int32),
            tuple(tuple(name.split(_SEPARATOR)) for name in codes),
        )


def quality_sums(
    connection: sqlite3.Connection, after_seq: int, last_seq: int, range_us: tuple[int, int]
) -> list[tuple[object, ...]]:
    """[shift, camera_id, first decided_us, pictures, sums of the five features] of the rows in these bounds."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(_QUALITY, (after_seq, last_seq, *range_us)).fetchall()


def read_quality(connection: sqlite3.Connection, chunk: Chunk) -> list[list[Any]]:
    """The stored ``quality_sums`` of a whole chunk."""
    found: list[list[Any]] = json.loads(
        connection.execute("SELECT quality FROM column_chunks WHERE last_seq = ?", (chunk.last_seq,)).fetchone()[0]
    )
    return found


def forget(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> None:
    """Delete the chunks with any of these records."""
    connection.execute("DELETE FROM column_chunks WHERE last_seq >= ? AND after_seq < ?", (first_seq, last_seq))
