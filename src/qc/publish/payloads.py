"""The payload of every message that leaves the edge, as typed models; the AsyncAPI document is generated from them.

Builders (``events.py``) write plain dicts, because a model per part would cost more than the part's JSON; the tests hold
them against these models. Within a major version fields are only added: consumers must ignore what they do not know.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from qc.domain.alarm import Action, AlarmState, Cause
from qc.domain.errors import PublishError
from qc.domain.record import EventKind, Json
from qc.domain.verdict import Decision, Reason

Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Millis = Annotated[float, Field(ge=0)]


class Payload(BaseModel):
    """Common rules: strict types, frozen, no NaN; unknown fields are an error here and ignored by consumers."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class EventPayload(Payload):
    """What every durable event carries. Drop a repeated ``event_id``; ``seq`` grows over all events of one edge."""

    event_id: str = Field(description="UUIDv7; the key to drop repeats by")
    seq: int = Field(ge=1, description="grows by 1 per event of this edge over all evt/ topics; order and gaps")
    ts: AwareDatetime = Field(description="when it happened, RFC 3339 UTC")
    site: str
    area: str
    line: str
    edge: str


class RegionPayload(Payload):
    """One suspicious area; box relative to the frame, origin top left."""

    x: Share
    y: Share
    width: Share
    height: Share
    area: Share
    peak: Share


class InspectionPayload(EventPayload):
    """One part, one verdict. ``score`` is null when the part was not inspected."""

    schema_: Literal["qc.inspection/1"] = Field(alias="schema")
    part_id: str
    camera: str
    captured_at: AwareDatetime
    verdict: Decision
    reason: Reason
    detail: str
    score: Share | None
    review_at: Share
    reject_at: Share
    threshold: Share = Field(description="same as reject_at: the score from which a part is NG")
    variant: str
    recipe_version: str
    model: str
    model_version: str = Field(description="first 12 hex digits of model_sha256")
    model_sha256: Sha256
    role: str = Field(description="active, canary: which model decided")
    image_ref: str | None = Field(description="path below the edge's HTTP API; null when no picture is kept")
    source_ref: str
    frame_number: int
    dropped_before: int = Field(ge=0, description="frames of this camera lost before this one")
    shift: str
    challenge_id: str | None = Field(description="set when a registered known-defective part passed; not production")
    regions: tuple[RegionPayload, ...]
    queued_ms: Millis
    preprocess_ms: Millis
    inference_ms: Millis
    total_ms: Millis


class AlarmPayload(EventPayload):
    """One alarm opened, updated, acknowledged, snoozed or cleared; ``alarm_id`` joins the updates."""

    schema_: Literal["qc.alarm/1"] = Field(alias="schema")
    alarm_id: str
    quantity: str
    slice: str
    state: AlarmState
    cause: Cause
    action: Action
    evidence: float | None
    threshold: float | None
    message: str
    since: AwareDatetime
    updates: int = Field(ge=0)
    parts: tuple[str, ...] = Field(description="event ids of the parts that show it best")
    evidence_by_cause: dict[str, str]
    acknowledged_by: str
    note: str


class LabelRequestPayload(EventPayload):
    """A part that a person should label. Blind: nothing here tells score, verdict, stratum or why it was chosen."""

    schema_: Literal["qc.label-request/1"] = Field(alias="schema")
    ticket_id: str
    part_id: str
    camera: str
    variant: str
    window: str
    image_ref: str
    review_round: int = Field(ge=1)
    expires_at: AwareDatetime
    choices: tuple[str, ...]
    defect_types: tuple[str, ...] = Field(description="allowed values of defect_type; empty: free text")


class LinePayload(EventPayload):
    """What happened to the line as a whole: started, stopped, paused, resumed, changeover, halt_requested, model_promoted ..."""

    schema_: Literal["qc.line/1"] = Field(alias="schema")
    what: str = Field(pattern=r"^[a-z0-9_]+$")
    message: str
    who: str
    via: str
    detail: dict[str, bool | int | float | str | None]


class StatusPayload(Payload):
    """Retained on ``status``: birth on every connect, then a heartbeat; the will says offline when the edge vanishes."""

    schema_: Literal["qc.status/1"] = Field(alias="schema")
    ts: AwareDatetime = Field(description="time of writing; in the will the time of the connect")
    state: Literal["online", "offline"]
    reason: Literal["connected", "heartbeat", "shutdown", "connection_lost"]
    site: str
    area: str
    line: str
    edge: str
    version: str
    started_at: AwareDatetime
    connects: int = Field(ge=0)
    heartbeat_s: float = Field(gt=0, description="older than three of these: treat the edge as stale")
    outbox_rows: int | None


class StatePayload(Payload):
    """Retained telemetry. Further fields are allowed, so that an edge may tell more than its version's table."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    ts: AwareDatetime


class CameraHealth(Payload):
    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    camera: str
    connected: bool
    fault: str | None = None
    frames: int = 0
    dropped: int = 0
    last_frame_at: AwareDatetime | None = None


class CameraState(StatePayload):
    schema_: Literal["qc.state.camera/1"] = Field(alias="schema")
    cameras: list[CameraHealth]


class ModelState(StatePayload):
    schema_: Literal["qc.state.model/1"] = Field(alias="schema")
    model: str
    model_sha256: Sha256
    provider: str = ""
    candidate: str | None = Field(default=None, description="in canary, else in the shadow")
    phase: str = Field(default="active", description="active, shadow, canary: see state/release")


class RecipeState(StatePayload):
    schema_: Literal["qc.state.recipe/1"] = Field(alias="schema")
    variant: str
    recipe_version: str
    model: str
    review_at: Share
    reject_at: Share
    deadline_ms: Millis
    variants: list[str] = Field(default_factory=list, description="the recipes that a changeover can choose")


class CountersState(StatePayload):
    """Counters since the start of the process, as PLC people know them."""

    schema_: Literal["qc.state.counters/1"] = Field(alias="schema")
    triggers: int = Field(ge=0)
    ok: int = Field(ge=0)
    ng: int = Field(ge=0)
    review: int = Field(ge=0)
    not_inspected: int = Field(ge=0)
    halts: int = Field(default=0, ge=0)
    frames_dropped: int = Field(default=0, ge=0)
    images_dropped: int = Field(default=0, ge=0)
    parts_per_s: float = Field(default=0.0, ge=0)
    latency_p50_ms: Millis | None = None
    latency_p99_ms: Millis | None = None
    outbox_rows: int = Field(default=0, ge=0)
    outbox_oldest_s: float = Field(default=0.0, ge=0)
    dead_letters: int = Field(default=0, ge=0)


class KpiState(StatePayload):
    """Rates with their intervals and counts, exactly as the evaluation gives them; one object per metric."""

    schema_: Literal["qc.state.kpi/1"] = Field(alias="schema")
    window: str
    metrics: dict[str, dict[str, bool | int | float | str | None]]


class LineState(StatePayload):
    schema_: Literal["qc.state.line/1"] = Field(alias="schema")
    state: str
    detail: str = ""


class OpenPayload(Payload):
    """Part of a state; further fields are allowed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)


class ShadowTrial(OpenPayload):
    """A candidate that judges beside the active model and decides nothing. The first seven counts begin anew with the process; the
    joint decisions are those of the whole comparison (REVIEW counts as a reject)."""

    model: str
    share: Share = Field(description="of the parts that it judges")
    since: AwareDatetime
    offered: int = Field(ge=0, description="parts that the active model judged meanwhile")
    skipped: int = Field(ge=0, description="not drawn into the share")
    shed: int = Field(ge=0, description="given up under load")
    judged: int = Field(ge=0)
    failed: int = Field(ge=0, description="the candidate or its bookkeeping failed on the part")
    not_ticketed: int = Field(ge=0, description="drawn for a label, but the picture could not be kept")
    both_accept: int = Field(ge=0)
    both_reject: int = Field(ge=0)
    only_active_rejects: int = Field(ge=0)
    only_candidate_rejects: int = Field(ge=0)


class CanaryState(OpenPayload):
    """A candidate that decides a share of the parts. The counts begin anew with the process."""

    model: str
    share: Share = Field(description="of the parts that it decides")
    since: AwareDatetime
    until: AwareDatetime | None = Field(description="null: until promoted or rolled back")
    parts: int = Field(ge=0, description="parts that it decided")
    errors: int = Field(ge=0, description="parts that it could not judge (the active model has)")
    labels: int = Field(ge=0, description="labels of its own parts, as evidence against it")
    withdrawn: bool = Field(description="it decides no further part")
    reason: str = Field(description="why it was withdrawn")


class RollbackStep(OpenPayload):
    at: AwareDatetime
    action: Literal["rollback", "fallback"]
    model: str = Field(description="the model that decides since")
    former: str = Field(description="the model that lost the decision")
    who: str = Field(description="qc: by itself")
    via: str
    reason: str


class RecipeRelease(OpenPayload):
    """One recipe: who decides, who is on trial, what went wrong last."""

    variant: str
    active: str
    previous: str | None
    shadow: ShadowTrial | None
    canary: CanaryState | None
    last_rollback: RollbackStep | None = Field(description="null when none, or when a promotion came after it")
    trouble: str = Field(description="why the line cannot follow the registry's last step; empty when all is well")


class ReleaseState(StatePayload):
    """Which model decides which recipe's parts, candidates in shadow and canary with their results, the last rollback."""

    schema_: Literal["qc.state.release/1"] = Field(alias="schema")
    releases: list[RecipeRelease] = Field(description="one per recipe, the running one first")


class AlarmsState(StatePayload):
    """The open alarms; empty means that all is well."""

    schema_: Literal["qc.state.alarms/1"] = Field(alias="schema")
    open: int = Field(ge=0)
    alarms: list[dict[str, bool | int | float | str | None]]


EVENT_PAYLOADS: Final[Mapping[EventKind, type[EventPayload]]] = {
    EventKind.INSPECTION: InspectionPayload,
    EventKind.ALARM: AlarmPayload,
    EventKind.LABEL_REQUEST: LabelRequestPayload,
    EventKind.LINE: LinePayload,
}

STATE_PAYLOADS: Final[Mapping[str, type[StatePayload]]] = {
    "camera": CameraState,
    "model": ModelState,
    "recipe": RecipeState,
    "counters": CountersState,
    "kpi": KpiState,
    "line": LineState,
    "release": ReleaseState,
    "alarms": AlarmsState,
}


def schema_of(model: type[Payload]) -> str:
    """The value of the ``schema`` field, e.g. ``qc.inspection/1``."""
    (name,) = model.model_fields["schema_"].annotation.__args__  # type: ignore[union-attr]  # Literal of one string
    return str(name)


def to_json(body: Mapping[str, Json]) -> bytes:
    """UTF-8 JSON. A NaN or infinity becomes null: JSON has no such numbers, and most parsers refuse the whole message."""
    try:
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except ValueError:
        return json.dumps(finite(dict(body)), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
            "utf-8", "replace"
        )


def finite(value: Json) -> Json:
    """The same value with every NaN or infinity replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value


def state_payload(name: str, body: Mapping[str, Json]) -> tuple[bytes, str]:
    """(JSON, schema) of ``state/<name>``, with ``schema`` and ``ts`` added. PublishError names what is wrong with it."""
    model = STATE_PAYLOADS.get(name)
    if model is None:
        raise PublishError(f"no state topic {name!r}; there are {', '.join(STATE_PAYLOADS)}")
    schema = schema_of(model)
    payload = to_json({"schema": schema, "ts": rfc3339(datetime.now(UTC)), **body})
    try:
        model.model_validate_json(payload)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise PublishError(f"state {name}: {'.'.join(str(step) for step in fault['loc'])}: {fault['msg']}") from error
    return payload, schema


def rfc3339(at: datetime) -> str:
    """``2026-11-24T08:15:07.123Z``. Raises PublishError for a naive time: nobody could tell which zone it is in."""
    offset = at.utcoffset()
    if offset is None:
        raise PublishError(f"time {at.isoformat()} has no zone; events need an aware datetime")
    text = (at if not offset else at.astimezone(UTC)).isoformat(timespec="milliseconds")
    return text[:-6] + "Z"
