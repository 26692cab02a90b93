"""The schema, as numbered steps: ``NNNN_name.sql`` in this folder, each applied once and never edited after a release."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def shipped_migrations() -> list[Migration]:
    """Every migration of this program, lowest number first; gaps in the numbers are fine."""
    named = [(match, item) for item in files(__name__).iterdir() if (match := _NAME.fullmatch(item.name))]
    found = [Migration(int(match[1]), match[2], item.read_text(encoding="utf-8")) for match, item in named]
    return sorted(found, key=lambda migration: migration.number)


def statements(sql: str) -> Iterator[str]:
    """Split a script into statements (triggers stay whole), so that all of them run inside one transaction.

    sqlite3's own ``executescript`` would commit the open transaction first.
    """
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
