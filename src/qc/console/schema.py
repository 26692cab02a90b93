"""Every request and answer of the HTTP API; the OpenAPI document and the checks both come from these types."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from qc.domain.alarm import Action, AlarmState, Cause
from qc.domain.truth import Truth
from qc.domain.verdict import Decision, Reason

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Id = Annotated[str, Field(min_length=1, max_length=100)]
MAX_SEQ = 2**62


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Query(BaseModel):
    """Query parameters arrive as text and are converted; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Problem(Answer):
    """error: a stable code; message: a sentence for people."""

    error: str
    message: str


class Done(Answer):
    """result: what the line answered, e.g. the new variant."""

    done: bool = True
    result: dict[str, bool | int | float | str | None] = {}


# --- who ---------------------------------------------------------------------------------------------------


class LoginBody(Body):
    name: Annotated[str, Field(max_length=100)]
    password: Annotated[str, Field(max_length=1000)]


class PasswordBody(Body):
    old: Annotated[str, Field(max_length=1000)]
    new: Annotated[str, Field(max_length=1000)]


class SessionAnswer(Answer):
    """user is empty for a visitor. role is null when nothing may be seen without logging in. csrf: header X-CSRF-Token."""

    user: str
    role: Literal["viewer", "operator", "engineer", "admin"] | None
    csrf: str
    login_needed: bool
    edge: str
    version: str
    broker_websocket_url: str
    has_users: bool


class UserBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    role: Literal["viewer", "operator", "engineer", "admin"]
    password: Annotated[str, Field(max_length=1000)]


class UserAnswer(Answer):
    name: str
    role: str
    created_at: AwareDatetime


class UsersAnswer(Answer):
    users: list[UserAnswer]


# --- parts -------------------------------------------------------------------------------------------------


class RegionAnswer(Answer):
    """Relative to the frame, origin top left."""

    x: Share
    y: Share
    width: Share
    height: Share
    area: Share
    peak: Share


class LabelAnswer(Answer):
    """boxes: [x, y, width, height] relative to the frame."""

    label_id: str
    truth: Truth
    defect_type: str
    labeller: str
    labelled_at: AwareDatetime
    seconds_spent: float | None
    review_round: int
    boxes: list[tuple[float, float, float, float]] = []


class PartAnswer(Answer):
    """One part with its verdict. image and heatmap: paths of this API, null when no picture is kept."""

    event_id: str
    seq: int
    part_id: str
    camera: str
    captured_at: AwareDatetime
    decided_at: AwareDatetime
    verdict: Decision
    reason: Reason
    detail: str
    score: float | None
    review_at: float
    reject_at: float
    variant: str
    model: str
    model_version: str
    role: str
    shift: str
    challenge_id: str | None
    image: str | None
    heatmap: str | None
    regions: list[RegionAnswer]
    total_ms: float
    label: LabelAnswer | None = None


class PartsQuery(Query):
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    verdict: Decision | None = None
    variant: Name | None = None
    min_score: Share | None = None
    max_score: Share | None = None
    label: Literal["good", "defect", "unsure", "any", "none"] | None = None
    part: Name | None = Field(default=None, description="text that the part id contains")
    before_seq: int | None = Field(default=None, ge=1, le=MAX_SEQ, description="seq of the last part of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class PartsAnswer(Answer):
    """more: ask again with before_seq = seq of the last part."""

    parts: list[PartAnswer]
    more: bool
    variants: list[str]


class QualityOfImage(Answer):
    brightness: float
    contrast: float
    focus: float
    noise: float
    colour: float


class EventAnswer(Answer):
    seq: int
    kind: str
    at: AwareDatetime
    state: str
    sent_at: AwareDatetime | None


class AuditAnswer(Answer):
    at: AwareDatetime
    who: str
    via: str
    action: str
    detail: dict[str, object]
    outcome: str


class PartDetail(Answer):
    """Everything that is known about one part. audit: what people did within ten minutes around its verdict."""

    part: PartAnswer
    recipe_version: str
    model_sha256: str
    source_ref: str
    frame_number: int
    dropped_before: int
    queued_ms: float
    preprocess_ms: float
    inference_ms: float
    image_quality: QualityOfImage | None
    labels: list[LabelAnswer]
    passes: list[PartAnswer]
    events: list[EventAnswer]
    alarms: list["AlarmAnswer"]
    audit: list[AuditAnswer]


class ImageQuery(Query):
    kind: Literal["picture", "heatmap"] = "picture"
    size: Literal["full", "screen", "thumb"] = Field(
        default="screen", description="screen: JPEG, long side at most 1280; thumb: 200; full: as archived"
    )


class AuditQuery(Query):
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    action: Name | None = None
    limit: int = Field(default=50, ge=1, le=500)


class AuditTrail(Answer):
    entries: list[AuditAnswer]


# --- live --------------------------------------------------------------------------------------------------


class CameraAnswer(Answer):
    camera: str
    state: str
    paused: bool
    triggers: int
    frames: int
    faults: int
    dropped: int
    missed_triggers: int
    reconnects: int
    last_error: str


class MqttAnswer(Answer):
    connected: bool
    server: str
    last_error: str
    waiting: int
    waiting_bytes: int
    oldest_age_s: float
    acked: int
    dead: int


class StatusAnswer(Answer):
    """What the edge is doing now; sent once a second on the live stream. healthy: the line moves and records."""

    at: AwareDatetime
    state: Literal["running", "paused", "stopped", "stuck", "not_storing"]
    healthy: bool
    variant: str
    recipe_version: str
    model: str
    review_at: float
    reject_at: float
    level: Action
    level_reason: str
    triggers: int
    ok: int
    ng: int
    review: int
    not_inspected: int
    halts: int
    parts_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    queued: int
    cameras: list[CameraAnswer]
    mqtt: MqttAnswer
    images_written: int
    images_dropped: int
    open_alarms: int
    worst_action: Action
    tickets_open: int
    viewers: int


# --- alarms ------------------------------------------------------------------------------------------------


class AlarmAnswer(Answer):
    """parts: event ids that show it best. evidence_by_cause: what speaks for or against each cause."""

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
    updated_at: AwareDatetime
    updates: int
    parts: list[str]
    evidence_by_cause: list[tuple[str, str]]
    acknowledged_by: str
    note: str
    snoozed_until: AwareDatetime | None


class AlarmsQuery(Query):
    state: Literal["current", "all"] = "current"
    limit: int = Field(default=100, ge=1, le=500)


class AlarmsAnswer(Answer):
    alarms: list[AlarmAnswer]


class AckBody(Body):
    note: Text = ""


class SnoozeBody(Body):
    minutes: float = Field(gt=0, le=7 * 24 * 60)
    reason: Annotated[str, Field(min_length=1, max_length=500)]


# --- line --------------------------------------------------------------------------------------------------


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
    """models: of the active variant. available: bundles that a release can choose."""

    recipes: list[RecipeAnswer]
    models: list[ModelAnswer]
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


# --- labels ------------------------------------------------------------------------------------------------


class NextBody(Body):
    count: int = Field(default=2, ge=1, le=5, description="the second one is for preloading its picture")


class TicketAnswer(Answer):
    """Blind: nothing here tells score, verdict, stratum or why the part was chosen."""

    ticket_id: str
    part_id: str
    variant: str
    camera: str
    window: str
    review_round: int
    image: str
    expires_at: AwareDatetime


class TicketsAnswer(Answer):
    tickets: list[TicketAnswer]


class LabelBody(Body):
    """boxes: where the defect is, [x, y, width, height] relative to the frame."""

    ticket_id: Id
    truth: Literal["good", "defect", "unsure"]
    defect_type: Annotated[str, Field(max_length=100)] = ""
    seconds_spent: float | None = Field(default=None, ge=0, le=24 * 3600)
    corrects: Id | None = None
    boxes: Annotated[list[Annotated[list[Share], Field(min_length=4, max_length=4)]], Field(max_length=20)] = []


class LabelDone(Answer):
    label_id: str
    further_looks: int


class ProgressAnswer(Answer):
    """asked, answered, expired: estimates of this shift. waiting: tickets that the visitor could label now."""

    window: str
    asked: int
    answered: int
    expired: int
    waiting: int
    planned: int
    mine: int
    median_seconds: float | None
    defect_types: list[str]


# --- quality -----------------------------------------------------------------------------------------------


class RateAnswer(Answer):
    """Shares in [0, 1] (ppm where the metric's name says so), or null with the reason why it is not estimable."""

    metric: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    found: int
    method: str
    confidence: float
    not_estimable: str
    unconfirmed: bool
    goal: float | None = None
    goal_met: Literal["yes", "no", "unknown"] | None = None


class SliceAnswer(Answer):
    """key: e.g. {"variant": "solar-mono"}; empty for the whole line."""

    key: dict[str, str]
    parts: int
    rates: list[RateAnswer]


class PeriodAnswer(Answer):
    """Rates of one window or day, for charts over time."""

    window: str
    start: AwareDatetime
    parts: int
    rates: list[RateAnswer]


class EvidenceAnswer(Answer):
    """An e-value against the threshold at which it raises an alarm; both as log10. null: nothing to say yet."""

    quantity: str
    slice: str
    log10_evidence: float | None
    log10_threshold: float


class DifferenceAnswer(Answer):
    metric: str
    before: RateAnswer
    after: RateAnswer
    difference: float | None
    low: float | None
    high: float | None
    significant: bool
    not_estimable: str


class InspectorAnswer(Answer):
    labeller: str
    answers: int
    effectiveness: RateAnswer
    miss: RateAnswer
    false_alarm: RateAnswer
    grade: str


class QualityQuery(Query):
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    by: Literal["", "variant", "camera", "shift", "model"] = ""
    split: AwareDatetime | None = Field(default=None, description="compare the time before it with the time after it")


class QualityAnswer(Answer):
    """available False: message says why there are no rates yet."""

    available: bool
    message: str = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    overall: SliceAnswer | None = None
    slices: list[SliceAnswer] = []
    periods: list[PeriodAnswer] = []
    challenge: RateAnswer | None = None
    agreement: list[InspectorAnswer] = []
    kappa: float | None = None
    evidence: list[EvidenceAnswer] = []
    comparison: list[DifferenceAnswer] = []
    report: str = ""


PartDetail.model_rebuild()
