"""Whatever happens to the outbox, in any order: no event is lost unseen, and none overtakes another."""

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qc.domain.record import Entry, Event, EventKind
from qc.record.database import Database
from qc.record.outbox import SHED_ORDER, OutboxLimits
from qc.record.store import SqliteRecordStore

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
LIMIT_BYTES = 3000
KINDS = st.sampled_from(list(EventKind))


class OutboxMachine(RuleBasedStateMachine):
    """Model: the state of each seq as a plain dict; the database may be closed and opened again at any time."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.states: dict[int, str] = {}
        self.kinds: dict[int, EventKind] = {}
        self.ever_sent: set[int] = set()
        self.open()

    def open(self) -> None:
        self.database = Database(Path(self.folder.name) / "qc.sqlite", synchronous="NORMAL")
        self.store = SqliteRecordStore(self.database, limits=OutboxLimits(limit_bytes=LIMIT_BYTES), now=self.now)

    def now(self) -> datetime:
        return T0 + timedelta(seconds=len(self.states))

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    def some(self, state: str, choose: Callable[[list[int]], list[int]]) -> list[int]:
        return choose([seq for seq, its in self.states.items() if its == state])

    @rule(batch=st.lists(st.tuples(KINDS, st.integers(0, 400)), min_size=1, max_size=6))
    def append(self, batch: list[tuple[EventKind, int]]) -> None:
        first = len(self.states) + 1
        entries = []
        for number, (kind, padding) in enumerate(batch, first):
            body = {"event_id": f"e{number}", "padding": "x" * padding}
            entries.append(Entry(Event(kind, f"e{number}", self.now(), body)))
        assert self.store.append(entries) == list(range(first, first + len(batch)))
        for number, (kind, _) in enumerate(batch, first):
            self.states[number], self.kinds[number] = "pending", kind
        self.account_for_what_was_shed()

    def account_for_what_was_shed(self) -> None:
        """The only silent changes are those of the bound: replayed rows are sent again, others dropped in SHED_ORDER."""
        pending = {row.seq for row in self.store.pending(0, 10_000)}
        dropped = {letter.row.seq for letter in self.store.dropped(10_000)}
        shed = {seq for seq, state in self.states.items() if state == "pending"} - pending
        for seq in shed:
            self.states[seq] = "sent" if seq in self.ever_sent else "dropped"
        assert {seq for seq, state in self.states.items() if state == "dropped"} == dropped
        lost_kinds = [self.kinds[seq] for seq in shed if seq not in self.ever_sent]
        if lost_kinds:
            assert not pending & self.ever_sent, "replayed rows give way before anything is lost"
            worst = max(SHED_ORDER.index(kind) for kind in lost_kinds)
            assert all(SHED_ORDER.index(self.kinds[seq]) >= worst for seq in pending)

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Acknowledgements may come in any order, twice, or for rows that are not waiting."""
        seqs = data.draw(st.lists(st.integers(1, len(self.states) + 1), max_size=5))
        self.store.mark_sent(seqs)
        for seq in seqs:
            if self.states.get(seq) == "pending":
                self.states[seq] = "sent"
                self.ever_sent.add(seq)

    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(1, len(self.states) + 1))
        self.store.mark_dead(seq, "refused")
        if self.states.get(seq) == "pending":
            self.states[seq] = "dead"

    @rule()
    def requeue(self) -> None:
        dead = [seq for seq, state in self.states.items() if state == "dead"]
        assert self.store.requeue_dead() == len(dead)
        self.states.update(dict.fromkeys(dead, "pending"))

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(1, len(self.states) + 1))
        sent = [seq for seq, state in self.states.items() if state == "sent" and seq >= start]
        assert self.store.replay(from_seq=start) == len(sent)
        self.states.update(dict.fromkeys(sent, "pending"))

    @rule()
    def restart(self) -> None:
        self.database.close()
        self.open()

    @invariant()
    def the_queue_is_what_the_model_says_in_order(self) -> None:
        if not hasattr(self, "states"):
            return
        rows = self.store.pending(0, 10_000)
        assert [row.seq for row in rows] == sorted(seq for seq, state in self.states.items() if state == "pending")
        for row in rows:
            body = json.loads(row.payload)
            assert (body["seq"], body["event_id"], row.event_id) == (row.seq, f"e{row.seq}", f"e{row.seq}")
            assert row.kind is self.kinds[row.seq]

    @invariant()
    def the_depth_adds_up(self) -> None:
        if not hasattr(self, "states"):
            return
        rows, depth = self.store.pending(0, 10_000), self.store.depth()
        assert (depth.rows, depth.bytes) == (len(rows), sum(len(row.payload) for row in rows))
        assert depth.dead == sum(state == "dead" for state in self.states.values())
        assert depth.dropped == sum(state == "dropped" for state in self.states.values())


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
