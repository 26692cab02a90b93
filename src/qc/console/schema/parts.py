"""Parts, their pictures, and what happened to them."""

from typing import Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.alarms import AlarmAnswer
from qc.console.schema.base import MAX_SEQ, Answer, Name, Query, Share
from qc.domain.truth import Purpose, Truth
from qc.domain.verdict import Decision, Reason


class RegionAnswer(Answer):
    """Relative to the frame, origin top left."""

    x: Share
    y: Share
    width: Share
    height: Share
    area: Share
    peak: Share


class LabelAnswer(Answer):
    """boxes: [x, y, width, height] relative to the frame. purpose: why the part was labelled; null where only the last word is told."""

    label_id: str
    truth: Truth
    defect_type: str
    labeller: str
    labelled_at: AwareDatetime
    seconds_spent: float | None
    review_round: int
    purpose: Purpose | None = None
    boxes: list[tuple[float, float, float, float]] = Field(default_factory=list)


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
