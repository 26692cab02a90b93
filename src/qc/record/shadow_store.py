"""Counts and disagreements of models in the shadow, with the tickets drawn among them, in one transaction per part."""

from dataclasses import dataclass
from datetime import datetime

from qc.domain.truth import SampleTicket
from qc.record.database import Database
from qc.record.times import from_us, to_us
from qc.record.truth_rows import insert_ticket

CELLS = ("both_accept", "both_reject", "only_active_rejects", "only_candidate_rejects")
"""Joint decisions; REVIEW counts as a reject."""


@dataclass(frozen=True, slots=True)
class ShadowPart:
    """What both models said about one part. cell: one of CELLS."""

    event_id: str
    cell: str
    active_score: float
    candidate_score: float
    at: datetime


class ShadowStore:
    """On a ``Database``; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: str, part: ShadowPart, ticket: SampleTicket | None) -> None:
        """Count the part, keep it when the models disagree, and store its ticket: all or nothing.

        A power cut may undo the last parts, with their tickets; the counts and the tickets always fit each other.
        """
        with self._database.write(durable=False) as connection:
            connection.execute(
                "INSERT INTO shadow_cells VALUES (?, ?, 1) ON CONFLICT (run, cell) DO UPDATE SET parts = parts + 1",
                (run, part.cell),
            )
            if part.cell in CELLS[2:]:
                connection.execute(
                    "INSERT OR IGNORE INTO shadow_disagreements VALUES (?, ?, ?, ?, ?, ?)",
                    (run, part.event_id, part.cell, part.active_score, part.candidate_score, to_us(part.at)),
                )
            if ticket is not None:
                insert_ticket(connection, ticket)

    def cells(self, run: str) -> dict[str, int]:
        """Parts by cell, all four of them."""
        with self._database.read() as connection:
            found = dict(connection.execute("SELECT cell, parts FROM shadow_cells WHERE run = ?", (run,)).fetchall())
        return {cell: int(found.get(cell, 0)) for cell in CELLS}

    def runs(self) -> list[str]:
        with self._database.read() as connection:
            return [str(row[0]) for row in connection.execute("SELECT DISTINCT run FROM shadow_cells ORDER BY run")]

    def disagreements(self, run: str, limit: int = 100) -> list[ShadowPart]:
        """Newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM shadow_disagreements WHERE run = ? ORDER BY at_us DESC LIMIT ?", (run, limit)
            ).fetchall()
        return [ShadowPart(r["event_id"], r["cell"], r["active_score"], r["candidate_score"], from_us(r["at_us"])) for r in rows]
