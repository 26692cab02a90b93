"""Small facts that the line remembers over restarts."""

from qc.record.database import Database

ACTIVE_VARIANT = "active_variant"
HALTS = "halts"


class LineState:
    """Text values by key, durable on return."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> str | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM line_state WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO line_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, value),
            )
