"""What is kept and what is told: inspection records and the events that leave the edge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import ImageQuality
from qc.domain.inspection import Region, StageTimings
from qc.domain.truth import SampleTicket
from qc.domain.verdict import Verdict

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class InspectionRecord:
    """What was seen and decided for one part, with the recipe and model that decided it.

    seq is 0 until the store has assigned it. Exactly one record exists per trigger. challenge_id names the
    registered known-defective part when this pass was not production.
    """

    event_id: str
    part_id: str
    camera_id: str
    captured_at: datetime
    decided_at: datetime
    verdict: Verdict
    variant: str
    recipe_version: str
    model_id: str
    model_sha256: str
    review_at: float
    reject_at: float
    score: float | None = None
    regions: tuple[Region, ...] = ()
    timings: StageTimings = field(default_factory=StageTimings)
    quality: ImageQuality | None = None
    embedding: NDArray[np.float32] | None = None
    frame_number: int = 0
    dropped_before: int = 0
    source_ref: str = ""
    shift: str = ""
    """Window identifier, e.g. ``2026-11-24/early``; the denominator of sampling and rates."""
    role: str = "active"
    """Which model decided: ``active`` or ``canary``."""
    challenge_id: str | None = None
    image_ref: str | None = None
    """Path of the HTTP API under which the archived picture can be fetched; None when none is kept."""
    seq: int = 0


class EventKind(StrEnum):
    """Durable events; each has its own topic ``evt/<kind>``. Telemetry state is not an event."""

    INSPECTION = "inspection"
    ALARM = "alarm"
    LABEL_REQUEST = "label-request"
    LINE = "line"
    """Changeover, pause, resume, halt, model transitions: what happened to the line as a whole."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message to be delivered at least once. ``body`` is the payload without ``seq``: the store adds it.

    body must be JSON-serialisable and already hold ``schema``, ``event_id`` and ``ts``.
    """

    kind: EventKind
    event_id: str
    created_at: datetime
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one transaction stores together: the event (outbox row), and the record and ticket it tells of."""

    event: Event
    record: InspectionRecord | None = None
    ticket: SampleTicket | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One undelivered (or replayed) event as it goes on the wire. payload: UTF-8 JSON with ``seq``."""

    seq: int
    event_id: str
    kind: EventKind
    created_at: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class OutboxDepth:
    """How far delivery lags: rows and bytes waiting, age of the oldest, dead letters, rows ever dropped by the bound."""

    rows: int
    bytes: int
    oldest_age_s: float
    dead: int
    dropped: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to the line, through which door, with what result."""

    at: datetime
    who: str
    via: str
    action: str
    detail: Mapping[str, Json]
    outcome: str
