"""Tickets, labels and the labellers' progress."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.base import Answer, Body, Id, Share


class NextBody(Body):
    count: int = Field(default=2, ge=1, le=5, description="the second one is for preloading its picture")


class TicketAnswer(Answer):
    """Blind: nothing here tells score, verdict, stratum or why the part was chosen."""

    ticket_id: str
    part_id: str
    variant: str
    camera: str
    window: str
    review_round: int
    image: str
    expires_at: AwareDatetime


class TicketsAnswer(Answer):
    tickets: list[TicketAnswer]


class LabelBody(Body):
    """boxes: where the defect is, [x, y, width, height] relative to the frame."""

    ticket_id: Id
    truth: Literal["good", "defect", "unsure"]
    defect_type: Annotated[str, Field(max_length=100)] = ""
    seconds_spent: float | None = Field(default=None, ge=0, le=24 * 3600)
    corrects: Id | None = None
    boxes: Annotated[list[Annotated[list[Share], Field(min_length=4, max_length=4)]], Field(max_length=20)] = Field(
        default_factory=list
    )


class LabelDone(Answer):
    label_id: str
    further_looks: int


class ProgressAnswer(Answer):
    """asked, answered, expired: estimates of this shift. waiting: tickets that the visitor could label now."""

    window: str
    asked: int
    answered: int
    expired: int
    waiting: int
    planned: int
    mine: int
    median_seconds: float | None
    defect_types: list[str]
