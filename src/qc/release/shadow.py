"""A candidate in the shadow: it judges parts beside the active model and decides nothing.

An observer of the line with its own short queue and thread. It is shed first: a part that finds the queue full, or the line with parts
waiting for the active model, is not looked at and counted. ``duty`` bounds its share of one core, whatever the parts' rate.
Disagreements are recorded; of each joint decision a known share is drawn for labels (``shadow_report`` weighs them), with purpose training
so that these labels never mix with those of the production rates.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
import uuid_utils

from qc.domain.errors import InspectionError, StoreError
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord
from qc.domain.truth import Purpose, SampleTicket
from qc.record.shadow_store import ShadowPart, ShadowStore
from qc.release.index import Slot

log = structlog.get_logger(__name__)

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """duty: largest share of one core. label shares: inclusion probabilities by whether the models agree."""

    duty: float = 0.5
    queue_length: int = 2
    label_disagreements: float = 0.5
    label_agreements: float = 0.01
    ticket_lifetime: timedelta = timedelta(hours=72)


@dataclass(slots=True)
class ShadowCounts:
    """offered: parts of this variant that the active model judged. skipped: not drawn into the share. shed: given up under load."""

    offered: int = 0
    skipped: int = 0
    shed: int = 0
    judged: int = 0
    failed: int = 0
    disagreed: int = 0
    not_ticketed: int = 0
    """Drawn for a label, but their picture could not be kept."""


@dataclass(frozen=True, slots=True)
class _Job:
    record: InspectionRecord
    shot: Shot
    inspection: Inspection


def run_name(variant: str, active_sha256: str, candidate: Slot) -> str:
    """Names a comparison; it begins anew when either model or the candidate's threshold changes."""
    return f"{variant}/{active_sha256[:12]}/{candidate.model}/{candidate.sha256[:12]}/{candidate.review_at:g}"


def drawn(key: str, share: float) -> bool:
    """A draw with probability share that is the same on every run."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64


@dataclass
class ShadowLink:
    """What the shadow is joined to. busy: whether parts wait for the active model. keep: archives a part's picture; False when it cannot.
    ask: publishes a label request for a stored ticket."""

    store: ShadowStore
    busy: Callable[[], bool]
    keep: Callable[[InspectionRecord, Shot, Inspection], bool]
    ask: Callable[[SampleTicket, InspectionRecord], None]
    rules: ShadowRules = field(default_factory=ShadowRules)


class Shadow:
    """One candidate for one variant. ``offer`` returns at once."""

    def __init__(self, recipe: Recipe, slot: Slot, inspector: Inspector, link: ShadowLink, *, share: float = 1.0) -> None:
        self.slot = slot
        self.variant = recipe.variant
        self.share = share
        self.counts = ShadowCounts()
        self._recipe = recipe
        self._inspector = inspector
        self._link = link
        self._jobs: queue.Queue[_Job | None] = queue.Queue(link.rules.queue_length)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"qc-shadow-{self.variant}", daemon=True)
        self._thread.start()

    def offer(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        """A part that was decided and recorded."""
        if inspection is None or shot.frame is None or record.role != "active" or record.challenge_id is not None:
            return
        self.counts.offered += 1
        if not drawn(f"shadow-share:{record.event_id}", self.share):
            self.counts.skipped += 1
            return
        try:
            if self._link.busy():
                raise queue.Full
            self._jobs.put_nowait(_Job(record, shot, inspection))
        except queue.Full:
            self.counts.shed += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Forget what waits; idempotent."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._jobs.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            started_s = time.monotonic()
            try:
                if job is not None:
                    self._judge(job)
            except (InspectionError, StoreError) as error:
                self.counts.failed += 1
                log.warning("shadow_failed", model=self.slot.model, error=str(error))
            except Exception:  # the shadow may fail as it likes: nobody waits for it
                self.counts.failed += 1
                log.exception("shadow_failed", model=self.slot.model)
            spent_s = time.monotonic() - started_s
            self._stopping.wait(spent_s * (1 / self._link.rules.duty - 1))

    def _judge(self, job: _Job) -> None:
        record, frame = job.record, job.shot.frame
        assert frame is not None
        score = self._inspector.inspect(self._inspector.prepare(frame.pixels, self._recipe)).score
        active, candidate = job.inspection.score >= record.review_at, score >= self.slot.review_at
        cell = ("both_reject" if active else "both_accept") if active == candidate else (
            "only_active_rejects" if active else "only_candidate_rejects"
        )  # fmt: skip
        self.counts.judged += 1
        self.counts.disagreed += active != candidate
        run = run_name(self.variant, record.model_sha256, self.slot)
        rules = self._link.rules
        q = rules.label_disagreements if active != candidate else rules.label_agreements
        ticket = None
        if drawn(f"shadow-label:{run}:{record.event_id}", q):
            if self._link.keep(record, job.shot, job.inspection):
                ticket = self._ticket(record, run, cell, q)
            else:
                self.counts.not_ticketed += 1
        part = ShadowPart(record.event_id, cell, job.inspection.score, score, record.decided_at)
        self._link.store.add(run, part, ticket)
        if ticket is not None:
            self._link.ask(ticket, record)

    def _ticket(self, record: InspectionRecord, run: str, cell: str, q: float) -> SampleTicket:
        return SampleTicket(
            ticket_id=str(uuid_utils.uuid7()),
            event_id=record.event_id,
            part_id=record.part_id,
            window=record.shift,
            stratum=cell,
            inclusion_probability=q,
            policy=f"shadow/{run}",
            purpose=Purpose.TRAINING,
            created_at=record.decided_at,
            expires_at=record.decided_at + self._link.rules.ticket_lifetime,
        )
