"""What goes with age, and what stays whatever its age."""

import numpy as np
import pytest
from tests.unit.record.samples import MakeEntry, TurnableClock

from qc.domain.errors import UnknownPart
from qc.domain.record import EventKind
from qc.record.database import Database
from qc.record.outbox import OutboxLimits
from qc.record.store import SqliteRecordStore
from qc.record.upkeep import RecordLimits

DAY_S = 86_400.0


def outbox_states(database: Database) -> dict[int, str]:
    with database.read() as connection:
        return {row["seq"]: row["state"] for row in connection.execute("SELECT seq, state FROM outbox ORDER BY seq")}


def test_sent_rows_are_kept_for_a_replay_and_then_purged_by_delivery_time(
    database: Database, now: TurnableClock, entry: MakeEntry
) -> None:
    store = SqliteRecordStore(database, limits=OutboxLimits(sent_keep_s=7 * DAY_S), now=now)
    store.append([entry("early"), entry("late")])
    store.mark_sent([1])
    now.turn(days=5)
    store.mark_sent([2])
    now.turn(days=2.5)
    assert store.maintain() == 1
    assert outbox_states(database) == {2: "sent"}
    assert store.replay(from_seq=1) == 1
    assert store.by_event("early").seq == 1, "the record outlives its outbox row"
    assert store.append([entry("next")]) == [3]


def test_numbers_are_never_reused_after_everything_was_purged(database: Database, now: TurnableClock, entry: MakeEntry) -> None:
    store = SqliteRecordStore(database, limits=OutboxLimits(sent_keep_s=1), keep=RecordLimits(record_keep_s=1), now=now)
    store.append([entry("a"), entry("b")])
    store.mark_sent([1, 2])
    now.turn(days=1)
    store.maintain()
    assert outbox_states(database) == {}
    with pytest.raises(UnknownPart):
        store.by_event("a")
    assert store.append([entry("c")]) == [3]
    assert store.counters().triggers == 3, "counters remember what was purged"


def test_waiting_and_dead_events_are_given_up_with_age_and_counted(
    database: Database, now: TurnableClock, entry: MakeEntry
) -> None:
    store = SqliteRecordStore(database, limits=OutboxLimits(limit_age_s=DAY_S, sent_keep_s=DAY_S), now=now)
    store.append([entry("waits"), entry("refused"), entry("alarm", kind=EventKind.ALARM), entry("sent")])
    store.mark_dead(2, "not authorised")
    store.mark_sent([4])
    store.replay(from_seq=4)
    now.turn(days=1.5)
    store.append([entry("fresh")])
    store.maintain()
    assert outbox_states(database) == {1: "dropped", 2: "dropped", 3: "dropped", 4: "pending", 5: "pending"}
    assert store.losses() == {("inspection", "too old"): 1, ("inspection", "dead letter too old"): 1, ("alarm", "too old"): 1}
    assert store.depth().dropped == 3
    now.turn(days=1.1)
    store.maintain()
    assert 1 not in outbox_states(database), "the trace of a dropped event goes in the end"
    assert store.depth().dropped == 4, "its count does not (and by now the fresh one was too old as well)"


def test_dead_letters_and_sent_rows_are_bounded_in_bytes(database: Database, now: TurnableClock, entry: MakeEntry) -> None:
    store = SqliteRecordStore(database, limits=OutboxLimits(limit_bytes=2000, sent_limit_bytes=1000), now=now)
    for number in range(60):
        (seq,) = store.append([entry(f"e{number}")])
        if number % 2:
            store.mark_dead(seq, "refused")
        else:
            store.mark_sent([seq])
        now.turn(seconds=1)
    store.maintain()
    states = outbox_states(database)
    sizes = {row.row.seq: len(row.row.payload) for row in store.dead_letters()}
    assert sum(sizes.values()) <= 2000 < sum(sizes.values()) + max(sizes.values())
    assert list(sizes) == sorted(sizes, reverse=True)
    assert max(sizes) == 60, "the newest stay"
    kept = [seq for seq, state in states.items() if state == "sent"]
    assert kept == list(range(kept[0], 60, 2))
    assert 0 < len(kept) < 20
    assert store.losses() == {("inspection", "too many dead letters"): 30 - len(sizes)}


def test_embeddings_go_first_then_records_but_never_those_with_a_ticket(
    database: Database, now: TurnableClock, entry: MakeEntry
) -> None:
    keep = RecordLimits(record_keep_s=30 * DAY_S, embedding_keep_s=10 * DAY_S)
    store = SqliteRecordStore(database, keep=keep, now=now)
    vector = np.ones(4, np.float32)
    store.append([entry("plain", embedding=vector), entry("ticketed", ticket_days=7, embedding=vector)])
    now.turn(days=9)
    store.append([entry("young", embedding=vector)])
    now.turn(days=2)
    store.maintain()
    assert store.by_event("plain").embedding is None
    assert store.by_event("young").embedding is not None
    now.turn(days=20)
    store.maintain()
    assert [record.event_id for record in store.find()] == ["young", "ticketed"]


def test_upkeep_goes_on_over_many_steps(database: Database, now: TurnableClock, entry: MakeEntry) -> None:
    store = SqliteRecordStore(database, limits=OutboxLimits(sent_keep_s=DAY_S), now=now)
    store.append([entry(f"e{number}") for number in range(1001)])
    store.mark_sent(range(1, 1002))
    now.turn(days=2)
    assert store.maintain() == 1001
    assert store.maintain() == 0
