"""Ports: what the line needs from the outside world. Every back-end and every fake passes the contract tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qc.domain.alarm import Action, Alarm, Cause
from qc.domain.frame import CameraStatus, Frame, Pixels, Shot, SourceStatus
from qc.domain.inspection import Inspection
from qc.domain.model import ModelCard
from qc.domain.publishing import PublisherStatus
from qc.domain.recipe import Recipe
from qc.domain.record import AuditEntry, Entry, InspectionRecord, Json, OutboxDepth, OutboxRow
from qc.domain.truth import Answer, ChallengePart, ChallengePass, Label, PlanRecord, SampleTicket, Truth, WindowProgress


class Clock(Protocol):
    """Time as the line sees it; a simulation brings its own."""

    def now(self) -> datetime:
        """UTC wall time, timezone-aware."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""


class FrameSource(Protocol):
    """One camera-like thing. ``start`` returns at once; connecting and reconnecting happen inside.

    ``lossless`` sources (files) hold every item until it is read; live ones keep the newest frame only and count the rest.
    """

    camera_id: str
    lossless: bool

    def start(self) -> None:
        """Begin to connect or scan; never blocks, never raises for an absent camera."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next (live: newest, not yet delivered) frame, or None when none came within timeout_s.

        Raises BadImage (one unusable item), CameraLost (not connected; keeps reconnecting), EndOfStream.
        Never blocks much longer than timeout_s.
        """

    def status(self) -> SourceStatus:
        """Counters and connection state; callable from any thread, before start and after close."""

    def close(self) -> None:
        """Release everything within 2 s, even in the middle of a failed connect. Idempotent."""


class Camera(Protocol):
    """A frame source joined with its trigger and health checks."""

    camera_id: str
    lossless: bool

    def start(self) -> None: ...

    def next_shot(self, timeout_s: float) -> Shot | None:
        """The next trigger's shot, or None when there was no trigger within timeout_s. Raises EndOfStream."""

    def trigger(self, part_id: str | None = None) -> str:
        """Ask for one shot now (software or MQTT trigger); returns the part id it will carry. CommandError if not allowed."""

    def pause(self) -> None:
        """No new triggers: self-triggered cameras stay silent, ``trigger`` is refused. Accepted triggers still get their shot."""

    def resume(self) -> None:
        """Go on with fresh frames only; ticks that passed meanwhile are neither replayed nor missed."""

    def status(self) -> CameraStatus:
        """Counters and state for telemetry; callable from any thread."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame after preprocessing. tensor: (1, height, width, 3) uint8, BGR; view: ROI box relative to the frame."""

    tensor: NDArray[np.uint8]
    view: tuple[float, float, float, float]
    preprocess_ms: float


class Inspector(Protocol):
    """A loaded, warmed and verified model. prepare and inspect may run in different threads at the same time."""

    card: ModelCard

    def prepare(self, pixels: Pixels, recipe: Recipe) -> Prepared: ...

    def inspect(self, prepared: Prepared) -> Inspection:
        """Raises InspectionError."""


class RecordStore(Protocol):
    """Durable memory of the edge; thread-safe. Labels, alarms and model states have further stores beside it."""

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Store all entries in ONE transaction, in order; returns their sequence numbers. Durable on return."""

    def audit(self, entry: AuditEntry) -> None: ...

    def by_part(self, part_id: str) -> list[InspectionRecord]:
        """Every record of the part, oldest first."""

    def by_event(self, event_id: str) -> InspectionRecord:
        """Raises UnknownPart."""

    def pending(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """Undelivered outbox rows with seq > after_seq, in order."""

    def mark_sent(self, seqs: Sequence[int]) -> None: ...

    def mark_dead(self, seq: int, reason: str) -> None: ...

    def depth(self) -> OutboxDepth: ...

    def replay(self, *, from_seq: int | None = None, since: datetime | None = None) -> int:
        """Queue sent events again; returns how many."""

    def close(self) -> None: ...


class TruthStore(Protocol):
    """Durable memory of the truth street: append-only, thread-safe, durable on return.

    Tickets of parts on the line are inserted by ``RecordStore.append`` in the transaction of their record; the rest is
    written here. Times are timezone-aware.
    """

    def add(self, label: Label | None = None, tickets: Sequence[SampleTicket] = ()) -> None:
        """Store a label and the tickets that follow from it in one transaction.

        A further look that was already asked for (same event_id and review_round, purpose adjudicate) is skipped.
        Raises UnknownPart (no such ticket or corrected label) and LabelError: ``duplicate`` when the label_id exists,
        ``answered`` when the ticket has its answer, ``stale_correction`` when the corrected label was corrected before.
        """

    def add_known(self, ticket: SampleTicket, truth: Truth) -> None:
        """Slip in a part whose truth is settled (ticket.purpose is KNOWN)."""

    def ticket(self, ticket_id: str) -> SampleTicket:
        """Raises UnknownPart."""

    def tickets_of_part(self, part_id: str) -> list[SampleTicket]:
        """Oldest first; empty when none was drawn."""

    def label(self, label_id: str) -> Label | None: ...

    def answers_of_event(self, event_id: str) -> list[Answer]:
        """Every label of the part's tickets, corrections included, in the order in which they were stored."""

    def answers(
        self, *, since: datetime | None = None, until: datetime | None = None, windows: Sequence[str] | None = None
    ) -> list[Answer]:
        """Labels of tickets created in [since, until) and of the named windows, in the order in which they were stored."""

    def open_tickets(self, now: datetime, *, labeller: str = "", limit: int | None = None) -> list[SampleTicket]:
        """Unanswered tickets that have not expired, in the order in which they should be labelled.

        With a labeller: without those that others hold a lease on, adjudications of parts that this labeller
        judged before, and known tickets of a part and policy that this labeller has answered before.
        Order: adjudications, then estimates, known and challenge tickets by age of their window and at random inside it
        (by ticket_id), then training.
        """

    def claim(self, ticket_id: str, labeller: str, now: datetime, until: datetime) -> bool:
        """Lease a ticket (or prolong the labeller's own lease); False when someone else holds it or it was answered."""

    def release(self, ticket_id: str, labeller: str) -> None:
        """Give the labeller's lease back; nothing happens when they hold none."""

    def progress(self, window: str, now: datetime) -> WindowProgress: ...

    def add_plan(self, plan: PlanRecord) -> PlanRecord:
        """Store the plan of a window; the one already in force (same variant, recipe_version, window) is returned instead."""

    def plan(self, variant: str, recipe_version: str, window: str) -> PlanRecord | None: ...

    def latest_plan(self, variant: str, recipe_version: str) -> PlanRecord | None: ...

    def plans(self, policy: str) -> list[PlanRecord]:
        """Every window in which this policy was in force, oldest first."""

    def register_challenge(self, part: ChallengePart) -> None:
        """Raises StoreError when the challenge_id or part_id is registered already."""

    def retire_challenge(self, challenge_id: str, at: datetime) -> None:
        """Raises UnknownPart; a retired part stays in the register for its past passes."""

    def challenge_parts(self, *, include_retired: bool = False) -> list[ChallengePart]:
        """By challenge_id, with last_used from their passes."""

    def add_pass(self, challenge_pass: ChallengePass) -> None:
        """Idempotent by event_id. Raises UnknownPart for an unregistered challenge_id."""

    def passes(self, *, since: datetime | None = None, until: datetime | None = None) -> list[ChallengePass]:
        """Passes in [since, until), oldest first."""


class ImageArchive(Protocol):
    """Pictures of parts, written off the hot path and bounded by budget, age and free disk."""

    def wants(self, record: InspectionRecord, *, ticketed: bool) -> bool:
        """Whether the policy keeps this part's picture; asked before the record is stored, so pure and quick."""

    def submit(self, record: InspectionRecord, pixels: Pixels, defect_map: NDArray[np.float32] | None) -> bool:
        """Queue a picture; False when it was dropped (queue or disk full), which is counted. Never blocks."""

    def close(self) -> None: ...


class Publisher(Protocol):
    """The way out to MQTT. Nothing here ever blocks the line."""

    def start(self) -> None: ...

    def wake(self) -> None:
        """New outbox rows exist."""

    def state(self, name: str, body: Mapping[str, Json]) -> None:
        """Retained telemetry ``state/<name>``; the last value is sent again on every connect. PublishError for a bad name or body."""

    def status(self) -> PublisherStatus:
        """How delivery is doing, for health checks, metrics and the console. Never raises."""

    def close(self, timeout_s: float = 2.0) -> None: ...


@dataclass(frozen=True, slots=True)
class Command:
    """A request from outside. who: authenticated name or ``mqtt``; via: mqtt / http / cli."""

    name: str
    body: Mapping[str, Json]
    who: str
    via: str


CommandHandler = Callable[[Command], Mapping[str, Json]]
"""Executes a command and returns the response body; raises CommandError when it is refused."""


class ResultSignal(Protocol):
    """The reject gate (PLC, GPIO). Has its own deadline; never waits for MQTT."""

    def result(self, record: InspectionRecord) -> None: ...

    def request_halt(self, reason: str) -> None: ...

    def close(self) -> None: ...


class Observer(Protocol):
    """Someone who watches the line in the same process (console, terminal view, monitor). Must return at once."""

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        """After the commit of the record."""


class AlarmStore(Protocol):
    """Durable memory of alarms and of the detectors' state."""

    def save(self, alarm: Alarm) -> None:
        """Insert or replace by alarm_id."""

    def current(self) -> list[Alarm]:
        """Alarms that are not cleared, oldest first."""

    def find(self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100) -> list[Alarm]:
        """Alarms that began in [since, until), newest first."""

    def put_state(self, key: str, value: Json, at: datetime) -> None: ...

    def get_state(self, key: str) -> Json:
        """None when nothing was stored under this key."""


class AlarmBook(Protocol):
    """Alarms of the edge: at most one open alarm per quantity and slice; a repeated report updates it."""

    def report(
        self,
        quantity: str,
        slice_: str,
        *,
        cause: Cause,
        action: Action,
        message: str,
        evidence: float = 1.0,
        threshold: float = 1.0,
        parts: Sequence[str] = (),
        evidence_by_cause: Sequence[tuple[str, str]] = (),
        since: datetime | None = None,
    ) -> Alarm:
        """Open the alarm of this quantity and slice, or update the open one."""

    def clear(self, quantity: str, slice_: str) -> None:
        """The cause is gone; nothing happens when no such alarm is open."""

    def acknowledge(self, alarm_id: str, who: str, note: str = "") -> Alarm:
        """Raises UnknownPart."""

    def snooze(self, alarm_id: str, who: str, until: datetime, reason: str) -> Alarm:
        """Raises UnknownPart."""

    def open_alarms(self) -> list[Alarm]:
        """Open, acknowledged and snoozed alarms that are not cleared, oldest first."""
