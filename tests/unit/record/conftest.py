"""A database, a clock, and parts to store in it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.record.samples import MakeEntry, TurnableClock

from qc.domain.record import Entry, Event, EventKind, InspectionRecord
from qc.domain.truth import Purpose, SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.record.database import Database


@pytest.fixture
def now() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    # A power cut is not tested here, so the flushes of FULL would only cost time.
    with closing(Database(tmp_path / "qc.sqlite", synchronous="NORMAL")) as opened:
        yield opened


@pytest.fixture
def entry(now: TurnableClock) -> MakeEntry:
    """entry(name, decision=OK, ticket_days=None, kind=INSPECTION, **record fields): one part decided now."""

    def build(
        name: str,
        decision: Decision = Decision.OK,
        *,
        ticket_days: float | None = None,
        kind: EventKind = EventKind.INSPECTION,
        **fields: object,
    ) -> Entry:
        event = Event(kind, name, now(), {"schema": "qc.test/1", "event_id": name, "ts": now().isoformat()})
        if kind is not EventKind.INSPECTION:
            return Entry(event)
        record = InspectionRecord(
            event_id=name,
            part_id=f"part-{name}",
            camera_id="cam1",
            captured_at=now(),
            decided_at=now(),
            verdict=Verdict(decision, Reason.BELOW_REVIEW),
            variant="mono",
            recipe_version="0",
            model_id="m",
            model_sha256="0",
            review_at=0.3,
            reject_at=0.6,
            **fields,
        )
        ticket = None
        if ticket_days is not None:
            expires_at = now() + timedelta(days=ticket_days)
            ticket = SampleTicket(f"t-{name}", name, record.part_id, "w", "s", 0.5, "p", Purpose.ESTIMATE, now(), expires_at)
        return Entry(event, record, ticket)

    return build
