"""The archive on a disk that fills, fails and recovers; retention; repair at start."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.record.samples import MakeEntry, TurnableClock

from qc.domain.errors import StoreError, UnknownPart
from qc.domain.record import Entry
from qc.domain.verdict import Decision
from qc.record.archive import DiskImageArchive, Trouble
from qc.record.archive_policy import ArchivePolicy
from qc.record.database import Database
from qc.record.files import ImageFiles
from qc.record.image_reader import ImageReader
from qc.record.retention import RetentionLimits
from qc.record.store import SqliteRecordStore

PIXELS = np.zeros((8, 8, 3), np.uint8)
DAY_S = 86_400.0


class Disk(ImageFiles):
    """A real folder whose free space and refusals the test sets; ``gate`` can hold up writing."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.free = 10**12
        self.refuse = False
        self.gate = threading.Event()
        self.gate.set()

    def free_bytes(self) -> int:
        return self.free

    def write(self, name: str, content: bytes) -> bool:
        self.gate.wait(30)
        if self.refuse:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(name, content)

    def names(self) -> set[str]:
        return {path.name for path in self.directory.rglob("*") if path.is_file()}


def noise(seed: int) -> NDArray[np.uint8]:
    """A picture of about 3.1 kB as PNG, whose content no other seed has."""
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def until(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at, f"waited in vain: {what}"
        time.sleep(0.005)


class Bench:
    """An archive with its store, disk and clock; pictures go in by name."""

    def __init__(self, database: Database, directory: Path, now: TurnableClock, entry: MakeEntry) -> None:
        self.database, self.directory, self.now, self.entry = database, directory, now, entry
        self.store = SqliteRecordStore(database, now=now)
        self.disk = Disk(directory)
        self.told: list[tuple[str, str]] = []
        self.open_archives = ExitStack()
        self.seed = 0

    def open(self, **options: object) -> DiskImageArchive:
        options.setdefault("limits", RetentionLimits(min_free_bytes=1000))
        options.setdefault("on_trouble", lambda trouble, detail: self.told.append((trouble, detail)))
        self.archive = DiskImageArchive(
            self.database,
            self.directory,
            encode_heatmap=lambda m: cv2.imencode(".png", (m * 255).astype(np.uint8))[1].tobytes(),
            files=self.disk,
            now=self.now,
            look_s=0.01,
            on_recovered=lambda trouble: self.told.append((trouble, "recovered")),
            **options,
        )
        self.open_archives.callback(self.archive.close)
        return self.archive

    def stored(self, name: str, decision: Decision = Decision.NG, *, sent: bool = True, **options: object) -> Entry:
        """The part's record in the database, its event delivered unless ``sent`` is False."""
        entry = self.entry(name, decision, **options)
        seqs = self.store.append([entry])
        if sent:
            self.store.mark_sent(seqs)
        return entry

    def keep(self, name: str, decision: Decision = Decision.NG, **options: object) -> None:
        """Stored and archived; one second passes after each."""
        entry = self.stored(name, decision, **options)
        assert entry.record is not None
        written = self.archive.status().written
        self.seed += 1
        assert self.archive.submit(entry.record, noise(self.seed), np.full((2, 2), 0.5, np.float32))
        until(lambda: self.archive.status().written == written + 1, f"{name} written")
        self.now.turn(seconds=1)

    def kept(self) -> list[str]:
        with self.database.read() as connection:
            return [
                row[0] for row in connection.execute("SELECT event_id FROM images WHERE kind = 'picture' ORDER BY created_us")
            ]

    def settled(self) -> None:
        """Time for several looks of the archive's thread: what it should not delete, it would have deleted by now."""
        time.sleep(0.08)


@pytest.fixture
def bench(database: Database, tmp_path: Path, now: TurnableClock, entry: MakeEntry) -> Iterator[Bench]:
    made = Bench(database, tmp_path / "images", now, entry)
    with made.open_archives:
        yield made


def test_equal_pictures_share_one_file_which_stays_until_the_last_event_goes(bench: Bench) -> None:
    archive = bench.open(limits=RetentionLimits(min_free_bytes=0, max_age_s=DAY_S, ok_max_age_s=DAY_S))
    for name in ("first", "second"):
        entry = bench.stored(name)
        assert entry.record is not None
        archive.submit(entry.record, PIXELS, None)
        bench.now.turn(hours=12)
    until(lambda: archive.status().written == 2, "both written")
    assert len(bench.disk.names()) == 1
    assert archive.status().total_bytes == len(archive.load("first").content)
    bench.archive.close()
    bench.now.turn(hours=1)
    archive = bench.open(limits=RetentionLimits(min_free_bytes=0, max_age_s=DAY_S, ok_max_age_s=DAY_S))
    until(lambda: bench.kept() == ["second"], "the first aged out")
    assert archive.load("second").content
    archive.close()
    bench.now.turn(days=1)
    archive = bench.open(limits=RetentionLimits(min_free_bytes=0, max_age_s=DAY_S, ok_max_age_s=DAY_S))
    until(lambda: not bench.disk.names(), "the file is gone")
    assert archive.status().total_bytes == 0


def test_a_full_queue_drops_counts_and_favours_what_matters(bench: Bench) -> None:
    archive = bench.open(queue_bytes=3 * PIXELS.nbytes, policy=ArchivePolicy(ok_share=1.0))
    bench.disk.gate.clear()
    entries = [bench.stored(f"e{n}") for n in range(7)]
    records = [entry.record for entry in entries if entry.record is not None]
    assert archive.submit(records[0], PIXELS, None)
    until(lambda: archive.status().queued == 0, "the first is in hand")
    assert all(archive.submit(record, PIXELS, None) for record in records[1:3])
    ok = bench.stored("ok", Decision.OK).record
    assert ok is not None
    assert not archive.wants(ok, ticketed=False), "the second half of the queue is for others"
    assert archive.wants(ok, ticketed=True)
    assert archive.submit(records[3], PIXELS, None)
    assert not archive.submit(records[4], PIXELS, None)
    assert archive.status().dropped_queue == 2
    bench.disk.gate.set()
    until(lambda: archive.status().written == 4, "the queue is written")
    assert archive.submit(records[5], PIXELS, None)


def test_close_writes_what_is_queued(bench: Bench) -> None:
    archive = bench.open()
    bench.disk.gate.clear()
    for n in range(5):
        record = bench.stored(f"e{n}").record
        assert record is not None
        assert archive.submit(record, noise(n), None)
    bench.disk.gate.set()
    archive.close(timeout_s=30)
    archive.close()
    assert len(bench.kept()) == 5
    assert not archive.submit(record, PIXELS, None)
    assert archive.status().dropped_disk == 1


def test_a_refusing_disk_costs_pictures_only_and_is_told_once(bench: Bench) -> None:
    archive = bench.open(retry_s=3600.0)
    bench.keep("before")
    bench.disk.refuse = True
    entry = bench.stored("lost")
    assert entry.record is not None
    assert archive.submit(entry.record, PIXELS, None)
    until(lambda: len(bench.told) == 1, "trouble told")
    assert not archive.wants(entry.record, ticketed=True)
    assert not archive.submit(entry.record, PIXELS, None)
    assert archive.status().dropped_disk == 3
    assert archive.status().troubles == (Trouble.WRITE_FAILED,)
    assert "No space left" in bench.told[0][1]
    assert bench.stored("recorded all the same", sent=False)
    assert bench.store.depth().rows == 1
    assert bench.kept() == ["before"]


def test_the_next_picture_tries_again_and_recovery_is_told(bench: Bench) -> None:
    archive = bench.open(retry_s=0.001)
    bench.disk.refuse = True
    entry = bench.stored("lost")
    assert entry.record is not None
    assert archive.submit(entry.record, PIXELS, None)
    until(lambda: len(bench.told) == 1, "trouble told")
    bench.disk.refuse = False
    until(lambda: archive.wants(entry.record, ticketed=True), "a trial is allowed")
    bench.keep("after")
    until(lambda: len(bench.told) == 2, "recovery told")
    assert bench.told[1] == ("write_failed", "recovered")
    assert archive.status().troubles == ()
    assert bench.kept() == ["after"]


def test_a_listener_that_fails_is_told_again(bench: Bench) -> None:
    """The alarm store may be on the same full disk."""
    calls = []

    def listen(trouble: Trouble, detail: str) -> None:
        calls.append(trouble)
        if len(calls) < 3:
            raise StoreError("disk full")

    archive = bench.open(on_trouble=listen)
    bench.disk.free = 0
    until(lambda: len(calls) >= 3, "told until it was heard")
    bench.disk.free = 10**12
    until(lambda: bench.told == [("no_room", "recovered")], "recovery told")
    bench.keep("the thread lives on")
    assert archive.load("the thread lives on").content
    assert len(calls) == 3


def test_low_disk_frees_ok_first_then_stops_and_notices_recovery(bench: Bench) -> None:
    archive = bench.open()
    bench.keep("ng", Decision.NG)
    bench.keep("ok", Decision.OK)
    bench.keep("waiting", Decision.OK, sent=False)
    bench.disk.free = 999
    until(lambda: len(bench.told) == 1, "told")
    assert archive.status().troubles == (Trouble.NO_ROOM,)
    assert bench.kept() == ["waiting"], "only what is still needed was left when nothing else helped"
    record = bench.stored("more").record
    assert record is not None
    assert not archive.wants(record, ticketed=True)
    bench.disk.free = 10**6
    until(lambda: len(bench.told) == 2, "recovered")
    assert archive.status().troubles == ()
    assert archive.wants(record, ticketed=True)
    assert [trouble for trouble, _ in bench.told] == ["no_room", "no_room"]
    assert "1000 must stay free" in bench.told[0][1]


def test_the_ok_ring_turns_while_ng_stays(bench: Bench) -> None:
    archive = bench.open(limits=RetentionLimits(ok_budget_bytes=16_000, min_free_bytes=0))
    bench.keep("ng", Decision.NG)
    for n in range(12):
        bench.keep(f"ok{n}", Decision.OK)
    until(lambda: "ok6" not in bench.kept(), "the ring turned")
    bench.settled()
    kept = bench.kept()
    assert kept[0] == "ng"
    assert kept[1:] == [f"ok{n}" for n in range(12 - len(kept) + 1, 12)], "the newest OK parts stay"
    assert 3 <= len(kept) - 1 <= 5
    assert archive.status().deleted == 13 - len(kept)
    assert len(bench.disk.names()) == len(kept) + 1, "pictures, and the heatmap that all share"


def test_the_budget_takes_ok_then_not_inspected_then_review_then_ng(bench: Bench) -> None:
    bench.open(limits=RetentionLimits(min_free_bytes=0))
    for decision in (Decision.NG, Decision.REVIEW, Decision.NOT_INSPECTED, Decision.OK):
        bench.keep(decision.value, decision)
    total = bench.archive.status().total_bytes
    remaining = []
    for left, share in ((3, 0.8), (2, 0.55), (1, 0.3), (0, 0.01)):
        bench.archive.close()
        bench.open(limits=RetentionLimits(budget_bytes=int(total * share), min_free_bytes=0))
        until(lambda left=left: len(bench.kept()) <= left, f"only {left} are left")
        bench.settled()
        remaining.append(bench.kept())
    assert remaining == [["NG", "REVIEW", "NOT_INSPECTED"], ["NG", "REVIEW"], ["NG"], []]


def test_open_label_requests_and_undelivered_events_keep_their_pictures(bench: Bench) -> None:
    bench.open()
    bench.keep("asked", Decision.OK, ticket_days=7)
    bench.keep("expired", Decision.OK, ticket_days=0.5)
    bench.keep("undelivered", Decision.NG, sent=False)
    bench.keep("refused", Decision.NG, sent=False)
    bench.keep("free", Decision.NG)
    bench.store.mark_dead(4, "not authorised")
    bench.now.turn(days=1)
    bench.archive.close()
    bench.open(limits=RetentionLimits(budget_bytes=10, min_free_bytes=0))
    until(lambda: len(bench.kept()) == 3, "the others went")
    until(lambda: len(bench.told) == 1, "told that the budget is full")
    assert bench.kept() == ["asked", "undelivered", "refused"]
    assert "must be kept" in bench.told[0][1]
    with bench.database.write() as connection:
        connection.execute(
            "INSERT INTO labels (label_id, ticket_id, truth, defect_type, labeller, labelled_us, review_round) "
            "VALUES ('l', 't-asked', 'good', '', 'ann', 1, 1)"
        )
    until(lambda: bench.kept() == ["undelivered", "refused"], "labelled, so free to go")
    bench.store.mark_sent([3])
    bench.store.requeue_dead()
    bench.store.mark_sent([4])
    until(lambda: bench.kept() == [], "delivered, so free to go")
    until(lambda: bench.archive.status().troubles == (), "room again")


def test_pictures_go_with_age_ok_sooner(bench: Bench) -> None:
    bench.open()
    bench.keep("ok", Decision.OK)
    bench.keep("ng", Decision.NG)
    bench.now.turn(days=31)
    bench.archive.close()
    bench.open()
    until(lambda: bench.kept() == ["ng"], "OK aged out")
    bench.settled()
    assert bench.kept() == ["ng"]


def test_orphans_and_missing_or_torn_files_are_put_right_at_start(bench: Bench) -> None:
    bench.open()
    for name in ("whole", "missing", "torn"):
        bench.keep(name)
    bench.archive.close()
    with bench.database.read() as connection:
        files = dict(connection.execute("SELECT event_id, file_name FROM images WHERE kind = 'picture'").fetchall())
    bench.disk.path(files["missing"]).unlink()
    bench.disk.path(files["torn"]).write_bytes(b"\x89PNG")
    orphans = ["ab" * 32 + ".png", "cd" * 32 + ".png.part"]
    for name in orphans:
        bench.disk.path(name).parent.mkdir(parents=True, exist_ok=True)
        bench.disk.path(name).write_bytes(b"left over")
    archive = bench.open()
    until(lambda: not set(orphans) & bench.disk.names(), "orphans deleted")
    until(lambda: archive.status().lost == 2, "losses counted")
    assert bench.kept() == ["whole"]
    assert archive.load("whole").content
    with pytest.raises(UnknownPart):
        archive.load("missing")
    assert archive.status().total_bytes == sum(bench.disk.path(name).stat().st_size for name in bench.disk.names())


def test_a_torn_picture_is_never_served(bench: Bench) -> None:
    archive = bench.open()
    bench.keep("a")
    with bench.database.read() as connection:
        name = connection.execute("SELECT file_name FROM images WHERE kind = 'picture'").fetchone()[0]
    content = bytearray(bench.disk.path(name).read_bytes())
    content[-20] ^= 1
    bench.disk.path(name).write_bytes(content)
    with pytest.raises(UnknownPart):
        archive.load("a")


def test_a_folder_belongs_to_one_archive_but_anybody_may_read(bench: Bench) -> None:
    bench.open()
    bench.keep("a")
    with pytest.raises(StoreError, match="in use by another running qc"):
        DiskImageArchive(bench.database, bench.directory, encode_heatmap=lambda m: b"")
    reader = ImageReader(bench.database, bench.directory)
    assert reader.load("a") == bench.archive.load("a")
    with pytest.raises(UnknownPart):
        reader.load("b")


def test_an_unusable_folder_is_a_clear_error(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="give the service's user a folder"):
        DiskImageArchive(database, tmp_path / "file" / "images", encode_heatmap=lambda m: b"")
