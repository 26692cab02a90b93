"""From domain objects to the API's answers."""

import math
from collections.abc import Sequence

from qc.console.schema.alarms import AlarmAnswer
from qc.console.schema.parts import AuditAnswer, LabelAnswer, PartAnswer, RegionAnswer
from qc.console.schema.quality import RateAnswer
from qc.domain.alarm import Alarm
from qc.domain.record import AuditEntry, InspectionRecord
from qc.domain.truth import Label, Purpose, Rate
from qc.record.console_store import Box


def part_answer(record: InspectionRecord, label: LabelAnswer | None = None, *, picture: bool | None = None) -> PartAnswer:
    """picture: whether there is one although the record knows of none (live memory); None: as the record says."""
    has_picture = record.image_ref is not None if picture is None else picture
    image = f"/api/v1/images/{record.event_id}" if has_picture else None
    return PartAnswer(
        event_id=record.event_id,
        seq=record.seq,
        part_id=record.part_id,
        camera=record.camera_id,
        captured_at=record.captured_at,
        decided_at=record.decided_at,
        verdict=record.verdict.decision,
        reason=record.verdict.reason,
        detail=record.verdict.detail,
        score=record.score,
        review_at=record.review_at,
        reject_at=record.reject_at,
        variant=record.variant,
        model=record.model_id,
        model_version=record.model_sha256[:12],
        role=record.role,
        shift=record.shift,
        challenge_id=record.challenge_id,
        image=image,
        heatmap=f"{image}?kind=heatmap" if image and record.score is not None else None,
        regions=[
            RegionAnswer(
                x=_share(r.x),
                y=_share(r.y),
                width=_share(r.width),
                height=_share(r.height),
                area=_share(r.area),
                peak=_share(r.peak),
            )
            for r in record.regions
        ],
        total_ms=record.timings.total_ms,
        label=label,
    )


def label_answer(label: Label, boxes: Sequence[Box] = (), purpose: Purpose | None = None) -> LabelAnswer:
    return LabelAnswer(
        label_id=label.label_id,
        truth=label.truth,
        defect_type=label.defect_type,
        labeller=label.labeller,
        labelled_at=label.labelled_at,
        seconds_spent=label.seconds_spent,
        review_round=label.review_round,
        purpose=purpose,
        boxes=list(boxes),
    )


def alarm_answer(alarm: Alarm) -> AlarmAnswer:
    return AlarmAnswer(
        alarm_id=alarm.alarm_id,
        quantity=alarm.quantity,
        slice=alarm.slice,
        state=alarm.state,
        cause=alarm.cause,
        action=alarm.action,
        evidence=alarm.evidence if math.isfinite(alarm.evidence) else None,
        threshold=alarm.threshold if math.isfinite(alarm.threshold) else None,
        message=alarm.message,
        since=alarm.since,
        updated_at=alarm.updated_at,
        updates=alarm.updates,
        parts=list(alarm.parts),
        evidence_by_cause=list(alarm.evidence_by_cause),
        acknowledged_by=alarm.acknowledged_by,
        note=alarm.note,
        snoozed_until=alarm.snoozed_until,
    )


def audit_answer(entry: AuditEntry) -> AuditAnswer:
    return AuditAnswer(
        at=entry.at, who=entry.who, via=entry.via, action=entry.action, detail=dict(entry.detail), outcome=entry.outcome
    )


def rate_answer(metric: str, rate: Rate, goal: float | None = None, *, higher_is_better: bool = True) -> RateAnswer:
    """A goal is met or missed only when the whole interval says so."""
    met = None
    if goal is not None:
        low, high = (rate.low, rate.high) if higher_is_better else (_minus(rate.high), _minus(rate.low))
        wanted = goal if higher_is_better else -goal
        met = "unknown"
        if low is not None and low >= wanted:
            met = "yes"
        elif high is not None and high < wanted:
            met = "no"
    return RateAnswer(
        metric=metric,
        estimate=rate.estimate,
        low=rate.low,
        high=rate.high,
        n=rate.n,
        found=rate.found,
        method=rate.method,
        confidence=rate.confidence,
        not_estimable=rate.not_estimable,
        unconfirmed=rate.unconfirmed,
        goal=goal,
        goal_met=met,  # type: ignore[arg-type]  # one of the literals by construction
    )


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
