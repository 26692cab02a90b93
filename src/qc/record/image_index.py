"""The table ``images``: which file holds which picture of which event, and how many bytes each decision takes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.record.database import Database
from qc.record.times import to_us

PICTURE = "picture"
HEATMAP = "heatmap"

_DELETABLE = """
    SELECT event_id FROM images AS i
    WHERE decision = :decision AND created_us < :before_us AND kind = 'picture'
      AND NOT EXISTS (SELECT 1 FROM unanswered_tickets AS t WHERE t.event_id = i.event_id AND t.expires_us > :now_us)
      AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.event_id = i.event_id AND o.state IN ('pending', 'dead'))
    ORDER BY created_us LIMIT :limit
"""
"""Not needed by an open label request, nor by an event that is still to be delivered."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of one event. name: file name in the archive (SHA-256 and suffix)."""

    kind: str
    name: str
    media_type: str
    size_bytes: int


class ImageIndex:
    """Not thread-safe for writing: the archive's one thread is the only writer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.bytes_by_decision: Counter[str] = Counter()
        """A file that several decisions share counts once in each."""
        self.total_bytes = 0

    def recount(self) -> None:
        """Sum up the whole index (about a second for a million pictures); additions and removals keep the sums from then on."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT decision, sum(bytes) FROM (SELECT DISTINCT decision, file_name, bytes FROM images) GROUP BY decision"
            )
            self.bytes_by_decision = Counter({row[0]: row[1] for row in rows})
            query = "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT file_name, bytes FROM images)"
            self.total_bytes = int(connection.execute(query).fetchone()[0])

    def add(self, record: InspectionRecord, files: Sequence[StoredFile]) -> None:
        """A picture that the event had before is replaced in the index. A power cut may undo the last additions."""
        decision, created_us = record.verdict.decision.value, to_us(record.decided_at)
        with self._database.write(durable=False) as connection:
            for file in files:
                sharers = {row[0] for row in connection.execute("SELECT decision FROM images WHERE file_name = ?", (file.name,))}
                connection.execute(
                    "INSERT OR REPLACE INTO images (event_id, kind, file_name, media_type, bytes, decision, created_us) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (record.event_id, file.kind, file.name, file.media_type, file.size_bytes, decision, created_us),
                )
                self.total_bytes += 0 if sharers else file.size_bytes
                self.bytes_by_decision[decision] += 0 if decision in sharers else file.size_bytes

    def find(self, event_id: str, kind: str) -> StoredFile | None:
        query = "SELECT kind, file_name, media_type, bytes FROM images WHERE event_id = ? AND kind = ?"
        with self._database.read() as connection:
            row = connection.execute(query, (event_id, kind)).fetchone()
        return StoredFile(*row) if row else None

    def deletable(self, decision: Decision, now: datetime, limit: int, before: datetime | None = None) -> list[str]:
        """Events whose pictures nobody needs any more (decided before ``before``), oldest first."""
        before_us = 2**63 - 1 if before is None else to_us(before)
        values = {"decision": decision.value, "before_us": before_us, "now_us": to_us(now), "limit": limit}
        with self._database.read() as connection:
            return [row[0] for row in connection.execute(_DELETABLE, values)]

    def remove(self, event_ids: Sequence[str]) -> list[str]:
        """Forget the events' pictures; returns the names of the files that no other event shares."""
        orphaned = []
        with self._database.write(durable=False) as connection:
            for event_id in event_ids:
                gone = connection.execute(
                    "SELECT file_name, bytes, decision FROM images WHERE event_id = ?", (event_id,)
                ).fetchall()
                connection.execute("DELETE FROM images WHERE event_id = ?", (event_id,))
                for name, size_bytes, decision in gone:
                    left = {row[0] for row in connection.execute("SELECT decision FROM images WHERE file_name = ?", (name,))}
                    if decision not in left:
                        self.bytes_by_decision[decision] -= size_bytes
                    if not left:
                        self.total_bytes -= size_bytes
                        orphaned.append(name)
        return orphaned

    def files_under(self, prefix: str) -> dict[str, int]:
        """name -> bytes of the indexed files whose names start with prefix."""
        query = "SELECT DISTINCT file_name, bytes FROM images WHERE file_name >= ? AND file_name < ?"
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query, (prefix, prefix + "g"))}

    def remove_file(self, name: str) -> None:
        """Forget a file that is lost."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM images WHERE file_name = ?", (name,))
        self.recount()
