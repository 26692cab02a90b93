"""Rates with their intervals."""

from typing import Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.base import Answer, Query
from qc.console.schema.parts import PartDetail


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
    slices: list[SliceAnswer] = Field(default_factory=list)
    periods: list[PeriodAnswer] = Field(default_factory=list)
    challenge: RateAnswer | None = None
    agreement: list[InspectorAnswer] = Field(default_factory=list)
    kappa: float | None = None
    evidence: list[EvidenceAnswer] = Field(default_factory=list)
    comparison: list[DifferenceAnswer] = Field(default_factory=list)
    report: str = ""


PartDetail.model_rebuild()
