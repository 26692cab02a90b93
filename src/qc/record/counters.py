"""Running counters of decisions: one upsert per batch instead of a scan per question."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.record.times import to_us

BUCKET_US = 600_000_000
"""Ten minutes: a year is 52,560 buckets, and the odd start of a period is at most ten minutes of records to count."""
_ALL_TIME = -1


@dataclass(frozen=True, slots=True)
class Counters:
    """Parts per decision, as PLC people know them. not_inspected: parts per reason."""

    triggers: int = 0
    ok: int = 0
    review: int = 0
    ng: int = 0
    not_inspected: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Mapping[tuple[str, str], int]) -> "Counters":
        """parts: how many per (decision, reason)."""
        per_decision: Counter[str] = Counter()
        for (decision, _), count in parts.items():
            per_decision[decision] += count
        return cls(
            triggers=per_decision.total(),
            ok=per_decision[Decision.OK],
            review=per_decision[Decision.REVIEW],
            ng=per_decision[Decision.NG],
            not_inspected={reason: n for (decision, reason), n in sorted(parts.items()) if decision == Decision.NOT_INSPECTED},
        )


def count(connection: sqlite3.Connection, records: Iterable[InspectionRecord]) -> None:
    """Add records to the running counters, inside the transaction that stores them."""
    added: Counter[tuple[int, str, str]] = Counter()
    for record in records:
        verdict = (record.verdict.decision.value, record.verdict.reason.value)
        added[(to_us(record.decided_at) // BUCKET_US, *verdict)] += 1
        added[(_ALL_TIME, *verdict)] += 1
    connection.executemany(
        "INSERT INTO decision_counts (bucket, decision, reason, parts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET parts = parts + excluded.parts",
        [(*key, parts) for key, parts in added.items()],
    )


def parts_by_reason(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """All records ever stored, per (decision, reason)."""
    rows = connection.execute("SELECT decision, reason, parts FROM decision_counts WHERE bucket = ?", (_ALL_TIME,))
    return {(row[0], row[1]): row[2] for row in rows}


def counters(connection: sqlite3.Connection, since: datetime | None) -> Counters:
    """All records ever stored, or those decided at or after ``since`` (purged records still count in whole buckets)."""
    if since is None:
        return Counters.of(parts_by_reason(connection))
    since_us = to_us(since)
    first_whole = -(-since_us // BUCKET_US)
    rows = connection.execute(
        "SELECT decision, reason, sum(parts) FROM ("
        "  SELECT decision, reason, parts FROM decision_counts WHERE bucket >= ?"
        "  UNION ALL SELECT decision, reason, 1 FROM inspections WHERE decided_us >= ? AND decided_us < ?"
        ") GROUP BY decision, reason",
        (max(first_whole, 0), since_us, first_whole * BUCKET_US),
    )
    return Counters.of({(row[0], row[1]): row[2] for row in rows})
