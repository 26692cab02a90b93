"""Deleting what is old, in short transactions beside the line: delivered events, embeddings, records."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from qc.record import column_chunks
from qc.record.times import to_us

_DAY_S = 86_400.0

_OLD_RECORDS = """
    SELECT seq FROM inspections AS i
    WHERE decided_us < ? AND NOT EXISTS (SELECT 1 FROM tickets AS t WHERE t.event_id = i.event_id)
    ORDER BY decided_us LIMIT ?
"""
"""Records that were ever chosen for a label stay: the rates of their time are computed from them."""

_OLD_EMBEDDINGS = """
    SELECT seq FROM embeddings
    WHERE seq IN (SELECT seq FROM embeddings ORDER BY seq LIMIT :rows)
      AND (SELECT decided_us FROM inspections AS i WHERE i.seq = embeddings.seq) < :before_us
"""


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """record_keep_s: age at which inspection records go; embedding_keep_s: their vectors, the larger half of a row, before."""

    record_keep_s: float = 730 * _DAY_S
    embedding_keep_s: float = 90 * _DAY_S


def purge_records(connection: sqlite3.Connection, limits: RecordLimits, now: datetime, max_rows: int) -> int:
    """One short step over at most max_rows records and embeddings; returns how many went (0: all done)."""
    now_us = to_us(now)
    before_us = now_us - int(limits.embedding_keep_s * 1e6)
    vectors = connection.execute(_OLD_EMBEDDINGS, {"rows": max_rows, "before_us": before_us}).fetchall()
    connection.executemany("DELETE FROM embeddings WHERE seq = ?", [(row["seq"],) for row in vectors])
    records = connection.execute(_OLD_RECORDS, (now_us - int(limits.record_keep_s * 1e6), max_rows)).fetchall()
    connection.executemany("DELETE FROM inspections WHERE seq = ?", [(row["seq"],) for row in records])
    if records:
        seqs = [row["seq"] for row in records]
        column_chunks.forget(connection, min(seqs), max(seqs))
    hours = connection.execute(
        "DELETE FROM evidence_hours WHERE hour < ?", ((now_us // 3_600_000_000) - int(limits.record_keep_s / 3600),)
    )
    return len(vectors) + len(records) + hours.rowcount
