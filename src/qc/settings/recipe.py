"""A product variant's file under ``configs/recipes/``."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from qc.domain.recipe import HaltPolicy, Recipe, SamplingPlanSettings
from qc.settings.base import Count, Name, Positive, Section, Share

Corner = Annotated[list[Share], Field(min_length=2, max_length=2)]
Corners = Annotated[list[Corner], Field(min_length=3)]


class HaltSettings(Section):
    """When a run or a jump of rejects asks for a halt."""

    run_rejects: Count = 8
    """NG parts among the last run_parts that ask for a halt; at least 2, because one NG never halts."""
    run_parts: Annotated[int, Field(ge=2, le=1000)] = 10
    """Length of the run, in judged parts."""
    baseline_reject_rate: Annotated[float, Field(gt=0.0, lt=0.9)] = 0.08
    """Share of NG and REVIEW parts that is normal for this variant; a significant rise above it is evidence."""
    jump_alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-4
    """At most one needless advice in 1/jump_alpha parts; each stronger level is ten times rarer."""
    clear_parts: Count = 100
    """Judged parts without evidence after which advise and raise_sampling clear by themselves."""
    stop_line: bool = False
    """true: the halt level also asks the result signal to stop the machine; false: it only raises the alarm."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 2 <= self.run_rejects <= self.run_parts:
            raise ValueError(f"run_rejects must lie between 2 and run_parts ({self.run_parts}), not {self.run_rejects}")
        return self


class SamplingSettings(Section):
    """How many human labels a shift may cost for this variant."""

    labels_per_window: Annotated[int, Field(ge=0)] = 60
    """Labels that the plan asks for in one shift, on average."""
    expected_parts_per_window: Count = 5000
    """Parts expected in one shift, until the previous shift tells it better."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the hash that draws the parts; recorded with the plan."""
    verify_all_rejects: bool = False
    """true: every NG part gets a ticket (operators verify rejects anyway)."""
    exploration: Share = 0.3
    """Share of the labels allocated in proportion to the strata instead of where they help most."""


class RecipeSettings(Section):
    """One product variant: model, region, thresholds, deadline, halt and sampling policy."""

    variant: Name
    """Name of the product variant; what a changeover asks for."""
    model: Name
    """Model bundle: a folder of the model directory."""
    review_at: Share
    """Scores from here on are REVIEW."""
    reject_at: Share
    """Scores from here on are NG."""
    deadline_ms: Positive = 1000.0
    """A verdict later than this after the trigger is NOT_INSPECTED."""
    roi: Corners | None = None
    """Region of interest as a polygon of [x, y] corners relative to the frame (0..1); default: the whole frame."""
    ignore: list[Corners] = []
    """Polygons that are blanked before the model and never count (serial numbers, holders)."""
    min_defect_area: Share = 0.0
    """Regions smaller than this share of the frame are not reported."""
    map_threshold: Share = 0.5
    """Defect-map value from which a pixel belongs to a region."""
    part_id_prefixes: list[Annotated[str, Field(min_length=1)]] = []
    """Parts whose id (barcode) starts with one of these are judged by this recipe, whichever is active."""
    halt: HaltSettings = HaltSettings()
    sampling: SamplingSettings = SamplingSettings()

    @field_validator("roi")
    @classmethod
    def _roi_has_area(cls, roi: list[list[float]] | None) -> list[list[float]] | None:
        if roi is not None and _area(roi) < 1e-6:
            raise ValueError("the polygon has no area; give its corners in order, as [x, y] between 0 and 1")
        return roi

    @field_validator("ignore")
    @classmethod
    def _ignored_have_area(cls, ignore: list[list[list[float]]]) -> list[list[list[float]]]:
        if any(_area(polygon) < 1e-6 for polygon in ignore):
            raise ValueError("a polygon has no area; give its corners in order, as [x, y] between 0 and 1")
        return ignore

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.review_at > self.reject_at:
            raise ValueError(f"review_at ({self.review_at}) must not exceed reject_at ({self.reject_at})")
        return self

    def to_recipe(self) -> Recipe:
        """The domain's recipe with the same content."""
        return Recipe(
            variant=self.variant,
            model_id=self.model,
            review_at=self.review_at,
            reject_at=self.reject_at,
            deadline_ms=self.deadline_ms,
            roi=_polygon(self.roi) if self.roi else None,
            ignore=tuple(_polygon(polygon) for polygon in self.ignore),
            min_defect_area=self.min_defect_area,
            map_threshold=self.map_threshold,
            part_id_prefixes=tuple(self.part_id_prefixes),
            halt=HaltPolicy(**self.halt.model_dump()),
            sampling=SamplingPlanSettings(**self.sampling.model_dump()),
        )


def _polygon(corners: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in corners)


def _area(corners: list[list[float]]) -> float:
    """Shoelace formula, in squared relative units."""
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2
