"""Console users, their sessions and the areas that labellers marked, beside the records."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from qc.record.database import Database
from qc.record.times import from_us, to_us

Box: TypeAlias = tuple[float, float, float, float]
"""(x, y, width, height) relative to the frame, in [0, 1], origin top left."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """role: viewer, operator, engineer or admin. password_hash: argon2id."""

    name: str
    role: str
    password_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A login that has not expired, with its user's role of now."""

    user_name: str
    role: str
    csrf: str
    expires_at: datetime


class ConsoleStore:
    """Durable on return, thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def users(self) -> list[UserRow]:
        with self._database.read() as connection:
            rows = connection.execute("SELECT name, role, password_hash, created_us FROM console_users ORDER BY name")
            return [UserRow(row[0], row[1], row[2], from_us(row[3])) for row in rows]

    def user(self, name: str) -> UserRow | None:
        return next((user for user in self.users() if user.name == name), None)

    def put_user(self, user: UserRow) -> None:
        """Insert or replace; the user's sessions end, because role or password may have changed."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM console_sessions WHERE user_name = ?", (user.name,))
            connection.execute(
                "INSERT INTO console_users VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET role = excluded.role, password_hash = excluded.password_hash",
                (user.name, user.role, user.password_hash, to_us(user.created_at)),
            )

    def remove_user(self, name: str) -> bool:
        """False when there is no such user."""
        with self._database.write() as connection:
            return connection.execute("DELETE FROM console_users WHERE name = ?", (name,)).rowcount == 1

    def open_session(self, token_hash: str, user_name: str, csrf: str, now: datetime, expires_at: datetime) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM console_sessions WHERE expires_us <= ?", (to_us(now),))
            connection.execute(
                "INSERT INTO console_sessions VALUES (?, ?, ?, ?)", (token_hash, user_name, csrf, to_us(expires_at))
            )

    def session(self, token_hash: str, now: datetime) -> SessionRow | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT u.name, u.role, s.csrf, s.expires_us FROM console_sessions AS s "
                "JOIN console_users AS u ON u.name = s.user_name WHERE s.token_hash = ? AND s.expires_us > ?",
                (token_hash, to_us(now)),
            ).fetchone()
        return None if row is None else SessionRow(row[0], row[1], row[2], from_us(row[3]))

    def close_session(self, token_hash: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM console_sessions WHERE token_hash = ?", (token_hash,))

    def put_marks(self, label_id: str, boxes: Sequence[Box]) -> None:
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO label_marks VALUES (?, ?)", (label_id, json.dumps(boxes)))

    def marks(self, label_id: str) -> list[Box]:
        with self._database.read() as connection:
            row = connection.execute("SELECT boxes FROM label_marks WHERE label_id = ?", (label_id,)).fetchone()
        return [] if row is None else [(box[0], box[1], box[2], box[3]) for box in json.loads(row[0])]
