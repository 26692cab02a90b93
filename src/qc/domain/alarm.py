"""Alarms: one open alarm per quantity and slice, with updates."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Cause(StrEnum):
    """What probably lies behind an alarm."""

    CAMERA_FAULT = "camera_fault"
    ENVIRONMENT = "environment"
    NEW_APPEARANCE = "new_appearance"
    MODEL_DECAY = "model_decay"
    PROCESS_CHANGE = "process_change"
    SYSTEM = "system"
    """The edge itself: disk, broker, clock, model load."""
    UNKNOWN = "unknown"


class Action(StrEnum):
    """Graded suggestion; also the levels of the halt policy, weakest first."""

    NONE = "none"
    ADVISE = "advise"
    RAISE_SAMPLING = "raise_sampling"
    REVIEW_ALL = "review_all"
    HALT = "halt"


class AlarmState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One quantity of one slice that left its bounds.

    evidence and threshold are in the quantity's own unit (an e-value, a count, a share); since: onset as far as known.
    parts: event ids that show it best, most telling first.
    """

    alarm_id: str
    quantity: str
    slice: str
    state: AlarmState
    cause: Cause
    action: Action
    evidence: float
    threshold: float
    message: str
    since: datetime
    updated_at: datetime
    updates: int = 0
    parts: tuple[str, ...] = ()
    evidence_by_cause: tuple[tuple[str, str], ...] = ()
    """(cause, sentence) pairs: what speaks for or against each cause."""
    acknowledged_by: str = ""
    note: str = ""
    snoozed_until: datetime | None = None
