"""Users, passwords and sessions."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qc.console.accounts import Accounts, Role
from qc.console.login_guard import FAILURES, WINDOW_S, LoginGuard
from qc.domain.errors import CommandError
from qc.record.console_store import ConsoleStore
from qc.record.database import Database

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Accounts:
    made = Accounts(ConsoleStore(Database(tmp_path / "qc.sqlite3")), clock, timedelta(hours=12))
    made.add("anna", Role.ADMIN, PASSWORD)
    return made


def test_roles_are_a_ladder() -> None:
    assert Role.ADMIN.may(Role.VIEWER)
    assert Role.OPERATOR.may(Role.OPERATOR)
    assert not Role.OPERATOR.may(Role.ENGINEER)


def test_the_first_user_must_be_an_admin(tmp_path: Path, clock: Clock) -> None:
    accounts = Accounts(ConsoleStore(Database(tmp_path / "qc.sqlite3")), clock)
    with pytest.raises(CommandError, match="first user must be an admin"):
        accounts.add("otto", Role.OPERATOR, PASSWORD)


@pytest.mark.parametrize(
    ("name", "password", "code"),
    [
        ("anna", PASSWORD, "taken"),
        ("a b", PASSWORD, "bad_value"),
        ("", PASSWORD, "bad_value"),
        ("x" * 41, PASSWORD, "bad_value"),
        ("bob\n", PASSWORD, "bad_value"),
        ("bob", "short", "bad_value"),
        ("bob", "x" * 201, "bad_value"),
    ],
)
def test_bad_users_are_refused(accounts: Accounts, name: str, password: str, code: str) -> None:
    with pytest.raises(CommandError) as refused:
        accounts.add(name, Role.VIEWER, password)
    assert refused.value.code == code
    assert [user.name for user in accounts.users()] == ["anna"]


def test_only_the_right_password_opens_a_session(accounts: Accounts) -> None:
    assert accounts.log_in("anna", PASSWORD + "x") is None
    assert accounts.log_in("nobody", PASSWORD) is None
    login = accounts.log_in("anna", PASSWORD)
    assert login is not None
    session = accounts.session(login.token)
    assert session is not None
    assert (session.user_name, session.role, session.csrf) == ("anna", "admin", login.csrf)
    assert accounts.session(login.csrf) is None


def test_neither_passwords_nor_cookies_are_stored(accounts: Accounts, tmp_path: Path) -> None:
    login = accounts.log_in("anna", PASSWORD)
    assert login is not None
    connection = sqlite3.connect(tmp_path / "qc.sqlite3")
    stored = repr(connection.execute("SELECT * FROM console_users").fetchall())
    stored += repr(connection.execute("SELECT * FROM console_sessions").fetchall())
    connection.close()
    assert "argon2id" in stored
    assert PASSWORD not in stored
    assert login.token not in stored


def test_sessions_expire_and_end(accounts: Accounts, clock: Clock) -> None:
    first, second, third = (accounts.log_in("anna", PASSWORD) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    accounts.log_out(first.token)
    assert accounts.session(first.token) is None
    assert accounts.session(second.token) is not None
    clock.at += timedelta(hours=12)
    assert accounts.session(second.token) is None


def test_a_new_password_and_a_removal_end_all_sessions(accounts: Accounts) -> None:
    accounts.add("otto", Role.OPERATOR, PASSWORD)
    login = accounts.log_in("otto", PASSWORD)
    assert login is not None
    accounts.set_password("otto", "another long one")
    assert accounts.session(login.token) is None
    again = accounts.log_in("otto", "another long one")
    assert again is not None
    accounts.remove("otto")
    assert accounts.session(again.token) is None
    with pytest.raises(CommandError, match="no user"):
        accounts.remove("otto")


def test_the_last_admin_stays(accounts: Accounts) -> None:
    with pytest.raises(CommandError, match="only admin"):
        accounts.remove("anna")


def test_a_one_time_user_needs_no_admin(tmp_path: Path, clock: Clock) -> None:
    accounts = Accounts(ConsoleStore(Database(tmp_path / "qc.sqlite3")), clock)
    password = accounts.one_time_user("demo", Role.ENGINEER)
    login = accounts.log_in("demo", password)
    assert login is not None
    assert login.role is Role.ENGINEER
    assert accounts.one_time_user("demo", Role.ENGINEER) != password


def test_guessing_is_slowed_down_per_address_and_per_name() -> None:
    now = [1000.0]
    guard = LoginGuard(lambda: now[0])
    for _ in range(FAILURES):
        assert guard.wait_s("10.0.0.1", "anna") == 0
        guard.failed("10.0.0.1", "anna")
    assert guard.wait_s("10.0.0.1", "other") == WINDOW_S
    assert guard.wait_s("10.0.0.2", "anna") == WINDOW_S
    assert guard.wait_s("10.0.0.2", "other") == 0
    now[0] += WINDOW_S
    assert guard.wait_s("10.0.0.1", "anna") == 0


def test_a_success_forgives() -> None:
    guard = LoginGuard(lambda: 0.0)
    for _ in range(FAILURES):
        guard.failed("10.0.0.1", "anna")
    guard.succeeded("10.0.0.1", "anna")
    assert guard.wait_s("10.0.0.1", "anna") == 0


def test_a_flood_of_names_does_not_fill_the_memory() -> None:
    guard = LoginGuard(lambda: 0.0)
    for number in range(5000):
        guard.failed("10.0.0.1", f"name{number}")
    assert len(guard._failures) <= 2000
