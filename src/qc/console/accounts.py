"""Who may use the console: users with roles, passwords hashed with argon2id, logins that expire."""

import hashlib
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from qc.domain.errors import CommandError
from qc.domain.ports import Clock
from qc.record.console_store import ConsoleStore, SessionRow, UserRow

MIN_PASSWORD = 10
MAX_PASSWORD = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,39}")
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's parameters for argon2id (password storage cheat sheet, 2024): 19 MiB, about 30 ms of one core."""


class Role(StrEnum):
    """Weakest first; every role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Login:
    """token goes into the cookie and is stored nowhere; csrf is what the page sends along with every action."""

    token: str
    csrf: str
    user: str
    role: Role
    expires_at: datetime


class Accounts:
    """Users and sessions. Thread-safe. session_lifetime: a login ends after it, however busy."""

    def __init__(self, store: ConsoleStore, clock: Clock, session_lifetime: timedelta = timedelta(hours=12)) -> None:
        self._store = store
        self._clock = clock
        self._lifetime = session_lifetime
        self._one_at_a_time = threading.Lock()  # a flood of logins must cost the line at most one core for a moment
        self._nobody = _HASHER.hash(secrets.token_hex(8))

    def users(self) -> list[UserRow]:
        return self._store.users()

    def add(self, name: str, role: Role, password: str) -> None:
        """Raises CommandError: ``bad_value``, ``taken``; and ``admin_first`` while there is no admin."""
        if not _NAME.fullmatch(name):
            raise CommandError("bad_value", f"user name {name[:60]!r}: 1 to 40 letters, digits, '.', '_', '@' or '-'")
        users = self._store.users()
        if any(user.name == name for user in users):
            raise CommandError("taken", f"there is a user {name!r} already")
        if role is not Role.ADMIN and not any(user.role == Role.ADMIN for user in users):
            raise CommandError("admin_first", "the first user must be an admin: add one with --role admin")
        self._put(name, role, password)

    def set_password(self, name: str, password: str) -> None:
        """Ends the user's sessions. Raises CommandError."""
        user = self._existing(name)
        self._put(name, Role(user.role), password)

    def remove(self, name: str) -> None:
        """Raises CommandError: ``not_found``, or ``last_admin``."""
        user = self._existing(name)
        admins = [other for other in self._store.users() if other.role == Role.ADMIN]
        if user.role == Role.ADMIN and len(admins) == 1:
            raise CommandError("last_admin", f"{name} is the only admin; add another one first")
        self._store.remove_user(name)

    def one_time_user(self, name: str, role: Role) -> str:
        """A user with a new random password, which is returned; for demos and tests, whose store is thrown away."""
        password = "-".join(secrets.token_hex(2) for _ in range(3))
        self._put(name, role, password)
        return password

    def log_in(self, name: str, password: str) -> Login | None:
        """None when name or password is wrong; both cases take the same time."""
        user = self._store.user(name) if _NAME.fullmatch(name) else None
        if not self._matches(user.password_hash if user else self._nobody, password) or user is None:
            return None
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now = self._clock.now()
        login = Login(token, csrf, user.name, Role(user.role), now + self._lifetime)
        self._store.open_session(_digest(token), user.name, csrf, now, login.expires_at)
        return login

    def session(self, token: str) -> SessionRow | None:
        return self._store.session(_digest(token), self._clock.now())

    def log_out(self, token: str) -> None:
        self._store.close_session(_digest(token))

    def is_password(self, name: str, password: str) -> bool:
        return self._matches(self._existing(name).password_hash, password)

    def _put(self, name: str, role: Role, password: str) -> None:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise CommandError("bad_value", f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        self._store.put_user(UserRow(name, role.value, _HASHER.hash(password), self._clock.now()))

    def _existing(self, name: str) -> UserRow:
        user = self._store.user(name)
        if user is None:
            raise CommandError("not_found", f"there is no user {name[:60]!r}")
        return user

    def _matches(self, password_hash: str, password: str) -> bool:
        with self._one_at_a_time:
            try:
                return _HASHER.verify(password_hash, password[: MAX_PASSWORD + 1])
            except (VerificationError, InvalidHashError):
                return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
