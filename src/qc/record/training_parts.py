"""Parts that could be labelled for training: inspected, picture kept, asked for by nobody; and those that are labelled already."""

from collections.abc import Sequence
from datetime import datetime

from qc.domain.record import InspectionRecord
from qc.record import rows
from qc.record.database import Database
from qc.record.times import to_us

_PARTS = """
    SELECT i.*, e.vector FROM inspections AS i
    JOIN images AS p ON p.event_id = i.event_id AND p.kind = 'picture'
    LEFT JOIN embeddings AS e ON e.seq = i.seq
    WHERE i.score IS NOT NULL AND i.challenge_id IS NULL AND i.decided_us >= ? AND i.decided_us < ?
      AND (? = '' OR i.variant = ?) AND {labelled} EXISTS (SELECT 1 FROM tickets AS t WHERE t.event_id = i.event_id)
    ORDER BY i.seq DESC LIMIT ?
"""


class TrainingPartReader:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unasked(self, since: datetime, until: datetime, *, variant: str = "", limit: int = 20_000) -> Sequence[InspectionRecord]:
        """Parts without any ticket, newest first, with their embeddings."""
        return self._parts("NOT", since, until, variant, limit)

    def asked(self, since: datetime, until: datetime, *, variant: str = "", limit: int = 20_000) -> Sequence[InspectionRecord]:
        """Parts with a ticket of any purpose, newest first, with their embeddings."""
        return self._parts("", since, until, variant, limit)

    def _parts(self, labelled: str, *conditions: object) -> Sequence[InspectionRecord]:
        since, until, variant, limit = conditions
        assert isinstance(since, datetime)
        assert isinstance(until, datetime)
        with self._database.read() as connection:
            found = connection.execute(
                _PARTS.format(labelled=labelled), (to_us(since), to_us(until), variant, variant, limit)
            ).fetchall()
        return [rows.inspection(row) for row in found]
