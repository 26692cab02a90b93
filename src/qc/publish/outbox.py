"""Which outbox row goes next, which wait for their ack, and which may be written off. No network here.

A broker's PUBACK is not durability: what a broker has acknowledged and not yet handed on is gone when it is killed. So an
acknowledged row stays pending in the store for ``settle_s`` more seconds; when the connection breaks within that time, it is
sent again with everything after it. Rows are always (re)sent in the order of seq, from the lowest one that is not written
off, so a consumer that drops repeats by event_id sees each event once and in order.
"""

from collections import deque

from qc.domain.ports import RecordStore
from qc.domain.record import OutboxRow


class OutboxFeed:
    """The drain thread's view of the outbox; not thread-safe. Times are seconds of one monotonic clock.

    Every method that touches the store may raise StoreError; nothing is forgotten then, and ``settle`` catches up later.
    """

    def __init__(self, store: RecordStore, *, batch: int = 200, settle_s: float = 1.0) -> None:
        self._store = store
        self._batch = batch
        self._settle_s = settle_s
        self._cursor = 0
        self._dry = False
        self._ready: deque[OutboxRow] = deque()
        self._unacked: set[int] = set()
        self._settling: deque[tuple[float, int]] = deque()
        self._settling_seqs: set[int] = set()
        self._refused: deque[tuple[int, str]] = deque()

    @property
    def unacked(self) -> int:
        return len(self._unacked)

    def next(self) -> OutboxRow | None:
        """The row to send now, or None when the outbox holds nothing new. The caller must send it or ``rewind``."""
        if not self._ready and not self._dry:
            rows = self._store.pending(self._cursor, self._batch)
            self._dry = len(rows) < self._batch
            if rows:
                self._cursor = rows[-1].seq
            self._ready.extend(row for row in rows if row.seq not in self._unacked and row.seq not in self._settling_seqs)
        if not self._ready:
            return None
        row = self._ready.popleft()
        self._unacked.add(row.seq)
        return row

    def refill(self) -> None:
        """New rows may exist."""
        self._dry = False

    def look_back(self) -> None:
        """Find rows that a replay has queued again below the cursor; for the poll, not for every wake."""
        self._dry = False
        first = self._store.pending(0, 1)
        if first and first[0].seq <= self._cursor and first[0].seq < self._lowest_known():
            self._cursor = 0
            self._ready.clear()

    def _lowest_known(self) -> int:
        ahead = self._ready[0].seq if self._ready else self._cursor + 1
        return min(self._unacked | self._settling_seqs | {ahead})

    def acked(self, seq: int, now_s: float) -> None:
        """The broker has it; it stays pending in the store until it has settled."""
        if seq in self._unacked:
            self._unacked.remove(seq)
            self._settling.append((now_s, seq))
            self._settling_seqs.add(seq)

    def refused(self, row: OutboxRow, reason: str) -> None:
        """The broker will never take it: keep it as a dead letter, so that the rows behind it flow."""
        self._refused.append((row.seq, reason))
        self._bury()

    def _bury(self) -> None:
        while self._refused:
            seq, reason = self._refused[0]
            self._store.mark_dead(seq, reason)
            self._refused.popleft()
            self._unacked.discard(seq)

    def settle(self, now_s: float, *, at_once: bool = False) -> int:
        """Write off, in one transaction, what was acknowledged ``settle_s`` ago (at_once: everything); returns how many."""
        self._bury()
        due = [seq for acked_s, seq in self._settling if at_once or now_s - acked_s >= self._settle_s]
        if due:
            self._store.mark_sent(due)
            for _ in due:
                self._settling_seqs.discard(self._settling.popleft()[1])
        return len(due)

    def rewind(self) -> None:
        """The connection broke: everything that is not written off is sent again, lowest seq first."""
        self._cursor = 0
        self._dry = False
        self._ready.clear()
        self._unacked.clear()
        self._settling.clear()
        self._settling_seqs.clear()
