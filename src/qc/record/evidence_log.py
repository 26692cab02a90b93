"""The detectors' e-values over time, beside the records."""

from collections.abc import Iterable
from datetime import UTC, datetime

from qc.domain.evidence import EvidenceHour
from qc.record.database import Database

_HOUR_S = 3600

_PUT = """
INSERT INTO evidence_hours (hour, quantity, slice, log_value, highest, log_threshold) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
ON CONFLICT (hour, quantity, slice) DO UPDATE
SET log_value = excluded.log_value, highest = max(highest, excluded.log_value), log_threshold = excluded.log_threshold
"""


class EvidenceLog:
    """Thread-safe; an hour's row is updated in place, so that looking often costs no space."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, at: datetime, values: Iterable[tuple[str, str, float, float]]) -> None:
        """values: (quantity, slice, log e-value, log threshold) as they stand at ``at``. Not flushed to disk by itself."""
        hour = int(at.timestamp()) // _HOUR_S
        with self._database.write(durable=False) as connection:
            connection.executemany(_PUT, [(hour, *row) for row in values])

    def between(self, since: datetime, until: datetime) -> list[EvidenceHour]:
        """Hours that began in [since, until) or hold ``since``, in order of time."""
        bounds = (int(since.timestamp()) // _HOUR_S, -(-int(until.timestamp()) // _HOUR_S))
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM evidence_hours WHERE hour >= ? AND hour < ? ORDER BY hour, quantity, slice", bounds
            ).fetchall()
        return [
            EvidenceHour(
                datetime.fromtimestamp(row["hour"] * _HOUR_S, UTC),
                row["quantity"],
                row["slice"],
                row["log_value"],
                row["highest"],
                row["log_threshold"],
            )
            for row in rows
        ]
