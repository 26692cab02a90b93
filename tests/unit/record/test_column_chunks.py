"""Packed records say exactly what their rows say, however they are cut, purged and asked for."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.record.samples import MakeEntry, TurnableClock

from qc.domain.columns import FIELDS, RecordColumns
from qc.domain.frame import ImageQuality
from qc.domain.record import Entry, Event
from qc.record import column_chunks
from qc.record.columns import ColumnReader
from qc.record.database import Database
from qc.record.quality_reader import QualityReader
from qc.record.store import SqliteRecordStore
from qc.record.upkeep import RecordLimits

PARTS = 95


def rows_of(columns: RecordColumns) -> list[tuple[object, ...]]:
    names = [columns.combinations[code] for code in columns.combination]
    score = [None if np.isnan(value) else value for value in columns.score.tolist()]
    light = [None if np.isnan(value) else value for value in columns.brightness.tolist()]
    return list(zip(columns.seq.tolist(), columns.decided_us.tolist(), score, light, names, strict=True))


def pack_all(database: Database, size: int) -> int:
    made = 0
    while column_chunks.pack_next(database, size):
        made += 1
    return made


def unpack(database: Database) -> None:
    with database.write() as connection:
        connection.execute("DELETE FROM column_chunks")


@pytest.fixture
def filled(database: Database, now: TurnableClock, entry: MakeEntry) -> Database:
    """Parts of two variants a minute apart, some without a score, one a challenge, with alarms' numbers in between."""
    store = SqliteRecordStore(database, now=now)
    for i in range(PARTS):
        made = entry(f"e{i}", score=None if i % 10 == 0 else i / PARTS, challenge_id="K1" if i == 7 else None)
        assert made.record is not None
        record = replace(made.record, variant="monö" if i % 3 else "poly")
        store.append([replace(made, record=record)])
        if i % 4 == 0:
            store.append([Entry(Event(made.event.kind, f"x{i}", now(), {"event_id": f"x{i}"}))])
        now.turn(seconds=60)
    return database


def test_chunks_read_like_the_rows_they_were_made_of(filled: Database) -> None:
    reader = ColumnReader(filled)
    unpacked = rows_of(reader.records())
    assert len(unpacked) == PARTS
    assert pack_all(filled, 10) == 9, "the last five wait for company"
    assert rows_of(reader.records()) == unpacked
    assert pack_all(filled, 10) == 0
    assert {names[FIELDS.index("challenge_id")] for *_, names in unpacked} == {"", "K1"}


def test_a_range_of_time_cuts_through_chunks(filled: Database, now: TurnableClock) -> None:
    reader = ColumnReader(filled)
    end = now()
    ranges = [(end - timedelta(minutes=a), end - timedelta(minutes=b)) for a, b in [(200, 90), (73, 21), (50, 50), (4, 0)]]
    expected = [rows_of(reader.records(*bounds)) for bounds in ranges]
    pack_all(filled, 8)
    assert [rows_of(reader.records(*bounds)) for bounds in ranges] == expected
    assert [len(rows) for rows in expected] == [5, 52, 0, 4]


def test_batches_are_small_and_together_everything(filled: Database) -> None:
    pack_all(filled, 20)
    batches = list(ColumnReader(filled).batches())
    assert [len(batch.seq) for batch in batches] == [20, 20, 20, 20, 15]
    assert [row for batch in batches for row in rows_of(batch)] == rows_of(ColumnReader(filled).records())


def test_quality_is_the_same_from_chunks_and_from_rows(database: Database, now: TurnableClock, entry: MakeEntry) -> None:
    store, start = SqliteRecordStore(database, now=now), now()
    for i in range(60):
        quality = None if i % 7 == 0 else ImageQuality(100.0 + i, 40.0, 9.0 - i / 10, 2.0, i % 5)
        store.append([entry(f"e{i}", quality=quality, shift="early" if i < 30 else "late")])
        now.turn(seconds=60)
    reader = QualityReader(database)
    ranges = [(start, now()), (start + timedelta(minutes=13), start + timedelta(minutes=44))]
    expected = [reader.by_shift(*bounds) for bounds in ranges]
    assert [one.pictures for one in expected[0]] == [25, 26]
    assert expected[0][0].means.brightness == pytest.approx(100 + np.mean([i for i in range(30) if i % 7]))
    pack_all(database, 9)
    for bounds, rows in zip(ranges, expected, strict=True):
        for packed, plain in zip(reader.by_shift(*bounds), rows, strict=True):
            assert (packed.shift, packed.camera_id, packed.began, packed.pictures) == (
                plain.shift,
                plain.camera_id,
                plain.began,
                plain.pictures,
            )
            assert astuple(packed.means) == pytest.approx(astuple(plain.means))


def test_a_purge_takes_the_chunks_with_the_records(database: Database, now: TurnableClock, entry: MakeEntry) -> None:
    store = SqliteRecordStore(database, keep=RecordLimits(record_keep_s=3600), now=now)
    for i in range(40):
        store.append([entry(f"e{i}", ticket_days=1 if i in (3, 11) else None)])
        now.turn(seconds=60)
    pack_all(database, 10)
    now.turn(seconds=45 * 60)
    store.maintain()
    found = rows_of(ColumnReader(database).records())
    unpack(database)
    assert rows_of(ColumnReader(database).records()) == found
    assert len(found) == 17, "the last fifteen, and two that were drawn for a label"


def test_upkeep_packs_complete_chunks(
    database: Database, now: TurnableClock, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteRecordStore(database, now=now)
    store.append([entry(f"e{i}") for i in range(column_chunks.CHUNK + 5)])
    assert store.maintain() == 0
    with database.read() as connection:
        chunk, rest = column_chunks.stretches(connection)
        assert isinstance(chunk, column_chunks.Chunk)
        assert chunk.last_seq == column_chunks.CHUNK
        assert rest == (column_chunks.CHUNK, column_chunks.MAX_SEQ)


def test_the_second_of_two_packers_changes_nothing(filled: Database) -> None:
    """The edge and ``qc report`` may pack at the same moment."""
    with filled.read() as connection:
        batch = next(column_chunks.read_rows(connection, 0, column_chunks.MAX_SEQ, column_chunks.ALWAYS_US, 10))
        quality = column_chunks.quality_sums(connection, 0, int(batch.seq[-1]), column_chunks.ALWAYS_US)
    assert column_chunks.pack_next(filled, 10)
    expected = rows_of(ColumnReader(filled).records())
    with filled.write() as connection:
        column_chunks.insert(connection, 0, batch, quality)
    assert rows_of(ColumnReader(filled).records()) == expected


@given(sizes=st.lists(st.integers(1, 30), max_size=8), forgotten=st.lists(st.integers(1, 120), max_size=3))
@settings(max_examples=40, deadline=None)
def test_any_cutting_and_forgetting_reads_the_same(
    sizes: Sequence[int], forgotten: Sequence[int], big: tuple[Database, list[tuple[object, ...]]]
) -> None:
    database, expected = big
    unpack(database)
    for size in sizes:
        column_chunks.pack_next(database, size)
    with database.write() as connection:
        for seq in forgotten:
            column_chunks.forget(connection, seq, seq)
    assert rows_of(ColumnReader(database).records()) == expected


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, list[tuple[object, ...]]]:
    database = Database(tmp_path_factory.mktemp("big") / "qc.sqlite", synchronous="NORMAL")
    with database.write() as connection:
        connection.executemany(*_rows(connection))
    return database, rows_of(ColumnReader(database).records())


def _rows(connection: sqlite3.Connection) -> tuple[str, list[tuple[object, ...]]]:
    columns = [(row[1], row[2]) for row in connection.execute("PRAGMA table_info(inspections)")]
    kinds: dict[str, object] = {"TEXT": "t", "INTEGER": 5, "REAL": 0.5, "BLOB": b""}
    rows = [
        tuple(
            i if name == "seq" else f"e{i}" if name == "event_id" else i * 7 if name == "decided_us" else kinds[kind]
            for name, kind in columns
        )
        for i in range(1, 200, 2)
    ]
    return f"INSERT INTO inspections VALUES ({', '.join('?' * len(columns))})", rows
