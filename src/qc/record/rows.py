"""Between domain objects and table rows: inspections, tickets and audit entries. No SQL runs here."""

import json
import sqlite3
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import StoreError
from qc.domain.frame import ImageQuality
from qc.domain.inspection import Region, StageTimings
from qc.domain.record import AuditEntry, Event, InspectionRecord, Json
from qc.domain.truth import SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.record.times import from_us, to_us

INSPECTION_COLUMNS = (
    *("seq", "event_id", "part_id", "camera_id", "captured_us", "decided_us", "decision", "reason", "detail", "variant"),
    *("recipe_version", "model_id", "model_sha256", "review_at", "reject_at", "score", "regions"),
    *("queued_ms", "preprocess_ms", "inference_ms", "total_ms", "brightness", "contrast", "focus", "noise", "colour"),
    *("frame_number", "dropped_before", "source_ref", "shift", "role", "challenge_id", "image_ref"),
)
TICKET_COLUMNS = (
    *("ticket_id", "event_id", "part_id", "window", "stratum", "inclusion_probability", "policy", "purpose"),
    *("created_us", "expires_us", "review_round"),
)

_FLOAT16_MAX = 65504.0


def insertion(table: str, columns: tuple[str, ...]) -> str:
    """INSERT statement with one placeholder per column; the names come from the tables of this module."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - constants only


def inspection_values(record: InspectionRecord, seq: int) -> tuple[object, ...]:
    quality, timings, verdict = record.quality, record.timings, record.verdict
    regions = [[r.x, r.y, r.width, r.height, r.area, r.peak] for r in record.regions]
    return (
        *(seq, record.event_id, record.part_id, record.camera_id, to_us(record.captured_at), to_us(record.decided_at)),
        *(verdict.decision.value, verdict.reason.value, verdict.detail, record.variant, record.recipe_version, record.model_id),
        *(record.model_sha256, record.review_at, record.reject_at, record.score, json.dumps(regions, separators=(",", ":"))),
        *(timings.queued_ms, timings.preprocess_ms, timings.inference_ms, timings.total_ms),
        *((quality.brightness, quality.contrast, quality.focus, quality.noise, quality.colour) if quality else (None,) * 5),
        *(record.frame_number, record.dropped_before, record.source_ref, record.shift, record.role),
        *(record.challenge_id, record.image_ref),
    )


def inspection(row: sqlite3.Row) -> InspectionRecord:
    """row: all columns of inspections and ``vector`` of embeddings (or NULL)."""
    quality = None
    if row["brightness"] is not None:
        quality = ImageQuality(row["brightness"], row["contrast"], row["focus"], row["noise"], row["colour"])
    return InspectionRecord(
        event_id=row["event_id"],
        part_id=row["part_id"],
        camera_id=row["camera_id"],
        captured_at=from_us(row["captured_us"]),
        decided_at=from_us(row["decided_us"]),
        verdict=Verdict(Decision(row["decision"]), Reason(row["reason"]), row["detail"]),
        variant=row["variant"],
        recipe_version=row["recipe_version"],
        model_id=row["model_id"],
        model_sha256=row["model_sha256"],
        review_at=row["review_at"],
        reject_at=row["reject_at"],
        score=row["score"],
        regions=tuple(Region(*numbers) for numbers in json.loads(row["regions"])),
        timings=StageTimings(row["queued_ms"], row["preprocess_ms"], row["inference_ms"], row["total_ms"]),
        quality=quality,
        embedding=embedding(row["vector"]),
        frame_number=row["frame_number"],
        dropped_before=row["dropped_before"],
        source_ref=row["source_ref"],
        shift=row["shift"],
        role=row["role"],
        challenge_id=row["challenge_id"],
        image_ref=row["image_ref"],
        seq=row["seq"],
    )


def embedding_blob(vector: NDArray[np.float32]) -> bytes:
    """Little-endian float16: half the size, and its 1e-3 relative error is far below the spread of real embeddings."""
    return np.clip(vector, -_FLOAT16_MAX, _FLOAT16_MAX).astype("<f2").tobytes()


def embedding(blob: bytes | None) -> NDArray[np.float32] | None:
    return None if blob is None else np.frombuffer(blob, "<f2").astype(np.float32)


def ticket_values(ticket: SampleTicket) -> tuple[object, ...]:
    return (
        *(ticket.ticket_id, ticket.event_id, ticket.part_id, ticket.window, ticket.stratum, ticket.inclusion_probability),
        *(ticket.policy, ticket.purpose.value, to_us(ticket.created_at), to_us(ticket.expires_at), ticket.review_round),
    )


def audit_values(entry: AuditEntry) -> tuple[object, ...]:
    return (to_us(entry.at), entry.who, entry.via, entry.action, json_text(entry.detail), entry.outcome)


def audit_entry(row: sqlite3.Row) -> AuditEntry:
    return AuditEntry(from_us(row["at_us"]), row["who"], row["via"], row["action"], json.loads(row["detail"]), row["outcome"])


def json_text(value: Mapping[str, Json]) -> str:
    """Compact JSON; StoreError for what is not JSON (NaN included: consumers cannot parse it)."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"not storable as JSON ({error}): {value!r:.200}") from error


def unnumbered_payload(event: Event) -> str:
    """The event's JSON object, open at its end: ``numbered_payload`` adds seq and closes it."""
    if not event.body or "seq" in event.body:
        raise StoreError(f"event {event.event_id}: the body must hold the payload without 'seq', which the store adds")
    return json_text(event.body)[:-1]


def numbered_payload(unnumbered: str, seq: int) -> bytes:
    return f'{unnumbered},"seq":{seq}}}'.encode()
