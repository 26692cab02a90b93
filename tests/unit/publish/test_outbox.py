import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.publish.samples import line_entries

from qc.domain.errors import StoreError
from qc.domain.record import OutboxRow
from qc.publish.outbox import OutboxFeed
from qc.record.fake import MemoryRecordStore


def filled(count: int) -> MemoryRecordStore:
    store = MemoryRecordStore()
    store.append(line_entries(count))
    return store


def take(feed: OutboxFeed, count: int) -> list[int]:
    rows = [feed.next() for _ in range(count)]
    return [row.seq for row in rows if row is not None]


def test_rows_come_in_order_and_once() -> None:
    feed = OutboxFeed(filled(7), batch=3)
    assert take(feed, 10) == [1, 2, 3, 4, 5, 6, 7]
    assert feed.next() is None


def test_new_rows_are_seen_after_a_refill() -> None:
    store = filled(1)
    feed = OutboxFeed(store)
    assert take(feed, 2) == [1]
    store.append(line_entries(1))
    feed.refill()
    assert take(feed, 2) == [2]


def test_a_row_is_written_off_only_when_its_ack_has_settled() -> None:
    store = filled(3)
    feed = OutboxFeed(store, settle_s=1.0)
    take(feed, 3)
    feed.acked(1, now_s=10.0)
    feed.acked(2, now_s=10.6)
    assert feed.settle(10.9) == 0
    assert feed.settle(11.1) == 1
    assert [row.seq for row in store.pending(0, 10)] == [2, 3]
    assert feed.settle(11.1, at_once=True) == 1
    assert [row.seq for row in store.pending(0, 10)] == [3]


def test_after_a_break_everything_not_written_off_comes_again_from_the_lowest() -> None:
    feed = OutboxFeed(filled(6), settle_s=1.0)
    take(feed, 4)
    feed.acked(1, 0.0)
    feed.acked(2, 0.9)
    feed.settle(1.5)
    feed.rewind()
    assert take(feed, 6) == [2, 3, 4, 5, 6]


def test_a_late_ack_of_the_old_connection_counts_for_nothing() -> None:
    store = filled(1)
    feed = OutboxFeed(store)
    take(feed, 1)
    feed.rewind()
    feed.acked(1, 0.0)
    assert feed.settle(99.0) == 0


def test_refused_rows_become_dead_letters_and_the_rest_flows() -> None:
    store = filled(2)
    feed = OutboxFeed(store)
    first = feed.next()
    assert first is not None
    feed.refused(first, "not authorized")
    assert store.depth().dead == 1
    assert take(feed, 2) == [2]


def test_a_replay_is_found_by_looking_back() -> None:
    store = filled(5)
    feed = OutboxFeed(store, settle_s=0.0)
    for seq in take(feed, 5):
        feed.acked(seq, 0.0)
    feed.settle(1.0)
    assert store.replay(from_seq=3) == 3
    assert feed.next() is None
    feed.look_back()
    assert take(feed, 5) == [3, 4, 5]


class Broken(MemoryRecordStore):
    broken = False

    def mark_sent(self, seqs: object) -> None:
        if self.broken:
            raise StoreError("disk full")
        super().mark_sent(seqs)


def test_a_failing_store_loses_no_ack() -> None:
    store = Broken()
    store.append(line_entries(1))
    feed = OutboxFeed(store)
    take(feed, 1)
    feed.acked(1, 0.0)
    store.broken = True
    with pytest.raises(StoreError):
        feed.settle(9.0)
    store.broken = False
    assert feed.settle(9.0) == 1


class World:
    """A broker and a consumer around the feed. The broker acknowledges before the consumer has a message, and forgets
    on a crash what it has not handed on; it hands everything on within SETTLE_S."""

    SETTLE_S = 1.0

    def __init__(self) -> None:
        self.store = MemoryRecordStore()
        self.feed = OutboxFeed(self.store, batch=3, settle_s=self.SETTLE_S)
        self.now_s = 0.0
        self.on_the_way: list[tuple[float, OutboxRow]] = []
        self.unacked: list[int] = []
        self.seen: list[int] = []

    def hand_on(self, until_s: float) -> None:
        while self.on_the_way and self.on_the_way[0][0] <= until_s:
            seq = self.on_the_way.pop(0)[1].seq
            if seq not in self.seen:  # the consumer drops repeats
                self.seen.append(seq)

    def step(self, what: str, amount: int) -> None:
        if what == "append":
            self.store.append(line_entries(amount))
            self.feed.refill()
        elif what == "send":
            for _ in range(amount):
                if len(self.unacked) < 5 and (row := self.feed.next()) is not None:
                    self.unacked.append(row.seq)
                    self.on_the_way.append((self.now_s, row))
        elif what == "ack":
            for _ in range(min(amount, len(self.unacked))):
                self.feed.acked(self.unacked.pop(0), self.now_s)
        elif what == "time":
            self.now_s += amount * 0.4
            self.hand_on(self.now_s - 0.9 * self.SETTLE_S)
            self.feed.settle(self.now_s)
            self.feed.look_back()
        elif what == "connection lost":
            self.hand_on(self.now_s)  # the broker lives and hands on what it has
            self.unacked.clear()
            self.feed.rewind()
        elif what == "broker killed":
            self.on_the_way.clear()
            self.unacked.clear()
            self.feed.rewind()
        elif what == "edge killed":
            self.hand_on(self.now_s)
            self.unacked.clear()
            self.feed = OutboxFeed(self.store, batch=3, settle_s=self.SETTLE_S)
        elif what == "replay":
            self.store.replay(from_seq=amount)


STEPS = ["append", "send", "ack", "time", "connection lost", "broker killed", "edge killed", "replay"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 6)), max_size=60))
def test_a_consumer_that_drops_repeats_sees_every_event_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    world = World()
    for what, amount in steps:
        world.step(what, amount)
    for _ in range(200):
        for what in ("send", "ack", "time"):
            world.step(what, 5)
    world.hand_on(1e9)
    total = len(world.seen)
    assert world.seen == list(range(1, total + 1))
    assert world.store.depth().rows == 0
    assert world.store.append(line_entries(1)) == [total + 1]
