from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qc.domain.record import InspectionRecord
from qc.domain.truth import Purpose, SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.label.fake import MemoryTruthStore

T0 = datetime(2026, 11, 24, 6, tzinfo=UTC)


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> datetime:
        return self.time

    def monotonic_ns(self) -> int:
        return int(self.time.timestamp() * 1e9)

    def forward(self, **amount: float) -> None:
        self.time += timedelta(**amount)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> MemoryTruthStore:
    return MemoryTruthStore()


class Make:
    """Records and tickets with defaults."""

    @staticmethod
    def record(name: str = "e1", decision: Decision = Decision.OK, **fields: Any) -> InspectionRecord:
        reasons = {Decision.OK: Reason.BELOW_REVIEW, Decision.REVIEW: Reason.BETWEEN_THRESHOLDS, Decision.NG: Reason.ABOVE_REJECT}
        values: dict[str, Any] = {
            "event_id": name,
            "part_id": f"part-{name}",
            "camera_id": "cam1",
            "captured_at": T0,
            "decided_at": T0,
            "verdict": Verdict(decision, reasons.get(decision, Reason.CAMERA_FAULT)),
            "variant": "mono",
            "recipe_version": "v1",
            "model_id": "m",
            "model_sha256": "0" * 64,
            "review_at": 0.5,
            "reject_at": 0.7,
            "score": {Decision.OK: 0.1, Decision.REVIEW: 0.6, Decision.NG: 0.9}.get(decision),
            "shift": "2026-11-24/early",
        }
        return InspectionRecord(**(values | fields))

    @staticmethod
    def ticket(name: str = "t1", **fields: Any) -> SampleTicket:
        values: dict[str, Any] = {
            "ticket_id": name,
            "event_id": f"event-{name}",
            "part_id": f"part-{name}",
            "window": "2026-11-24/early",
            "stratum": "a1",
            "inclusion_probability": 0.1,
            "policy": "p",
            "purpose": Purpose.ESTIMATE,
            "created_at": T0,
            "expires_at": T0 + timedelta(days=1),
        }
        return SampleTicket(**(values | fields))


@pytest.fixture
def make() -> type[Make]:
    return Make
