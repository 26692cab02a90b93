"""What travels between the stages of the line, and how a record is made of it."""

from dataclasses import dataclass
from datetime import datetime

import uuid_utils

from qc.decide.halt import HaltState
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection, StageTimings
from qc.domain.ports import Prepared
from qc.domain.record import InspectionRecord
from qc.domain.truth import SampleTicket
from qc.domain.verdict import Verdict
from qc.inspection.regions import find_regions
from qc.line.setup import Setup


@dataclass(frozen=True, slots=True)
class Job:
    """A shot on its way to the model, with the setup under which it was captured."""

    shot: Shot
    setup: Setup
    prepared: Prepared | None = None
    verdict: Verdict | None = None
    """Set when the part cannot be inspected: camera fault, no memory for the frame."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A part with its verdict on its way to the record store.

    raised: the halt policy's new state when this part raised its level.
    """

    record: InspectionRecord
    job: Job
    inspection: Inspection | None = None
    raised: HaltState | None = None
    ticket: SampleTicket | None = None


def make_record(
    job: Job,
    verdict: Verdict,
    inspection: Inspection | None,
    *,
    decided_at: datetime,
    elapsed_ms: float,
    shift: str,
    challenge_id: str | None,
) -> InspectionRecord:
    """The record of one part; elapsed_ms runs from the trigger to the verdict."""
    shot, recipe, card = job.shot, job.setup.recipe, job.setup.inspector.card
    preprocess_ms = job.prepared.preprocess_ms if job.prepared else 0.0
    inference_ms = inspection.inference_ms if inspection else 0.0
    return InspectionRecord(
        event_id=str(uuid_utils.uuid7()),
        part_id=shot.part_id,
        camera_id=shot.camera_id,
        captured_at=shot.frame.captured_at if shot.frame else shot.triggered_at,
        decided_at=decided_at,
        verdict=verdict,
        variant=recipe.variant,
        recipe_version=recipe.version,
        model_id=card.model_id,
        model_sha256=card.sha256,
        review_at=recipe.review_at,
        reject_at=recipe.reject_at,
        score=inspection.score if inspection else None,
        regions=find_regions(inspection, recipe) if inspection else (),
        timings=StageTimings(
            queued_ms=max(0.0, elapsed_ms - preprocess_ms - inference_ms),
            preprocess_ms=preprocess_ms,
            inference_ms=inference_ms,
            total_ms=elapsed_ms,
        ),
        quality=shot.quality,
        embedding=inspection.embedding if inspection else None,
        frame_number=shot.frame.number if shot.frame else 0,
        dropped_before=shot.dropped_before,
        source_ref=shot.source_ref,
        shift=shift,
        role=job.setup.role,
        challenge_id=challenge_id,
    )
