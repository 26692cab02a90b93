"""Recipes, models and commands of the line."""

from typing import Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.base import MAX_SEQ, Answer, Body, Name, Share, Text
from qc.console.schema.parts import AuditAnswer
from qc.publish.payloads import RecipeRelease


class RecipeAnswer(Answer):
    variant: str
    version: str
    model: str
    review_at: float
    reject_at: float
    deadline_ms: float
    roi: list[tuple[float, float]] | None
    ignored_areas: int
    labels_per_window: int
    stops_line: bool
    part_id_prefixes: list[str]
    active: bool


class ModelAnswer(Answer):
    """phase: active, previous, shadow, canary. share: of the parts it sees. rates: as measured on held-out data in training."""

    model: str
    sha256: str
    phase: str
    share: float | None
    since: AwareDatetime | None
    created_at: str
    rates: dict[str, dict[str, object]]
    limits: list[str]


class ChallengeAnswer(Answer):
    """due: still to be sent through in this shift."""

    challenge_id: str
    part_id: str
    variant: str
    defect_type: str
    severity: str
    due: bool
    last_used: AwareDatetime | None


class LineAnswer(Answer):
    """models: of the active variant. releases: every recipe's trials with their results, as ``state/release`` says them over MQTT.
    available: bundles that a release can choose."""

    recipes: list[RecipeAnswer]
    models: list[ModelAnswer]
    releases: list[RecipeRelease]
    available: list[str]
    challenges: list[ChallengeAnswer]
    challenge_served: bool
    paused: bool
    recent: list[AuditAnswer]


class ReasonBody(Body):
    reason: Text = ""


class RecipeBody(Body):
    variant: Name


class CameraBody(Body):
    camera: Name | None = None


class TriggerBody(Body):
    camera: Name | None = None
    part_id: Name | None = None


class ChallengeBody(Body):
    challenge_id: Name
    part_id: Name | None = None


class ModelBody(Body):
    action: Literal["shadow", "canary", "promote", "rollback"]
    model: Name | None = None
    variant: Name | None = None
    share: Share | None = None
    minutes: float | None = Field(default=None, gt=0, le=7 * 24 * 60)
    reason: Text = ""
    override: bool = Field(default=False, description="promote without a passed gate report; needs a reason")


class ReplayBody(Body):
    from_seq: int = Field(ge=1, le=MAX_SEQ)
