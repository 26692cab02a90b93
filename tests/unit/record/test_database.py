"""Opening, migrating and refusing database files; transactions and concurrent processes."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from qc.domain.errors import StoreError
from qc.record.database import Database
from qc.record.migrations import shipped_migrations, statements


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "qc.sqlite"


def _audit(connection: sqlite3.Connection, who: str) -> None:
    connection.execute(
        "INSERT INTO audit (at_us, who, via, action, detail, outcome) VALUES (1, ?, 'cli', 'x', '{}', 'ok')", (who,)
    )


def _fail_after_audit(connection: sqlite3.Connection) -> None:
    _audit(connection, "ann")
    raise ZeroDivisionError


def _names(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["who"] for row in connection.execute("SELECT who FROM audit ORDER BY audit_id")]


def test_a_write_is_committed_and_found_again_after_reopening(path: Path) -> None:
    with closing(Database(path)) as database, database.write() as connection:
        _audit(connection, "ann")
    with closing(Database(path)) as database:
        assert _names(database) == ["ann"]
        assert database.check() == []


def test_an_exception_rolls_everything_back(path: Path) -> None:
    with closing(Database(path)) as database:
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            _fail_after_audit(connection)
        assert _names(database) == []


def test_sqlite_errors_become_store_errors_that_name_the_file(path: Path) -> None:
    with closing(Database(path)) as database:
        with pytest.raises(StoreError, match=r"qc\.sqlite: no such table: ghosts"), database.write() as connection:
            connection.execute("INSERT INTO ghosts VALUES (1)")
        with database.write() as connection:
            _audit(connection, "still works")
        assert _names(database) == ["still works"]


def test_reads_cannot_change_anything(path: Path) -> None:
    with closing(Database(path)) as database, pytest.raises(StoreError, match="readonly"), database.read() as connection:
        _audit(connection, "ann")


def test_a_read_keeps_its_snapshot_while_another_thread_writes(path: Path) -> None:
    with closing(Database(path)) as database:
        with database.read() as connection:
            before = connection.execute("SELECT count(*) FROM audit").fetchone()[0]

            def write() -> None:
                with database.write() as writer:
                    _audit(writer, "ann")

            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            assert connection.execute("SELECT count(*) FROM audit").fetchone()[0] == before == 0
        assert _names(database) == ["ann"]


def test_nested_writes_are_refused_instead_of_deadlocking(path: Path) -> None:
    with (
        closing(Database(path)) as database,
        pytest.raises(StoreError, match="within a transaction"),
        database.write(),
        database.write(),
    ):
        pass


def test_a_closed_database_says_so(path: Path) -> None:
    database = Database(path)
    database.close()
    database.close()
    with pytest.raises(StoreError, match="closed"), database.read():
        pass
    with pytest.raises(StoreError, match="closed"), database.write():
        pass


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file_is_named_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"qc\.sqlite.*move it away and restore a backup"):
        Database(path)
    assert path.read_bytes() == content


def test_a_file_that_breaks_later_is_reported_too(path: Path) -> None:
    with closing(Database(path)) as database, database.write() as connection:
        for number in range(2000):
            _audit(connection, f"someone {number}")
    content = bytearray(path.read_bytes())
    content[16384:] = b"\xa5" * (len(content) - 16384)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), closing(Database(path)) as database:
        _names(database)


def test_a_newer_schema_is_refused(path: Path) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    with pytest.raises(StoreError, match=r"newer qc \(schema 9999.*update this program"):
        Database(path)


def test_an_unusable_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check that the folder exists"):
        Database(tmp_path / "file" / "qc.sqlite")


def test_migration_numbers_are_unique_and_statements_stay_whole() -> None:
    shipped = shipped_migrations()
    assert shipped[0].name == "record"
    assert len({migration.number for migration in shipped}) == len(shipped)
    script = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM b;\n  DELETE FROM c;\nEND;\nSELECT 1;\n"
    assert len(list(statements(script))) == 2


def test_an_old_file_is_backed_up_and_keeps_its_rows(path: Path) -> None:
    """A file of the first schema, filled, then opened by today's program."""
    path.parent.mkdir()
    first = shipped_migrations()[0]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(first.sql)
        _audit(connection, "old hand")
        connection.execute(
            "INSERT INTO outbox (event_id, kind, created_us, payload) VALUES ('e1', 'inspection', 5, CAST('{\"seq\": 1}' AS BLOB))"
        )
        connection.executescript(
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL);"
            "PRAGMA user_version = 1;"
        )
        connection.execute("INSERT INTO migrations VALUES (1, 'record', 'then')")
        connection.commit()
    with closing(Database(path)) as database:
        assert _names(database) == ["old hand"]
        with database.read() as reader:
            row = reader.execute("SELECT * FROM outbox").fetchone()
            numbers = {row[0] for row in reader.execute("SELECT number FROM migrations")}
        assert (row["event_id"], row["payload"]) == ("e1", b'{"seq": 1}')
        assert numbers == {migration.number for migration in shipped_migrations()}
    backup = path.with_name("qc.sqlite.v1.backup")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT who FROM audit").fetchall() == [("old hand",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_migration_that_fails_leaves_the_old_file_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(shipped_migrations()[0].sql)
        connection.executescript(
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL);"
            "INSERT INTO migrations VALUES (1, 'record', 'then'); PRAGMA user_version = 1;"
            "CREATE TABLE labels (in_the_way INTEGER);"
        )
    with pytest.raises(StoreError, match="labels already exists"):
        Database(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert "labels" in tables
    assert "tickets" not in tables, "what the same migration did before it failed is undone"


def test_several_processes_may_create_and_write_the_same_file(path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom qc.record.database import Database\n"
        "database = Database(Path(sys.argv[1]))\n"
        "for number in range(50):\n"
        "    with database.write() as connection:\n"
        "        connection.execute(\"INSERT INTO audit (at_us, who, via, action, detail, outcome) VALUES (1, ?, '', '', '{}', '')\","
        " (f'{sys.argv[2]}-{number}',))\n"
        "database.close()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", script, str(path), str(child)]) for child in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    with closing(Database(path)) as database:
        assert len(set(_names(database))) == 150
        assert database.check() == []
