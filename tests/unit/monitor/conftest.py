"""The seeded worlds of tools/simulations, simulated records, and a monitor with its alarm book."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from qc.domain.alarm import Alarm
from qc.domain.frame import ImageQuality
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.label.plan import SamplingPlan
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.input_watch import InputSettings
from qc.monitor.label_watch import RateBounds
from qc.monitor.watch import Monitor, MonitorSettings
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.database import Database

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
PLAN = SamplingPlan("cell", (0.02,), (), (0.02, 0.1), (0.2,), seed=1)
SETTINGS = MonitorSettings(
    default_bounds=RateBounds(0.90, 0.10, 0.05),
    inputs=InputSettings(lot_parts=100, reference_lots=40, horizon_parts=100_000),
    quiet_for=5,
)
LEARNED = 4000
"""Parts after which the reference is complete."""


@dataclass
class Production:
    """Seeded parts: log-odds scores N(-3, 1), defects 5 higher, rejected from .6; all knobs may be turned between parts."""

    seed: int = 0
    prevalence: float = 0.01
    score_shift: float = 0.0
    brightness: float = 120.0
    appearance: float = 0.0
    """Added to the first 8 of 24 embedding values."""
    reject_at: float = 0.6
    shift: str = "2026-03-01/early"
    model: str = "0" * 64
    made: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def parts(self, count: int) -> Iterator[InspectionRecord]:
        for _ in range(count):
            yield self.part()

    def part(self) -> InspectionRecord:
        self.made += 1
        rng = self.rng
        odds = rng.normal() - 3 + 5 * (rng.random() < self.prevalence) + self.score_shift
        score = float(1 / (1 + np.exp(-odds)))
        verdict = (
            Verdict(Decision.NG, Reason.ABOVE_REJECT) if score >= self.reject_at else Verdict(Decision.OK, Reason.BELOW_REVIEW)
        )
        quality = rng.normal(size=5) * [2, 1, 10, 0.1, 0.5] + [self.brightness, 40, 300, 2, 5]
        embedding = rng.normal(size=24).astype(np.float32)
        embedding[:8] += self.appearance
        at = START + timedelta(seconds=self.made)
        return InspectionRecord(
            event_id=f"e{self.made:06d}",
            part_id=f"p{self.made:06d}",
            camera_id="cam1",
            captured_at=at,
            decided_at=at,
            verdict=verdict,
            variant="cell",
            recipe_version=f"r{self.reject_at}",
            model_id="m",
            model_sha256=self.model,
            review_at=self.reject_at,
            reject_at=self.reject_at,
            score=score,
            quality=ImageQuality(*(float(v) for v in quality)),
            embedding=embedding,
            shift=self.shift,
            seq=self.made,
        )


@dataclass
class SteppingClock:
    """Ten minutes pass with every look, so that every update of an alarm is due."""

    at: datetime = START

    def now(self) -> datetime:
        self.at += timedelta(minutes=10)
        return self.at

    def monotonic_ns(self) -> int:
        return 0


@dataclass
class Rig:
    monitor: Monitor
    book: StoredAlarmBook
    told: list[Alarm]

    def feed(self, records: Iterator[InspectionRecord]) -> None:
        for record in records:
            self.monitor.on_record(record)

    def open(self) -> dict[tuple[str, str], Alarm]:
        return {(alarm.quantity, alarm.slice): alarm for alarm in self.book.open_alarms()}


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    databases = []

    def make(**changes: object) -> Rig:
        planned_stop = changes.pop("planned_stop", lambda _: None)
        databases.append(Database(tmp_path / f"{len(databases)}.sqlite3", synchronous="NORMAL"))
        told: list[Alarm] = []
        book = StoredAlarmBook(SqliteAlarmStore(databases[-1]), SteppingClock(), told.append)
        settings = replace(SETTINGS, **changes)
        return Rig(Monitor(book, settings, lambda *_: PLAN, planned_stop=planned_stop), book, told)

    yield make
    for database in databases:
        database.close()
