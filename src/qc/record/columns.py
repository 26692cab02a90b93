"""Records and labels of a time range as arrays, straight from SQLite: the thin reader under reports over millions of parts.

A row costs one tuple and one look-up: its nine strings travel as one, because there are few combinations of them.
Measured on two shared cores: see docs/monitoring.md.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc.domain.columns import FIELDS, Codes, LabelColumns, RecordColumns
from qc.record.database import Database
from qc.record.times import to_us

_CHUNK = 50_000
_SEPARATOR = "\x1f"
"""ASCII unit separator: never part of a name."""

_NAMES = " || char(31) || ".join([*FIELDS[:-1], "ifnull(challenge_id, '')"])
_RECORDS = f"SELECT seq, decided_us, score, brightness, {_NAMES} FROM inspections "  # noqa: S608 - constants only

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
    return (-(2**62) if since is None else to_us(since)), (2**62 if until is None else to_us(until))


class ColumnReader:
    """Reads what a report needs. Each call sees one consistent snapshot and does not stop the line from writing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def records(
        self, since: datetime | None = None, until: datetime | None = None, *, variant: str | None = None
    ) -> RecordColumns:
        """Records decided in [since, until)."""
        bounds: tuple[int | str, ...] = _range(since, until)
        where = "WHERE decided_us >= ? AND decided_us < ? "
        if since is None and until is None:
            # The whole table in its own order: following the index of time would visit the pages at random.
            where = "NOT INDEXED " + where
        if variant is not None:
            bounds, where = (*bounds, variant), where + "AND variant = ? "
        sql = _RECORDS + where + "ORDER BY seq"
        codes: dict[str, int] = {}
        parts: list[tuple[NDArray[Any], ...]] = []
        with self._database.read() as connection:
            cursor = connection.cursor()
            cursor.row_factory = None
            cursor.execute(sql, bounds)
            while rows := cursor.fetchmany(_CHUNK):
                seq, decided, score, brightness, names = zip(*rows, strict=True)
                for name in set(names) - codes.keys():
                    codes[name] = len(codes)
                parts.append(
                    (
                        np.array(seq, np.int64),
                        np.array(decided, np.int64),
                        np.array(score, np.float64),  # None becomes nan
                        np.array(brightness, np.float32),
                        np.array([codes[name] for name in names], np.int32),
                    )
                )
        if not parts:
            parts = [tuple(np.zeros(0, kind) for kind in (np.int64, np.int64, np.float64, np.float32, np.int32))]
        seqs, moments, values, light, combination = (np.concatenate(chunks) for chunks in zip(*parts, strict=True))
        return RecordColumns(seqs, moments, values, light, combination, tuple(tuple(name.split(_SEPARATOR)) for name in codes))

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
