"""``qc users``: who may log in to an edge's console. Works while the edge runs or stands still."""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qc.console.accounts import Accounts, Role
from qc.domain.clock import SystemClock
from qc.domain.errors import CommandError, ConfigError
from qc.domain.record import AuditEntry, Json
from qc.record.console_store import ConsoleStore
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.settings import load_line


class UsersCommand:
    """Opens the edge's database; every change is audited with the name of the account at the terminal."""

    def __init__(self, config: Path) -> None:
        settings = load_line(config)
        self._database = Database(settings.storage.directory / "qc.sqlite3")
        self._accounts = Accounts(ConsoleStore(self._database), SystemClock())

    def list(self) -> int:
        table = Table("name", "role", "since")
        for user in self._accounts.users():
            table.add_row(user.name, user.role, f"{user.created_at:%Y-%m-%d %H:%M} UTC")
        Console().print(table if table.row_count else "Nobody can log in yet: qc users add CONFIG NAME --role admin")
        return 0

    def add(self, name: str, role: str) -> int:
        try:
            wanted = Role(role)
        except ValueError:
            raise ConfigError(f"--role {role!r}: one of {', '.join(Role)}") from None
        self._audited("user-add", {"user": name, "role": role}, lambda: self._accounts.add(name, wanted, _password()))
        print(f"{name} ({role}) can log in now")
        return 0

    def password(self, name: str) -> int:
        self._audited("password", {"user": name}, lambda: self._accounts.set_password(name, _password()))
        print(f"{name} has a new password; open sessions have ended")
        return 0

    def remove(self, name: str) -> int:
        self._audited("user-remove", {"user": name}, lambda: self._accounts.remove(name))
        print(f"{name} can no longer log in")
        return 0

    def _audited(self, action: str, detail: dict[str, Json], work: Callable[[], None]) -> None:
        outcome = "done"
        try:
            work()
        except CommandError as error:
            outcome = f"refused: {error.code}: {error}"
            raise
        finally:
            entry = AuditEntry(SystemClock().now(), getpass.getuser(), "cli", action, detail, outcome)
            SqliteRecordStore(self._database).audit(entry)


def _password() -> str:
    """Asked twice on a terminal; one line of standard input otherwise (scripts, tests)."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password (at least 10 characters): ")
    if getpass.getpass("Once more: ") != first:
        raise CommandError("bad_value", "the two passwords differ; nothing was changed")
    return first
