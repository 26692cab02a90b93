"""Records and labels of a time range as arrays, straight from SQLite: the thin reader under reports over millions of parts.

Measured on two shared cores: see docs/monitoring.md.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np

from qc.domain.columns import Codes, LabelColumns, RecordColumns, concatenate
from qc.record import column_chunks
from qc.record.database import Database
from qc.record.times import to_us

_LABELS = """
SELECT ifnull(i.seq, -1), t.event_id, l.labelled_us, t.inclusion_probability, l.review_round, l.truth, k.truth,
       l.seconds_spent, t.purpose, t.stratum, l.labeller, l.defect_type
FROM tickets AS t JOIN current_labels AS l ON l.ticket_id = t.ticket_id
LEFT JOIN known_truths AS k ON k.ticket_id = t.ticket_id
LEFT JOIN inspections AS i ON i.event_id = t.event_id
WHERE t.event_id IN (SELECT event_id FROM tickets WHERE created_us >= ? AND created_us < ?)
ORDER BY l.labelled_us, l.label_id
"""

_TRUTH = {"good": 0, "defect": 1, "unsure": 2, None: -1}


def _range(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    first_us, last_us = column_chunks.ALWAYS_US
    return (first_us if since is None else to_us(since)), (last_us if until is None else to_us(until))


class ColumnReader:
    """Reads what a report needs. Each call sees one consistent snapshot and does not stop the line from writing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pack(self) -> None:
        """Pack what a running edge's upkeep has not packed yet, so that reading is fast. Raises StoreError."""
        while column_chunks.pack_next(self._database):
            pass

    def batches(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[RecordColumns]:
        """Records decided in [since, until) in the order of seq, some thousand at a time: memory stays flat however many there are."""
        bounds = _range(since, until)
        with self._database.read() as connection:
            for stretch in column_chunks.stretches(connection):
                if not isinstance(stretch, column_chunks.Chunk):
                    yield from column_chunks.read_rows(connection, *stretch, bounds)
                elif stretch.touches(bounds):
                    yield column_chunks.read_chunk(connection, stretch, bounds)

    def records(self, since: datetime | None = None, until: datetime | None = None) -> RecordColumns:
        """Records decided in [since, until), all at once: 32 bytes each."""
        return concatenate(list(self.batches(since, until)))

    def labels(self, since: datetime | None = None, until: datetime | None = None) -> LabelColumns:
        """Labels of the parts that were drawn in [since, until), all their looks included."""
        with self._database.read() as connection:
            cursor = connection.cursor()
            cursor.row_factory = None
            rows = cursor.execute(_LABELS, _range(since, until)).fetchall()
        columns = list(zip(*rows, strict=True)) if rows else [()] * 12
        seq, event, labelled, q, rounds, said, known, seconds, purpose, stratum, labeller, defect_type = columns
        event_codes, events = _coded(event)
        purpose_codes, purposes = _coded(purpose)
        stratum_codes, strata = _coded(stratum)
        labeller_codes, labellers = _coded(labeller)
        type_codes, types = _coded(defect_type)
        return LabelColumns(
            seq=np.array(seq, np.int64),
            event=event_codes,
            events=events,
            labelled_us=np.array(labelled, np.int64),
            inclusion_probability=np.array(q, np.float64),
            review_round=np.array(rounds, np.int32),
            said=np.array([_TRUTH[s] for s in said], np.int32),
            known=np.array([_TRUTH[k] for k in known], np.int32),
            seconds_spent=np.array(seconds, np.float64),
            purpose=purpose_codes,
            purposes=purposes,
            stratum=stratum_codes,
            strata=strata,
            labeller=labeller_codes,
            labellers=labellers,
            defect_type=type_codes,
            defect_types=types,
        )


def _coded(values: Iterable[str]) -> tuple[Codes, tuple[str, ...]]:
    """Codes into the sorted distinct values."""
    listed = list(values)
    levels = tuple(sorted(set(listed)))
    code_of = {level: code for code, level in enumerate(levels)}
    return np.array([code_of[value] for value in listed], np.int32), levels
