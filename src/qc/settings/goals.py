"""What the plant wants of its line, ``configs/goals.toml``."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from qc.goals.audit import AuditRules
from qc.goals.cost import CostModel
from qc.goals.targets import AT_LEAST, AT_MOST, GOAL_METRICS, Goal
from qc.settings.base import Count, Positive, Section
from qc.settings.files import load_file

Text = Annotated[str, Field(min_length=1, max_length=80)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
SliceColumn = Literal["variant", "camera", "line", "shift", "environment", "model", "recipe", "defect_type"]
Points = Annotated[float, Field(gt=0.0, lt=1.0)]


class GoalSettings(Section):
    """One SMART goal; judged by the interval of its rate, never by the point."""

    name: Text
    metric: str
    """detection_rate, challenge_detection_rate, precision, production_efficiency (at least the target); false_positive_rate,
    escapes_ppm, prevalence, review_rate, reject_rate (at most the target)."""
    slice: dict[SliceColumn, str] = {}
    """Part of the line that it is about, for example { variant = "solar-mono" }; default: all of it."""
    target: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    """A share between 0 and 1; parts per million for escapes_ppm."""
    by: date
    """The day until which it must be met, for example 2027-03-31."""
    owner: Text
    """Who answers for it."""
    min_labels: Annotated[int, Field(ge=0)] = 0
    """With fewer labels it is neither met nor not met."""
    min_found: Annotated[int, Field(ge=0)] = 0
    """With fewer findings (defects for the detection rate, false rejects for the false-positive rate) likewise."""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        if metric not in AT_LEAST | AT_MOST:
            raise ValueError(f"{metric!r} is no metric; choose one of {', '.join(GOAL_METRICS)}")
        return metric

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.metric != "escapes_ppm" and self.target > 1:
            raise ValueError(f"target: {self.metric} is a share between 0 and 1, not {self.target}; write 0.94 for 94 %")
        if "defect_type" in self.slice and (self.metric != "detection_rate" or len(self.slice) > 1):
            raise ValueError("slice: defect_type goes with detection_rate, and with no other column")
        if self.metric == "challenge_detection_rate" and set(self.slice) - {"variant"}:
            raise ValueError("slice: challenge_detection_rate is known by variant only")
        if self.metric == "production_efficiency" and self.slice:
            raise ValueError("slice: production_efficiency is known for the whole line only")
        return self

    def to_goal(self) -> Goal:
        slice_: dict[str, str] = {str(column): level for column, level in self.slice.items()}
        return Goal(self.name, self.metric, self.target, self.by, self.owner, slice_, self.min_labels, self.min_found)


class CostSettings(Section):
    """The plant's own prices, all in one currency."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """ISO 4217, for example USD or EUR."""
    escape: Amount
    """A defective part that leaves the line: complaint, replacement, penalty."""
    false_reject: Amount
    """A good part thrown out: rework, scrap, re-inspection."""
    review_minute: Amount
    """A minute of a person who looks at reviewed parts or labels."""
    halt_minute: Amount
    """A minute of a standing line, besides the parts that are not made."""
    part_value: Amount
    """What a part is worth; a standing line loses parts_per_hour / 60 of them a minute."""
    parts_per_hour: Positive
    """Planned speed of the line."""
    review_s: Amount = 20.0
    """Seconds that a person looks at one REVIEW part."""

    def to_model(self) -> CostModel:
        return CostModel(**self.model_dump())


class AuditSettings(Section):
    """The comparison of slices: are the rates the same everywhere?"""

    columns: Annotated[
        list[Literal["variant", "camera", "line", "shift", "environment", "model", "recipe"]], Field(min_length=1)
    ] = [
        "variant",
        "camera",
        "line",
        "shift",
        "environment",
        "model",
    ]
    alpha: Annotated[float, Field(gt=0.0, le=0.2)] = 0.05
    """P(any slice is said to differ although none does), over the whole audit."""
    detection_margin: Points = 0.05
    """A difference of detection rates that does not matter."""
    false_positive_margin: Points = 0.02
    """A difference of false-positive rates that does not matter."""
    min_labels: Count = 100
    """Slices with fewer labels are named."""

    def to_rules(self) -> AuditRules:
        margins = {"detection_rate": self.detection_margin, "false_positive_rate": self.false_positive_margin}
        return AuditRules(tuple(self.columns), self.alpha, margins, self.min_labels)


class GoalsSettings(Section):
    """Goals, prices and the audit's rules."""

    goals: list[GoalSettings] = []
    costs: CostSettings | None = None
    """Without prices the report shows no money and no production efficiency."""
    audit: AuditSettings = AuditSettings()
    standstill_s: Positive = 60.0
    """A pause of at least this long after a halt counts as standstill."""

    @field_validator("goals")
    @classmethod
    def _unique_names(cls, goals: list[GoalSettings]) -> list[GoalSettings]:
        names = [goal.name for goal in goals]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"goal names must differ; used twice: {', '.join(twice)}")
        return goals


def load_goals(path: Path) -> GoalsSettings:
    """``goals.toml``. Raises ConfigError. Not part of ``qc.settings``: a running edge does not need it, and it loads scipy."""
    return load_file(path, GoalsSettings)
