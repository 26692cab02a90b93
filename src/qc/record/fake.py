"""The record store and the image archive without a disk, for tests and simulations; they obey the same contract tests."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import StoreError, UnknownPart
from qc.domain.frame import Pixels
from qc.domain.record import AuditEntry, Entry, EventKind, InspectionRecord, OutboxDepth, OutboxRow
from qc.domain.truth import SampleTicket
from qc.domain.verdict import Decision
from qc.record.archive import EncodeHeatmap
from qc.record.archive_policy import ArchivePolicy
from qc.record.counters import Counters
from qc.record.image_index import HEATMAP, PICTURE
from qc.record.image_reader import ImageBlob
from qc.record.outbox import SHED_ORDER, OutboxLimits, Undelivered
from qc.record.rows import numbered_payload, unnumbered_payload
from qc.record.store import utc_now


@dataclass(slots=True)
class _Slot:
    row: OutboxRow
    state: str = "pending"
    sent_at: datetime | None = None
    reason: str = ""


class MemoryRecordStore:
    """Everything is lost with the object; nothing is ever purged by age."""

    def __init__(self, *, limits: OutboxLimits | None = None, now: Callable[[], datetime] = utc_now) -> None:
        self._limits = limits or OutboxLimits()
        self._now = now
        self._lock = threading.RLock()
        self._slots: dict[int, _Slot] = {}
        self._records: dict[str, InspectionRecord] = {}
        self._audit: list[AuditEntry] = []
        self._losses: Counter[tuple[str, str]] = Counter()
        self.tickets: dict[str, SampleTicket] = {}

    def append(self, entries: Sequence[Entry]) -> list[int]:
        with self._lock:
            texts = [unnumbered_payload(entry.event) for entry in entries]
            known = {slot.row.event_id for slot in self._slots.values()}
            for entry in entries:
                if entry.event.event_id in known:
                    raise StoreError(f"event_id {entry.event.event_id} is stored already")
                if entry.record is not None and entry.record.event_id != entry.event.event_id:
                    raise StoreError(f"event {entry.event.event_id} carries the record of another event")
                known.add(entry.event.event_id)
            seqs = []
            for entry, text in zip(entries, texts, strict=True):
                seq, event = len(self._slots) + 1, entry.event
                self._slots[seq] = _Slot(
                    OutboxRow(seq, event.event_id, event.kind, event.created_at, numbered_payload(text, seq))
                )
                if entry.record is not None:
                    self._records[event.event_id] = replace(entry.record, seq=seq)
                if entry.ticket is not None:
                    self.tickets[entry.ticket.ticket_id] = entry.ticket
                seqs.append(seq)
            self._shed()
            return seqs

    def pending(self, after_seq: int, limit: int) -> list[OutboxRow]:
        with self._lock:
            return [slot.row for slot in self._in("pending") if slot.row.seq > after_seq][:limit]

    def mark_sent(self, seqs: Sequence[int]) -> None:
        with self._lock:
            for seq in seqs:
                slot = self._slots.get(seq)
                if slot is not None and slot.state == "pending":
                    slot.state, slot.sent_at = "sent", self._now()

    def mark_dead(self, seq: int, reason: str) -> None:
        with self._lock:
            slot = self._slots.get(seq)
            if slot is not None and slot.state == "pending":
                slot.state, slot.reason = "dead", reason

    def requeue_dead(self, seqs: Sequence[int] | None = None) -> int:
        with self._lock:
            chosen = [slot for slot in self._in("dead") if seqs is None or slot.row.seq in seqs]
            for slot in chosen:
                slot.state, slot.reason = "pending", ""
            return len(chosen)

    def dead_letters(self, limit: int = 100, before_seq: int | None = None) -> list[Undelivered]:
        return self._undelivered("dead", limit, before_seq)

    def dropped(self, limit: int = 100, before_seq: int | None = None) -> list[Undelivered]:
        return self._undelivered("dropped", limit, before_seq)

    def losses(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._losses)

    def depth(self) -> OutboxDepth:
        with self._lock:
            waiting = [slot.row for slot in self._in("pending")]
            age = self._now() - waiting[0].created_at if waiting else timedelta(0)
            return OutboxDepth(
                rows=len(waiting),
                bytes=sum(len(row.payload) for row in waiting),
                oldest_age_s=max(0.0, age.total_seconds()),
                dead=len(self._in("dead")),
                dropped=self._losses.total(),
            )

    def replay(self, *, from_seq: int | None = None, since: datetime | None = None) -> int:
        if from_seq is None and since is None:
            raise StoreError("replay needs a start: from_seq or since")
        with self._lock:
            chosen = [
                slot
                for slot in self._in("sent")
                if slot.row.seq >= (from_seq or 0) and (since is None or slot.row.created_at >= since)
            ]
            for slot in chosen:
                slot.state = "pending"
            return len(chosen)

    def by_part(self, part_id: str) -> list[InspectionRecord]:
        with self._lock:
            return [record for record in self._records.values() if record.part_id == part_id]

    def by_event(self, event_id: str) -> InspectionRecord:
        with self._lock:
            if event_id not in self._records:
                raise UnknownPart(f"no inspection record has event_id {event_id!r}")
            return self._records[event_id]

    def find(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        variant: str | None = None,
        decision: Decision | None = None,
        camera_id: str | None = None,
        limit: int = 100,
        before_seq: int | None = None,
    ) -> list[InspectionRecord]:
        with self._lock:
            newest_first = sorted(self._records.values(), key=lambda r: (r.decided_at, r.seq), reverse=True)
        if before_seq is not None:
            seqs = [record.seq for record in newest_first]
            if before_seq not in seqs:
                raise UnknownPart(f"no inspection record has seq {before_seq}")
            newest_first = newest_first[seqs.index(before_seq) + 1 :]
        return [
            record
            for record in newest_first
            if (since is None or record.decided_at >= since)
            and (until is None or record.decided_at < until)
            and variant in (None, record.variant)
            and decision in (None, record.verdict.decision)
            and camera_id in (None, record.camera_id)
        ][:limit]

    def counters(self, since: datetime | None = None) -> Counters:
        with self._lock:
            verdicts = [r.verdict for r in self._records.values() if since is None or r.decided_at >= since]
        return Counters.of(Counter((verdict.decision.value, verdict.reason.value) for verdict in verdicts))

    def audit(self, entry: AuditEntry) -> None:
        with self._lock:
            self._audit.append(entry)

    def audit_trail(
        self, *, since: datetime | None = None, until: datetime | None = None, action: str | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        with self._lock:
            newest_first = sorted(self._audit, key=lambda entry: entry.at)[::-1]
        return [
            entry
            for entry in newest_first
            if (since is None or entry.at >= since) and (until is None or entry.at < until) and action in (None, entry.action)
        ][:limit]

    def close(self) -> None:
        """Nothing to release."""

    def _in(self, state: str) -> list[_Slot]:
        return [slot for slot in self._slots.values() if slot.state == state]

    def _undelivered(self, state: str, limit: int, before_seq: int | None) -> list[Undelivered]:
        with self._lock:
            chosen = [slot for slot in self._in(state) if before_seq is None or slot.row.seq < before_seq]
            return [Undelivered(slot.row, slot.reason) for slot in reversed(chosen)][:limit]

    def _shed(self) -> None:
        limit_bytes = self._limits.limit_bytes
        excess = sum(len(slot.row.payload) for slot in self._in("pending")) - limit_bytes
        if excess <= 0:
            return
        excess += limit_bytes // 100
        order: list[EventKind | None] = [None, *SHED_ORDER]
        for kind in order:
            for slot in self._in("pending"):
                replayed = slot.sent_at is not None
                if excess <= 0 or (not replayed if kind is None else slot.row.kind is not kind):
                    continue
                excess -= len(slot.row.payload)
                if kind is None:
                    slot.state = "sent"
                else:
                    slot.state, slot.reason = "dropped", "outbox full"
                    slot.row = replace(slot.row, payload=b"")
                    self._losses[(kind.value, slot.reason)] += 1


class MemoryImageArchive:
    """Keeps encoded pictures in a dict, by the real policy; ``fail`` makes it drop them all as a full disk would."""

    def __init__(self, *, encode_heatmap: EncodeHeatmap, policy: ArchivePolicy | None = None) -> None:
        self._policy = policy or ArchivePolicy()
        self._encode_heatmap = encode_heatmap
        self._lock = threading.Lock()
        self._blobs: dict[tuple[str, str], ImageBlob] = {}
        self.dropped = 0
        self.fail = False

    def wants(self, record: InspectionRecord, *, ticketed: bool) -> bool:
        return not self.fail and (self._policy.always_keeps(record, ticketed=ticketed) or self._policy.samples(record))

    def submit(self, record: InspectionRecord, pixels: Pixels, defect_map: NDArray[np.float32] | None) -> bool:
        with self._lock:
            if self.fail:
                self.dropped += 1
                return False
            self._blobs[(record.event_id, PICTURE)] = ImageBlob(self._policy.encode(pixels), self._policy.media_type)
            if defect_map is not None:
                self._blobs[(record.event_id, HEATMAP)] = ImageBlob(self._encode_heatmap(defect_map), "image/png")
            return True

    def load(self, event_id: str, kind: str = PICTURE) -> ImageBlob:
        with self._lock:
            if (event_id, kind) not in self._blobs:
                raise UnknownPart(f"no {kind} is kept for event {event_id!r}")
            return self._blobs[(event_id, kind)]

    def close(self) -> None:
        """Nothing to release."""
