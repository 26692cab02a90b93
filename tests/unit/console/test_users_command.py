"""``qc users``: the first admin is made in the terminal."""

import io
import sys
from pathlib import Path

import pytest
from tests.system.edge_process import write_settings

from qc.commands.users import UsersCommand
from qc.domain.errors import CommandError, ConfigError
from qc.record.database import Database
from qc.record.store import SqliteRecordStore

PASSWORD = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, 1883)


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))  # what a script pipes in


def test_users_come_and_go_and_every_step_is_audited(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = UsersCommand(config)
    assert command.list() == 0
    assert "--role admin" in capsys.readouterr().out
    typed(monkeypatch, PASSWORD)
    with pytest.raises(CommandError, match="first user must be an admin"):
        command.add("otto", "operator")
    typed(monkeypatch, PASSWORD)
    assert command.add("anna", "admin") == 0
    typed(monkeypatch, PASSWORD)
    assert command.add("otto", "operator") == 0
    typed(monkeypatch, PASSWORD + "2")
    assert command.password("otto") == 0
    assert command.remove("otto") == 0
    command.list()
    shown = capsys.readouterr().out
    assert "anna" in shown
    store = SqliteRecordStore(Database(config.parent / "var" / "qc.sqlite3"))
    trail = [(entry.action, entry.via, entry.outcome.split(":")[0]) for entry in store.audit_trail()]
    assert trail == [
        ("user-remove", "cli", "done"),
        ("password", "cli", "done"),
        ("user-add", "cli", "done"),
        ("user-add", "cli", "done"),
        ("user-add", "cli", "refused"),
    ]
    assert PASSWORD not in repr(store.audit_trail())


def test_an_unknown_role_is_named(config: Path) -> None:
    with pytest.raises(ConfigError, match="viewer, operator, engineer, admin"):
        UsersCommand(config).add("otto", "boss")
