"""One SQLite file: opening it safely, migrating it, and handing out transactions.

The stores (records, labels, alarms) share one ``Database``. Several processes may open the same file at once: SQLite in
WAL mode lets readers go on while one writer at a time commits.

Durability (``synchronous``): with FULL every COMMIT is on the disk when ``write()`` returns, so nothing that was told to
the outside can be forgotten after a power cut. NORMAL survives a crash or kill -9 of the process just as well, but a power
cut may lose the last commits. The measured price of FULL stands at the top of ``store.py``.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import structlog

from qc.domain.errors import StoreError
from qc.record.migrations import Migration, shipped_migrations, statements

log = structlog.get_logger(__name__)

Synchronous = Literal["FULL", "NORMAL"]


class Database:
    """The file at ``path``, created or migrated to this program's schema. Thread-safe.

    Raises StoreError when the file is corrupt, not a database, from a newer program or not accessible; it is never overwritten.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL", busy_timeout_s: float = 10.0) -> None:
        self.path = Path(path)
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._write_lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = False
        with self._translated((sqlite3.Error, OSError)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            try:
                self._migrate(shipped_migrations())
                self._writer.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                self._writer.close()
                raise

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, rolled back when it raises. Other writers wait; do not nest.

        durable False skips the disk flush of this commit: it survives kill -9 but, until the next durable commit, not a
        power cut. For changes that are safe to forget. sqlite3 errors that leave the block become StoreError.
        """
        with self._write_lock, self._translated():
            self._check_open()
            if not durable:
                self._writer.execute("PRAGMA synchronous = NORMAL")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            finally:
                if not durable:
                    self._writer.execute(f"PRAGMA synchronous = {self._synchronous}")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection on one consistent snapshot, free of the writer's lock.

        Keep it short: the write-ahead log cannot shrink while an old snapshot is in use. What an unfinished
        ``write()`` of the same thread changed is not visible here.
        """
        with self._translated():
            with self._pool_lock:
                self._check_open()
                connection = self._idle_readers.pop() if self._idle_readers else None
            if connection is None:
                connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
            reusable = False
            try:
                connection.execute("BEGIN")
                yield connection
                reusable = True
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                with self._pool_lock:
                    keep = reusable and not self._closed
                    if keep:
                        self._idle_readers.append(connection)
                if not keep:
                    connection.close()

    def backup(self, target: Path) -> None:
        """A consistent copy of the whole file while the line goes on; an existing target is replaced."""
        unfinished = target.with_name(target.name + ".part")
        with self._translated((sqlite3.Error, OSError)):
            unfinished.unlink(missing_ok=True)
            with closing(self._connect()) as source, closing(sqlite3.connect(unfinished)) as copy:
                source.backup(copy)
            unfinished.replace(target)

    def check(self) -> list[str]:
        """Problems found by SQLite's full integrity check; empty when sound. Reads the whole file: for ``doctor`` and tests."""
        with self.read() as connection:
            findings = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        return [] if findings == ["ok"] else findings

    def close(self) -> None:
        """Wait for a running transaction, then close. Idempotent."""
        with self._write_lock, self._pool_lock:
            self._closed = True
            for connection in [self._writer, *self._idle_readers]:
                connection.close()
            self._idle_readers.clear()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # transactions are ours: BEGIN IMMEDIATE, never upgraded half-way
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA journal_size_limit = 67108864")  # a burst must not leave a huge log file behind
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, shipped: list[Migration]) -> None:
        """Bring the file up to date in one transaction: all pending migrations or none of them.

        What was applied is remembered number by number, so a migration that arrives later with a lower number still runs.
        """
        newest = max(migration.number for migration in shipped)
        self._writer.execute("BEGIN IMMEDIATE")  # a second process waits here and then finds nothing left to do
        try:
            version = int(self._writer.execute("PRAGMA user_version").fetchone()[0])
            if version > newest:
                raise StoreError(
                    f"{self.path} was written by a newer qc (schema {version}, this program knows up to {newest}): "
                    "update this program, or restore the backup that the update made beside the file"
                )
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
            )
            applied = {row[0] for row in self._writer.execute("SELECT number FROM migrations")}
            pending = [migration for migration in shipped if migration.number not in applied]
            if pending and version > 0:
                target = self.path.with_name(f"{self.path.name}.v{version}.backup")
                self.backup(target)
                log.info("database_backed_up", path=str(self.path), backup=str(target), schema=version)
            for migration in pending:
                for statement in statements(migration.sql):
                    self._writer.execute(statement)
                self._writer.execute(
                    "INSERT INTO migrations VALUES (?, ?, ?)", (migration.number, migration.name, datetime.now(UTC).isoformat())
                )
            self._writer.execute(f"PRAGMA user_version = {newest}")
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        if pending:
            log.info("database_migrated", path=str(self.path), from_schema=version, to_schema=newest)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} is closed")

    @contextmanager
    def _translated(self, foreign: tuple[type[Exception], ...] = (sqlite3.Error,)) -> Iterator[None]:
        """The border: foreign errors leave as StoreError with the file's name and a remedy."""
        try:
            yield
        except foreign as error:
            raise StoreError(f"{self.path}: {error}; {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return "the file is damaged or no qc database: move it away and restore a backup (or run sqlite3's .recover on a copy)"
    if code.startswith("SQLITE_FULL"):
        return "free some space on this disk; nothing that was committed is lost"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process holds the file: stop it or wait"
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")) or isinstance(error, OSError):
        return "check that the folder exists and that this user may write there"
    return "the change was rolled back"
