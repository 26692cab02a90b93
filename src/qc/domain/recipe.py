"""What is inspected and how: the unit of changeover."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Polygon: TypeAlias = tuple[Point, ...]
"""At least three (x, y) corners relative to the frame, each in [0, 1], origin top left."""


@dataclass(frozen=True, slots=True)
class HaltPolicy:
    """When a run of rejects asks for a halt. Camera faults never count; one NG never halts.

    A halt is asked when ``run_rejects`` of the last ``run_parts`` judged parts are NG, or when the reject rate
    jumps significantly above ``baseline_reject_rate`` (see ``decide/halt.py``). Levels fall again
    after ``clear_parts`` parts without cause.
    """

    run_rejects: int = 8
    run_parts: int = 10
    baseline_reject_rate: float = 0.08
    jump_alpha: float = 1e-4
    clear_parts: int = 100
    stop_line: bool = False
    """False: the strongest state only asks (an alarm). True: the result signal also requests the stop."""


@dataclass(frozen=True, slots=True)
class SamplingPlanSettings:
    """How many human labels a window (shift) may cost for this recipe, and the planning assumptions."""

    labels_per_window: int = 60
    expected_parts_per_window: int = 5000
    seed: int = 0
    verify_all_rejects: bool = False
    exploration: float = 0.3


@dataclass(frozen=True)
class Recipe:
    """One product variant: model, region of interest, thresholds, deadline, sampling and halt policy.

    Thresholds apply to the calibrated score in [0, 1]: score >= reject_at is NG, review_at <= score <
    reject_at is REVIEW, below is OK. roi: the part of the frame the model sees (None: all of it).
    ignore: polygons whose pixels are blanked before the model and whose map values never count.
    min_defect_area: share of the frame below which a region is dropped from the report.
    map_threshold: map value from which a pixel belongs to a region.
    """

    variant: str
    model_id: str
    review_at: float
    reject_at: float
    deadline_ms: float = 1000.0
    roi: Polygon | None = None
    ignore: tuple[Polygon, ...] = ()
    min_defect_area: float = 0.0
    map_threshold: float = 0.5
    part_id_prefixes: tuple[str, ...] = ()
    """Parts whose id (barcode) starts with one of these are judged by this recipe, whichever is active."""
    halt: HaltPolicy = field(default_factory=HaltPolicy)
    sampling: SamplingPlanSettings = field(default_factory=SamplingPlanSettings)

    @cached_property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 over the canonical JSON of every field."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
