"""Finding parts for people: by time, verdict, variant, score and human label, page by page."""

import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime

from qc.domain.errors import StoreError
from qc.domain.record import EventKind, InspectionRecord
from qc.domain.truth import Label, Purpose, Truth
from qc.domain.verdict import Decision
from qc.record import rows
from qc.record.database import Database
from qc.record.times import from_us, to_us
from qc.record.truth_rows import label_of

PATIENCE_S = 2.0
"""A search that reads longer than this is given up: the disk and the processor belong to the line."""
_CHECK_EVERY = 20_000
"""SQLite virtual machine steps between two looks at the clock: under a millisecond."""

_LABELLED = (
    "SELECT t.event_id FROM tickets AS t JOIN current_labels AS l USING (ticket_id) "
    "WHERE t.purpose IN ('estimate', 'adjudicate', 'training')"
)


@dataclass(frozen=True, slots=True)
class PartQuery:
    """Every condition is optional. since <= decided_at < until; min_score <= score <= max_score; text is part of the part id.

    label: what a person said (``good``, ``defect``, ``unsure``), ``any`` or ``none``. before_seq: last seq of the page before.
    """

    since: datetime | None = None
    until: datetime | None = None
    decision: Decision | None = None
    variant: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    label: str | None = None
    text: str | None = None
    before_seq: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class FoundPart:
    """label: the newest look's answer that nothing corrects, None when nobody has looked.

    purpose: why it was labelled; ``estimate`` whenever the part was drawn for the rates as well, since it then judges models, too."""

    record: InspectionRecord
    label: Label | None
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True)
class EventState:
    """One event of the outbox and how its delivery stands."""

    seq: int
    event_id: str
    kind: EventKind
    created_at: datetime
    state: str
    sent_at: datetime | None


class PartSearch:
    """Reads only. Raises StoreError when a search takes longer than PATIENCE_S."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, query: PartQuery) -> list[FoundPart]:
        """Newest first."""
        where, values = _conditions(query)
        sql = f"SELECT i.*, NULL AS vector FROM inspections AS i WHERE {where} ORDER BY i.decided_us DESC, i.seq DESC LIMIT ?"  # noqa: S608  # fixed texts
        give_up_s = time.monotonic() + PATIENCE_S
        with self._database.read() as connection:
            connection.set_progress_handler(lambda: int(time.monotonic() > give_up_s), _CHECK_EVERY)
            try:
                found = [rows.inspection(row) for row in connection.execute(sql, (*values, query.limit))]
                return [FoundPart(record, *_label_of_event(connection, record.event_id)) for record in found]
            finally:
                connection.set_progress_handler(None, 0)

    def label(self, event_id: str) -> Label | None:
        with self._database.read() as connection:
            return _label_of_event(connection, event_id)[0]

    def variants(self) -> list[str]:
        """Every variant that has records."""
        with self._database.read() as connection:  # a skip scan over the index, not over the records
            found: list[str] = []
            row = connection.execute("SELECT min(variant) FROM inspections").fetchone()
            while row[0] is not None:
                found.append(row[0])
                row = connection.execute("SELECT min(variant) FROM inspections WHERE variant > ?", (row[0],)).fetchone()
            return found

    def events(self, event_id: str) -> list[EventState]:
        """The part's own event."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT seq, event_id, kind, created_us, state, sent_us FROM outbox WHERE event_id = ?", (event_id,)
            ).fetchall()
        return [
            EventState(r[0], r[1], EventKind(r[2]), from_us(r[3]), r[4], None if r[5] is None else from_us(r[5])) for r in found
        ]


def _label_of_event(connection: sqlite3.Connection, event_id: str) -> tuple[Label | None, Purpose | None]:
    row = connection.execute(
        "SELECT l.*, l.review_round AS label_round, "
        "iif(EXISTS (SELECT 1 FROM tickets AS e WHERE e.event_id = t.event_id AND e.purpose = 'estimate'), 'estimate', t.purpose) "
        "AS purpose FROM current_labels AS l JOIN tickets AS t USING (ticket_id) "
        "WHERE t.event_id = ? AND t.purpose IN ('estimate', 'adjudicate', 'training') "
        "ORDER BY t.review_round DESC, l.labelled_us DESC LIMIT 1",
        (event_id,),
    ).fetchone()
    return (None, None) if row is None else (label_of(row), Purpose(row["purpose"]))


def _conditions(query: PartQuery) -> tuple[str, list[object]]:
    found: list[tuple[str, list[object]]] = []
    if query.since is not None:
        found.append(("i.decided_us >= ?", [to_us(query.since)]))
    if query.until is not None:
        found.append(("i.decided_us < ?", [to_us(query.until)]))
    if query.decision is not None:
        found.append(("i.decision = ?", [query.decision.value]))
    if query.variant is not None:
        found.append(("i.variant = ?", [query.variant]))
    if query.min_score is not None:
        found.append(("i.score >= ?", [query.min_score]))
    if query.max_score is not None:
        found.append(("i.score <= ?", [query.max_score]))
    if query.text:
        found.append(("instr(i.part_id, ?) > 0", [query.text]))
    if query.label is not None:
        found.append(_label_condition(query.label))
    if query.before_seq is not None:
        found.append(("(i.decided_us, i.seq) < ((SELECT decided_us FROM inspections WHERE seq = ?), ?)", [query.before_seq] * 2))
    return " AND ".join(text for text, _ in found) or "TRUE", [value for _, values in found for value in values]


def _label_condition(label: str) -> tuple[str, list[object]]:
    if label == "none":
        return f"i.event_id NOT IN ({_LABELLED})", []
    if label == "any":
        return f"i.event_id IN ({_LABELLED})", []
    if label not in tuple(Truth):
        raise StoreError(f"label {label!r}: one of {', '.join(Truth)}, any, none")
    return f"i.event_id IN ({_LABELLED} AND l.truth = ?)", [label]
