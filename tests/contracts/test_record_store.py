"""What every record store promises: SQLite and the one in memory."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qc.domain.errors import StoreError, UnknownPart
from qc.domain.frame import ImageQuality
from qc.domain.inspection import Region, StageTimings
from qc.domain.record import AuditEntry, Entry, Event, EventKind, InspectionRecord
from qc.domain.truth import Purpose, SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.record.database import Database
from qc.record.fake import MemoryRecordStore
from qc.record.outbox import OutboxLimits
from qc.record.store import SqliteRecordStore

T0 = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
Store = SqliteRecordStore | MemoryRecordStore
OK = Verdict(Decision.OK, Reason.BELOW_REVIEW)
NG = Verdict(Decision.NG, Reason.ABOVE_REJECT, "peak 0.93 at the left edge")
DARK = Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT, "black")


class Now:
    def __init__(self) -> None:
        self.moment = T0

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def limits() -> OutboxLimits:
    return OutboxLimits()


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, now: Now, limits: OutboxLimits) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryRecordStore(limits=limits, now=now)
        return
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        yield SqliteRecordStore(database, limits=limits, now=now)


def event(name: str, kind: EventKind = EventKind.INSPECTION, at: datetime = T0, padding: int = 0) -> Event:
    body = {"schema": f"qc.{kind}/1", "event_id": name, "ts": at.isoformat(), "note": "ä" + "x" * padding}
    return Event(kind, name, at, body)


def part(name: str, verdict: Verdict = OK, at: datetime = T0, **fields: Any) -> Entry:
    record = InspectionRecord(
        event_id=name,
        part_id=fields.pop("part_id", f"part-{name}"),
        camera_id=fields.pop("camera_id", "cam1"),
        captured_at=at,
        decided_at=at,
        verdict=verdict,
        variant=fields.pop("variant", "mono"),
        recipe_version="0123456789ab",
        model_id="m-1",
        model_sha256="ab" * 32,
        review_at=0.3,
        reject_at=0.6,
        **fields,
    )
    return Entry(event(name, at=at), record)


def seqs(store: Store) -> list[int]:
    return [row.seq for row in store.pending(0, 1000)]


def test_numbers_are_given_in_order_without_gap_and_written_into_the_payload(store: Store) -> None:
    assert store.append([part("a"), Entry(event("b", EventKind.LINE))]) == [1, 2]
    assert store.append([]) == []
    assert store.append([part("c")]) == [3]
    rows = store.pending(0, 10)
    assert [(row.seq, row.event_id, row.kind) for row in rows] == [
        (1, "a", EventKind.INSPECTION),
        (2, "b", EventKind.LINE),
        (3, "c", EventKind.INSPECTION),
    ]
    assert [json.loads(row.payload)["seq"] for row in rows] == [1, 2, 3]
    assert json.loads(rows[1].payload) == {**event("b", EventKind.LINE).body, "seq": 2}
    assert rows[0].created_at == T0


def test_pending_pages_by_number(store: Store) -> None:
    store.append([part(str(number)) for number in range(5)])
    assert [row.seq for row in store.pending(2, 2)] == [3, 4]
    assert store.pending(5, 2) == []


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    entry = part(
        "full",
        NG,
        score=0.1 + 0.2,
        regions=(Region(0.1, 0.2, 0.3, 0.4, 0.05, 0.93), Region(0, 0, 1, 1, 1, 1)),
        timings=StageTimings(0.5, 1.25, 8.0, 10.5),
        quality=ImageQuality(120.5, 30.0, 11.0, 1.5, -2.0),
        embedding=np.array([0.5, -1.25, 100.0], np.float32),  # exact in float16
        frame_number=7,
        dropped_before=2,
        source_ref="cell7.png",
        shift="2026-11-24/early",
        role="canary",
        challenge_id="known-3",
        image_ref="/api/images/full",
    )
    assert entry.record is not None
    store.append([entry, part("plain", DARK)])
    found = store.by_event("full")
    np.testing.assert_array_equal(found.embedding, entry.record.embedding)
    assert replace(found, embedding=None, seq=0) == replace(entry.record, embedding=None)
    assert found.seq == 1
    plain = store.by_event("plain")
    assert (plain.score, plain.quality, plain.embedding, plain.challenge_id, plain.image_ref) == (None,) * 5
    assert plain.verdict == DARK


def test_unknown_events_are_an_error_and_unknown_parts_an_empty_list(store: Store) -> None:
    store.append([Entry(event("only an event", EventKind.ALARM))])
    with pytest.raises(UnknownPart, match="nobody"):
        store.by_event("nobody")
    with pytest.raises(UnknownPart):
        store.by_event("only an event")
    assert store.by_part("nothing") == []


def test_a_part_inspected_twice_has_both_records_oldest_first(store: Store) -> None:
    store.append([part("first", NG, part_id="P"), part("other"), part("second", OK, part_id="P")])
    assert [record.event_id for record in store.by_part("P")] == ["first", "second"]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(part("a"), id="event_id stored before"),
        pytest.param(Entry(event("x"), part("y").record), id="record of another event"),
        pytest.param(Entry(Event(EventKind.LINE, "x", T0, {"seq": 5})), id="seq given"),
        pytest.param(Entry(Event(EventKind.LINE, "x", T0, {"n": float("nan")})), id="not JSON"),
    ],
)
def test_one_bad_entry_refuses_the_whole_batch_and_leaves_no_gap(store: Store, bad: Entry) -> None:
    store.append([part("a")])
    with pytest.raises(StoreError):
        store.append([part("b"), bad])
    assert store.append([part("b")]) == [2]
    assert store.counters().triggers == 2


def test_sent_rows_leave_the_queue_and_return_on_replay(store: Store, now: Now) -> None:
    store.append([part(str(n), at=T0 + timedelta(minutes=n)) for n in range(6)])
    now.moment = T0 + timedelta(minutes=10)
    store.mark_sent([1, 2, 3, 5])
    assert seqs(store) == [4, 6]
    assert store.replay(from_seq=3) == 2
    assert seqs(store) == [3, 4, 5, 6]
    store.mark_sent([3, 4, 5, 6])
    assert store.replay(since=T0 + timedelta(minutes=4)) == 2
    assert seqs(store) == [5, 6]
    assert store.replay(from_seq=2, since=T0) == 3
    assert store.replay(since=T0 + timedelta(days=9)) == 0
    with pytest.raises(StoreError, match="from_seq or since"):
        store.replay()


def test_dead_letters_are_kept_with_their_reason_and_can_be_queued_again(store: Store) -> None:
    store.append([part(str(number)) for number in range(4)])
    payload = store.pending(0, 1)[0].payload
    store.mark_dead(1, "not authorised (0x87)")
    store.mark_dead(3, "payload too large (0x95)")
    store.mark_dead(99, "never existed")
    assert seqs(store) == [2, 4]
    assert [(letter.row.seq, letter.reason) for letter in store.dead_letters()] == [
        (3, "payload too large (0x95)"),
        (1, "not authorised (0x87)"),
    ]
    assert store.dead_letters(before_seq=3)[0].row.payload == payload
    assert store.dead_letters(limit=1)[0].row.seq == 3
    assert store.depth().dead == 2
    store.mark_sent([1])
    assert store.depth().dead == 2, "a late acknowledgement does not revive a dead letter"
    assert store.requeue_dead([3, 4]) == 1
    assert store.requeue_dead() == 1
    assert seqs(store) == [1, 2, 3, 4]
    assert store.depth().dead == 0


def test_depth_tells_rows_bytes_and_age(store: Store, now: Now) -> None:
    assert (store.depth().rows, store.depth().bytes, store.depth().oldest_age_s) == (0, 0, 0.0)
    store.append([part("a"), part("b", at=T0 + timedelta(seconds=30))])
    now.moment = T0 + timedelta(seconds=90)
    rows = store.pending(0, 10)
    depth = store.depth()
    assert (depth.rows, depth.bytes, depth.oldest_age_s) == (2, sum(len(row.payload) for row in rows), 90.0)
    store.mark_sent([1])
    assert (store.depth().rows, store.depth().bytes, store.depth().oldest_age_s) == (1, len(rows[1].payload), 60.0)
    now.moment = T0 - timedelta(hours=1)  # the clock was set back
    assert store.depth().oldest_age_s == 0.0


class TestFullOutbox:
    @pytest.fixture
    def limits(self) -> OutboxLimits:
        return OutboxLimits(limit_bytes=10_000)

    def test_line_events_go_first_and_inspections_last(self, store: Store) -> None:
        kinds = [EventKind.INSPECTION, EventKind.ALARM, EventKind.LABEL_REQUEST, EventKind.LINE]
        store.append([Entry(event(f"{kind}", kind, padding=2000)) for kind in kinds])
        gone = []
        for number in range(5):
            store.append([part(f"more {number}")])
            store.append([Entry(event(f"big {number}", padding=2000))])
            gone.append({letter.row.event_id for letter in store.dropped()})
        assert gone[0] == {"line"} or gone[1] == {"line"}
        order = [name for step, before in zip(gone, [set(), *gone], strict=False) for name in sorted(step - before)]
        assert order[:3] == ["line", "label-request", "alarm"]
        assert order[3] == "inspection", "then the oldest inspection"
        depth = store.depth()
        assert depth.bytes <= 10_000
        assert depth.dropped == len(order) == sum(store.losses().values())
        assert store.losses()[("line", "outbox full")] == 1
        assert {letter.reason for letter in store.dropped()} == {"outbox full"}
        assert {letter.row.payload for letter in store.dropped()} == {b""}

    def test_dropped_inspections_are_only_not_told_their_records_stay(self, store: Store) -> None:
        store.append([part("old")])
        store.append([Entry(event(f"{number}", padding=3000)) for number in range(4)])
        assert "old" in [letter.row.event_id for letter in store.dropped()]
        assert store.by_event("old").seq == 1
        assert seqs(store) == sorted(seqs(store))
        assert len(seqs(store)) + store.depth().dropped == 5

    def test_replayed_rows_give_way_without_loss(self, store: Store) -> None:
        store.append([Entry(event(f"{number}", padding=2000)) for number in range(4)])
        store.mark_sent([1, 2, 3, 4])
        assert store.replay(from_seq=1) == 4
        store.append([Entry(event("new", padding=2000)), Entry(event("newer", EventKind.LINE, padding=2000))])
        assert store.depth().dropped == 0
        assert seqs(store)[-2:] == [5, 6]
        assert store.replay(from_seq=1) >= 1, "what gave way counts as sent again"


def test_find_filters_and_pages_newest_first(store: Store) -> None:
    minute = timedelta(minutes=1)
    store.append(
        [
            part("a", OK, T0),
            part("b", NG, T0 + minute, variant="poly"),
            part("c", NG, T0 + 2 * minute),
            part("d", OK, T0 + 2 * minute, camera_id="cam2"),
            part("late entry", OK, T0 - minute),
        ]
    )

    def ids(**filters: Any) -> list[str]:
        return [record.event_id for record in store.find(**filters)]

    assert ids() == ["d", "c", "b", "a", "late entry"]
    assert ids(limit=2) == ["d", "c"]
    assert ids(limit=2, before_seq=3) == ["b", "a"]
    assert ids(before_seq=1) == ["late entry"]
    assert ids(since=T0, until=T0 + 2 * minute) == ["b", "a"]
    assert ids(variant="poly") == ["b"]
    assert ids(decision=Decision.NG) == ["c", "b"]
    assert ids(decision=Decision.NG, variant="mono", before_seq=4) == ["c"]
    assert ids(camera_id="cam2") == ["d"]
    with pytest.raises(UnknownPart):
        ids(before_seq=77)


def test_counters_count_every_decision_and_reason(store: Store) -> None:
    assert store.counters().triggers == 0
    overload = Verdict(Decision.NOT_INSPECTED, Reason.OVERLOAD)
    review = Verdict(Decision.REVIEW, Reason.BETWEEN_THRESHOLDS)
    store.append([part("1", OK), part("2", NG), part("3", DARK), part("4", overload), Entry(event("x", EventKind.LINE))])
    store.append([part("5", DARK), part("6", review), part("7", OK)])
    counters = store.counters()
    assert (counters.triggers, counters.ok, counters.review, counters.ng) == (7, 2, 1, 1)
    assert counters.not_inspected == {"camera_fault": 2, "overload": 1}


@pytest.mark.parametrize("minutes", [0, 3, 10, 11, 25, 60])
def test_counters_since_a_time_are_exact(store: Store, minutes: int) -> None:
    store.append([part(str(n), NG if n % 3 else OK, T0 + timedelta(minutes=n)) for n in range(40)])
    counters = store.counters(T0 + timedelta(minutes=minutes))
    assert counters.triggers == max(0, 40 - minutes)
    assert counters.ok == sum(n % 3 == 0 for n in range(minutes, 40))


def test_the_audit_trail_keeps_who_did_what(store: Store) -> None:
    hour = timedelta(hours=1)
    entries = [
        AuditEntry(T0 + n * hour, who, "http", action, {"variant": "poly", "n": n}, "ok")
        for n, (who, action) in enumerate([("ann", "recipe"), ("bob", "pause"), ("ann", "resume")])
    ]
    for entry in entries:
        store.audit(entry)
    assert store.audit_trail() == entries[::-1]
    assert store.audit_trail(action="pause") == [entries[1]]
    assert store.audit_trail(since=T0 + hour, until=T0 + 2 * hour) == [entries[1]]
    assert store.audit_trail(limit=1) == [entries[2]]


def test_tickets_are_stored_with_their_part(store: Store, tmp_path: Path) -> None:
    ticket = SampleTicket("t1", "a", "part-a", "w", "OK/low", 0.25, "plan-1", Purpose.ESTIMATE, T0, T0 + timedelta(days=7))
    store.append([replace(part("a"), ticket=ticket), part("b")])
    if isinstance(store, MemoryRecordStore):
        assert store.tickets == {"t1": ticket}
        return
    with closing(Database(tmp_path / "qc.sqlite")) as database, database.read() as connection:
        rows = connection.execute("SELECT * FROM tickets").fetchall()
    assert [(row["ticket_id"], row["event_id"], row["inclusion_probability"], row["purpose"]) for row in rows] == [
        ("t1", "a", 0.25, "estimate")
    ]
