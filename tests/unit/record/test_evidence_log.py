"""E-values over time: one row per hour, quantity and slice, whoever looks how often."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qc.domain.evidence import EvidenceHour
from qc.record.database import Database
from qc.record.evidence_log import EvidenceLog
from qc.record.upkeep import RecordLimits, purge_records

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "qc.sqlite3", synchronous="NORMAL")
    yield made
    made.close()


def test_an_hour_keeps_its_last_and_its_highest_value(database: Database) -> None:
    log = EvidenceLog(database)
    for minute, value in ((5, 1.0), (20, 7.0), (59, 3.0)):
        log.put(NOON + timedelta(minutes=minute), [("score", "cell/cam1", value, 9.0), ("prevalence", "cell", -value, 12.0)])
    log.put(NOON + timedelta(minutes=60), [("score", "cell/cam1", 8.0, 9.0)])
    assert log.between(NOON, NOON + timedelta(hours=2)) == [
        EvidenceHour(NOON, "prevalence", "cell", -3.0, -1.0, 12.0),
        EvidenceHour(NOON, "score", "cell/cam1", 3.0, 7.0, 9.0),
        EvidenceHour(NOON + timedelta(hours=1), "score", "cell/cam1", 8.0, 8.0, 9.0),
    ]
    assert [one.hour for one in log.between(NOON + timedelta(minutes=70), NOON + timedelta(minutes=80))] == [
        NOON + timedelta(hours=1)
    ]


def test_old_hours_go_with_the_records(database: Database) -> None:
    log = EvidenceLog(database)
    log.put(NOON - timedelta(days=3), [("score", "cell/cam1", 1.0, 9.0)])
    log.put(NOON, [("score", "cell/cam1", 1.0, 9.0)])
    with database.write() as connection:
        assert purge_records(connection, RecordLimits(record_keep_s=2 * 86_400), NOON, 100) == 1
    assert [one.hour for one in log.between(NOON - timedelta(days=9), NOON + timedelta(hours=1))] == [NOON]
