"""Domain objects -> durable events. Plain dicts by hand: ``inspection_event`` runs once per part."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from uuid_utils import uuid7

from qc.domain.alarm import Alarm
from qc.domain.inspection import Region
from qc.domain.record import Event, EventKind, InspectionRecord, Json
from qc.domain.truth import SampleTicket, Truth
from qc.publish.payloads import rfc3339
from qc.publish.topics import EdgeName

CHOICES: list[Json] = [truth.value for truth in Truth]


def new_event_id() -> str:
    """A UUIDv7: unique, and sorts by the time of its making."""
    return str(uuid7())


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _region(region: Region) -> dict[str, Json]:
    return {
        "x": round(float(region.x), 5),
        "y": round(float(region.y), 5),
        "width": round(float(region.width), 5),
        "height": round(float(region.height), 5),
        "area": round(float(region.area), 7),
        "peak": round(float(region.peak), 5),
    }


def inspection_event(record: InspectionRecord, name: EdgeName) -> Event:
    """``evt/inspection`` of one record, under the record's own event id."""
    timings = record.timings
    body: dict[str, Json] = {
        "schema": "qc.inspection/1",
        "event_id": record.event_id,
        "ts": rfc3339(record.decided_at),
        "site": name.site,
        "area": name.area,
        "line": name.line,
        "edge": name.edge,
        "part_id": record.part_id,
        "camera": record.camera_id,
        "captured_at": rfc3339(record.captured_at),
        "verdict": record.verdict.decision.value,
        "reason": record.verdict.reason.value,
        "detail": record.verdict.detail,
        "score": _number(record.score),
        "review_at": record.review_at,
        "reject_at": record.reject_at,
        "threshold": record.reject_at,
        "variant": record.variant,
        "recipe_version": record.recipe_version,
        "model": record.model_id,
        "model_version": record.model_sha256[:12],
        "model_sha256": record.model_sha256,
        "role": record.role,
        "image_ref": record.image_ref,
        "source_ref": record.source_ref,
        "frame_number": record.frame_number,
        "dropped_before": record.dropped_before,
        "shift": record.shift,
        "challenge_id": record.challenge_id,
        "regions": [_region(region) for region in record.regions],
        "queued_ms": round(timings.queued_ms, 3),
        "preprocess_ms": round(timings.preprocess_ms, 3),
        "inference_ms": round(timings.inference_ms, 3),
        "total_ms": round(timings.total_ms, 3),
    }
    return Event(EventKind.INSPECTION, record.event_id, record.decided_at, body)


def alarm_event(alarm: Alarm, name: EdgeName) -> Event:
    """``evt/alarm``: each opening and each update is an event of its own, joined by ``alarm_id``."""
    body: dict[str, Json] = {
        "alarm_id": alarm.alarm_id,
        "quantity": alarm.quantity,
        "slice": alarm.slice,
        "state": alarm.state.value,
        "cause": alarm.cause.value,
        "action": alarm.action.value,
        "evidence": _number(alarm.evidence),
        "threshold": _number(alarm.threshold),
        "message": alarm.message,
        "since": rfc3339(alarm.since),
        "updates": alarm.updates,
        "parts": list(alarm.parts),
        "evidence_by_cause": dict(alarm.evidence_by_cause),
        "acknowledged_by": alarm.acknowledged_by,
        "note": alarm.note,
    }
    return _event(EventKind.ALARM, "qc.alarm/1", name, alarm.updated_at, body)


def label_request_event(
    ticket: SampleTicket,
    name: EdgeName,
    *,
    image_ref: str,
    camera_id: str,
    variant: str,
    defect_types: Sequence[str] = (),
) -> Event:
    """``evt/label-request``. Blind by construction: purpose, stratum and inclusion probability would give the verdict away."""
    body: dict[str, Json] = {
        "ticket_id": ticket.ticket_id,
        "part_id": ticket.part_id,
        "camera": camera_id,
        "variant": variant,
        "window": ticket.window,
        "image_ref": image_ref,
        "review_round": ticket.review_round,
        "expires_at": rfc3339(ticket.expires_at),
        "choices": list(CHOICES),
        "defect_types": list(defect_types),
    }
    return _event(EventKind.LABEL_REQUEST, "qc.label-request/1", name, ticket.created_at, body)


def line_event(
    what: str,
    name: EdgeName,
    *,
    at: datetime,
    message: str = "",
    who: str = "",
    via: str = "",
    detail: Mapping[str, bool | int | float | str | None] | None = None,
) -> Event:
    """``evt/line``: ``what`` in lower_snake_case, e.g. ``paused``, ``changeover``, ``halt_requested``; detail is flat."""
    facts: dict[str, Json] = {key: _number(value) if isinstance(value, float) else value for key, value in (detail or {}).items()}
    body: dict[str, Json] = {"what": what, "message": message, "who": who, "via": via, "detail": facts}
    return _event(EventKind.LINE, "qc.line/1", name, at, body)


def _event(kind: EventKind, schema: str, name: EdgeName, at: datetime, body: dict[str, Json]) -> Event:
    event_id = new_event_id()
    head: dict[str, Json] = {
        "schema": schema,
        "event_id": event_id,
        "ts": rfc3339(at),
        "site": name.site,
        "area": name.area,
        "line": name.line,
        "edge": name.edge,
    }
    return Event(kind, event_id, at, head | body)
