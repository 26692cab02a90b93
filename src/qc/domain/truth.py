"""The truth street: who gets labelled, what people said, and rates."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Purpose(StrEnum):
    """Why a part is labelled. Only ESTIMATE (and adjudications of it) enter production rates."""

    ESTIMATE = "estimate"
    CHALLENGE = "challenge"
    ADJUDICATE = "adjudicate"
    TRAINING = "training"
    KNOWN = "known"
    """A part whose truth is settled, slipped in to measure the labeller; looks like any first look."""


class Truth(StrEnum):
    """What a person said about a part."""

    GOOD = "good"
    DEFECT = "defect"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class SampleTicket:
    """A part chosen for labelling with the probability that it was chosen.

    inclusion_probability q lies in (0, 1]; stratum names its cell of decision x score; policy is the version of
    the sampling plan; window the shift it belongs to. review_round: 1 first look, 2 adjudication, 3 third opinion.
    """

    ticket_id: str
    event_id: str
    part_id: str
    window: str
    stratum: str
    inclusion_probability: float
    policy: str
    purpose: Purpose
    created_at: datetime
    expires_at: datetime
    review_round: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """One human answer to one ticket; never changed, only followed by a correction."""

    label_id: str
    ticket_id: str
    truth: Truth
    defect_type: str
    labeller: str
    labelled_at: datetime
    seconds_spent: float | None = None
    review_round: int = 1
    corrects: str | None = None
    """label_id of the earlier answer that this one replaces."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A label with the ticket it answers. known: the settled truth when the ticket was slipped in to test the labeller."""

    ticket: SampleTicket
    label: Label
    known: Truth | None = None


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """Which sampling plan is in force for a recipe in a window. body: the plan as JSON (``label/plan.py`` reads it)."""

    variant: str
    recipe_version: str
    window: str
    policy: str
    created_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """Tickets of one window for estimates (first looks): asked, answered, expired without an answer."""

    asked: int
    answered: int
    expired: int


@dataclass(frozen=True, slots=True)
class ChallengePart:
    """A registered known-defective part. part_id: its barcode; severity: the plant's own word (minor, major, ...)."""

    challenge_id: str
    part_id: str
    variant: str
    defect_type: str
    severity: str
    registered_at: datetime
    retired_at: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChallengePass:
    """One run of a challenge part through the line. rejected: NG or REVIEW."""

    event_id: str
    challenge_id: str
    window: str
    passed_at: datetime
    rejected: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its interval, or the reason why it cannot be estimated. Never shown without its counts.

    estimate, low, high lie in [0, 1] (for ppm metrics the unit is in the metric's name); n: labels used;
    found: defects (for FPR: false rejects) found among them. confidence: two-sided level.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    found: int
    method: str
    confidence: float = 0.95
    not_estimable: str = ""
    """Empty when estimable; otherwise the reason, as a sentence."""
    unconfirmed: bool = False
    """True while defects on accepted parts still wait for their second look."""
