"""The third stage: commit first, then tell. Nothing leaves the process before its record is durable."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from qc.decide.halt import HaltState
from qc.decide.judge import not_inspected
from qc.domain.alarm import Action
from qc.domain.errors import StoreError
from qc.domain.record import Entry, InspectionRecord
from qc.domain.truth import SampleTicket
from qc.domain.verdict import Decision, Reason
from qc.line.parts import Judged
from qc.line.ports import LinePorts
from qc.line.status import Tally
from qc.publish.events import inspection_event, label_request_event, line_event

log = structlog.get_logger(__name__)

_RETRY_S = 0.5
"""Pause between attempts while the record store cannot be written."""
_LAST_ATTEMPTS = 6
"""How often a stopping line still tries to write what it has in hand."""


class Ledger:
    """Records parts in order and only then signals, archives, shows and publishes them."""

    def __init__(self, ports: LinePorts, tally: Tally) -> None:
        self.storing = True
        """False while the record store refuses to write; the parts in hand wait."""
        self._ports = ports
        self._tally = tally
        self._stopping = threading.Event()

    def stop(self) -> None:
        """From now on a store that cannot be written is given up on after a few attempts."""
        self._stopping.set()

    def keep(self, batch: Sequence[Judged]) -> None:
        """Commit the batch in one transaction, then tell everybody about each part."""
        parts = [self._with_image_ref(item) for item in batch]
        seqs = self._append(parts)
        attempts = 0
        while seqs is None:
            attempts += 1
            if self._stopping.is_set() and attempts >= _LAST_ATTEMPTS:
                log.error("parts_without_verdict", parts=[item.record.part_id for item in parts])
                return
            time.sleep(_RETRY_S)
            parts = [self._too_late(item) for item in parts]
            seqs = self._append(parts)
        for item, seq in zip(parts, seqs, strict=True):
            self._tell(replace(item, record=replace(item.record, seq=seq)))
        self._ports.publisher.wake()

    def _append(self, parts: Sequence[Judged]) -> list[int] | None:
        """Sequence numbers of the parts' records, or None while the store cannot be written."""
        entries = [entry for item in parts for entry in self._entries(item)]
        try:
            seqs = self._ports.store.append(entries)
        except StoreError as error:
            if self.storing:
                log.error("store_not_writable", error=str(error), parts=len(parts))
            self.storing = False
            return None
        if not self.storing:
            log.info("store_writable_again", parts=len(parts))
        self.storing = True
        return [seq for entry, seq in zip(entries, seqs, strict=True) if entry.record is not None]

    def _with_image_ref(self, item: Judged) -> Judged:
        ticket = self._draw(item.record)
        if item.job.shot.frame is None or not self._ports.archive.wants(item.record, ticketed=ticket is not None):
            return replace(item, ticket=ticket)
        record = replace(item.record, image_ref=f"/api/v1/images/{item.record.event_id}")
        return replace(item, record=record, ticket=ticket)

    def _draw(self, record: InspectionRecord) -> SampleTicket | None:
        try:
            return self._ports.ticket_for(record)
        except StoreError as error:  # the plan of a new window could not be stored; the part itself must not suffer
            log.error("ticket_not_drawn", part=record.part_id, error=str(error))
            return None

    def _entries(self, item: Judged) -> list[Entry]:
        record, name = item.record, self._ports.name
        entries = [Entry(inspection_event(record, name), record, item.ticket)]
        if item.ticket is not None and record.image_ref is not None:
            request = label_request_event(
                item.ticket, name, image_ref=record.image_ref, camera_id=record.camera_id, variant=record.variant
            )
            entries.append(Entry(request))
        if item.raised is not None:
            level, halts = item.raised.level, item.raised.halts
            detail = {"level": level.value, "halts": halts, "part_id": record.part_id, "variant": record.variant}
            what = "halt_requested" if level is Action.HALT else "level_raised"
            entries.append(Entry(line_event(what, name, at=record.decided_at, message=item.raised.reason, detail=detail)))
        return entries

    def _too_late(self, item: Judged) -> Judged:
        """While the store was down no verdict was issued; past the deadline the machine has acted without it."""
        waited_ms = (self._ports.clock.monotonic_ns() - item.job.shot.triggered_ns) / 1e6
        record, deadline_ms = item.record, item.job.setup.recipe.deadline_ms
        if waited_ms <= deadline_ms or record.verdict.decision is Decision.NOT_INSPECTED:
            return item
        verdict = not_inspected(Reason.DEADLINE_MISSED, f"the record store could not be written for {waited_ms:.0f} ms")
        return replace(item, record=replace(record, verdict=verdict))

    def _tell_level(self, state: HaltState, record: InspectionRecord) -> None:
        try:
            self._ports.level_raised(state, record)
        except StoreError as error:  # the event is stored already; only the alarm is missing
            log.error("level_alarm_not_stored", level=state.level, error=str(error))

    def _tell(self, item: Judged) -> None:
        record, shot, ports = item.record, item.job.shot, self._ports
        ports.signal.result(record)
        now_ns = ports.clock.monotonic_ns()
        self._tally.add(record, latency_ms=(now_ns - shot.triggered_ns) / 1e6, now_ns=now_ns)
        if record.image_ref is not None and shot.frame is not None:
            ports.archive.submit(record, shot.frame.pixels, item.inspection.defect_map if item.inspection else None)
        if item.raised is not None:
            if item.raised.level is Action.HALT and item.job.setup.recipe.halt.stop_line:
                ports.signal.request_halt(item.raised.reason)
            self._tell_level(item.raised, record)
        for observer in ports.observers:
            try:
                observer.inspected(record, shot, item.inspection)
            except Exception:  # whoever watches the line must not be able to stop it
                log.exception("observer_failed", observer=type(observer).__name__)
