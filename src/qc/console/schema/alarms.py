"""Alarms and what people do about them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.base import Answer, Body, Query, Text
from qc.domain.alarm import Action, AlarmState, Cause


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


class RelearnBody(Body):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class SnoozeBody(Body):
    minutes: float = Field(gt=0, le=7 * 24 * 60)
    reason: Annotated[str, Field(min_length=1, max_length=500)]
