"""The plant's book: what was really shown, what the line said about it, and every alarm; no part of qc reads it."""

from dataclasses import dataclass, field
from datetime import datetime

from qc.domain.alarm import Alarm
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord


@dataclass(frozen=True, slots=True)
class TrueCapture:
    """What was really shown under a part id. at: when."""

    product: str
    defective: bool
    picture: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the line said about a part."""

    part_id: str
    at: datetime
    score: float
    review_at: float
    reject_at: float
    role: str
    model: str


@dataclass(slots=True)
class SeenAlarm:
    """The first and the latest word of one alarm; parts: how many had been judged at its first."""

    first: Alarm
    latest: Alarm
    parts: int


@dataclass(frozen=True, slots=True)
class TrueHalt:
    """needless: most of the parts that were rejected before it are good."""

    at: datetime
    quantity: str
    needless: bool


@dataclass
class Book:
    """Everything that only the plant knows; stays over restarts of the edge."""

    shown: dict[str, TrueCapture] = field(default_factory=dict)
    judged: list[Judgement] = field(default_factory=list)
    not_judged: int = 0
    alarms: dict[str, SeenAlarm] = field(default_factory=dict)
    halts: list[TrueHalt] = field(default_factory=list)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        """Observer of the line."""
        if record.score is None:
            self.not_judged += 1
            return
        self.judged.append(
            Judgement(
                record.part_id,
                record.decided_at,
                record.score,
                record.review_at,
                record.reject_at,
                record.role,
                record.model_id,
            )
        )

    @property
    def parts(self) -> int:
        return len(self.judged) + self.not_judged
