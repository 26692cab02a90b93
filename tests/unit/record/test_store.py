"""The SQLite store beyond its contract: several writers, a full disk, and questions that stay quick on millions of rows."""

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.record.samples import T0, MakeEntry, TurnableClock

from qc.domain.errors import StoreError
from qc.domain.verdict import Decision
from qc.record.database import Database
from qc.record.image_index import ImageIndex
from qc.record.store import SqliteRecordStore


def test_several_writers_share_one_gap_free_sequence(tmp_path: Path, entry: MakeEntry) -> None:
    """Two databases on one file lock each other exactly as two processes do."""
    path = tmp_path / "qc.sqlite"
    with closing(Database(path, synchronous="NORMAL")) as one, closing(Database(path, synchronous="NORMAL")) as two:
        returned: list[list[int]] = [[] for _ in range(4)]

        def write(number: int) -> None:
            store = SqliteRecordStore((one, two)[number % 2])
            for turn in range(15):
                returned[number] += store.append([entry(f"w{number}-{turn}-{n}") for n in range(1 + turn % 3)])

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(seqs == sorted(seqs) for seqs in returned)
        assert sorted(seq for seqs in returned for seq in seqs) == list(range(1, 4 * 30 + 1))
        assert [row.seq for row in SqliteRecordStore(one).pending(0, 1000)] == list(range(1, 121))


def test_a_full_disk_refuses_the_batch_whole_and_the_next_one_succeeds(database: Database, entry: MakeEntry) -> None:
    store = SqliteRecordStore(database)
    store.append([entry("before")])
    with database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="free some space on this disk"):
        store.append([entry(f"lost {n}") for n in range(500)])
    assert store.counters().triggers == 1
    with database.write() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert store.append([entry("after")]) == [2]
    assert database.check() == []


SMALL = (
    "SCAN outbox_tally",
    "SCAN outbox_losses",
    "SCAN sqlite_sequence",
    "SCAN CONSTANT",
    "SCAN (subquery",
    "SCAN outbox USING INDEX outbox_dead",
)
"""Tables of a handful of rows, what was looked up before, and all dead letters where all are meant."""


class ListeningDatabase(Database):
    """Collects every statement with its values filled in."""

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        super().__init__(path, synchronous="NORMAL")

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self.heard.append)
        return connection


def test_no_question_reads_a_whole_table(tmp_path: Path, now: TurnableClock, entry: MakeEntry) -> None:
    """Every statement is looked up by an index or walks one in order (and stops at its LIMIT)."""
    with closing(ListeningDatabase(tmp_path / "qc.sqlite")) as database:
        store = SqliteRecordStore(database, now=now)
        index = ImageIndex(database)
        database.heard.clear()
        store.append([entry("a"), entry("b", ticket_days=1)])
        store.pending(0, 10)
        store.mark_sent([1])
        store.mark_dead(2, "refused")
        store.depth()
        store.dead_letters()
        store.dropped()
        store.replay(since=T0)
        store.replay(from_seq=1)
        store.requeue_dead()
        store.by_part("part-a")
        store.by_event("a")
        store.counters()
        store.counters(T0 + timedelta(minutes=1))
        for filters in ({}, {"decision": Decision.NG}, {"variant": "mono"}, {"camera_id": "cam1"}, {"before_seq": 1}):
            store.find(since=T0, until=T0 + timedelta(days=1), **filters)
        store.find(decision=Decision.NG, before_seq=1)
        store.audit_trail(since=T0)
        store.maintain()
        index.deletable(Decision.OK, T0, 10, T0)
        index.files_under("ab")
        index.find("a", "picture")
        questions = {text for text in database.heard if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))}
        assert len(questions) > 30
        with database.read() as connection:
            for question in sorted(questions):
                plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}")]
                scans = [
                    step for step in plan if step.startswith("SCAN") and not step.startswith(SMALL) and "LIMIT" not in question
                ]
                sorts = [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step]
                assert not scans + sorts, f"{question}\n{plan}"
