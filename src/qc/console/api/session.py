"""Logging in and out, and the list of users."""

from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from qc.console.accounts import Accounts, Role
from qc.console.endpoint import Call, Endpoint, Refused, Visitor
from qc.console.login_guard import LoginGuard
from qc.console.schema.base import Done
from qc.console.schema.people import LoginBody, PasswordBody, SessionAnswer, UserAnswer, UserBody, UsersAnswer
from qc.domain.errors import CommandError
from qc.domain.record import Json

COOKIE = "qc_session"
Audit = Callable[[str, str, dict[str, Json], str], None]
"""(who, action, detail, outcome)"""


class SessionApi:
    """secure: the cookie travels over TLS only. describe: the edge's facts for the page."""

    def __init__(
        self, accounts: Accounts, guard: LoginGuard, audit: Audit, describe: Callable[[Visitor], SessionAnswer], *, secure: bool
    ) -> None:
        self._accounts, self._guard, self._audit = accounts, guard, audit
        self._describe, self._secure = describe, secure

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/v1/session", self._who, SessionAnswer, "Who am I, and what edge is this?", role=None, tag="session"),
            Endpoint(
                "POST", "/api/v1/session", self._log_in, SessionAnswer, "Log in", role=None, body=LoginBody, tag="session",
                errors=(401, 403, 429),
            ),
            Endpoint("DELETE", "/api/v1/session", self._log_out, Done, "Log out", role=Role.VIEWER, tag="session"),
            Endpoint(
                "POST", "/api/v1/session/password", self._change, Done, "Change my password; every session of mine ends",
                role=Role.VIEWER, body=PasswordBody, tag="session", errors=(401, 409, 429),
            ),
            Endpoint("GET", "/api/v1/users", self._users, UsersAnswer, "Everybody who may log in", role=Role.ADMIN, tag="session"),
            Endpoint(
                "POST", "/api/v1/users", self._add, Done, "Add a user", role=Role.ADMIN, body=UserBody, tag="session", errors=(409,)
            ),
            Endpoint(
                "DELETE", "/api/v1/users/{name}", self._remove, Done, "Remove a user; their sessions end", role=Role.ADMIN,
                tag="session", errors=(404, 409),
            ),
        ]  # fmt: skip

    def _who(self, call: Call) -> SessionAnswer:
        return self._describe(call.visitor)

    def _log_in(self, call: Call) -> Response:
        name, address = call.body.name, call.request.client.host if call.request.client else ""
        if call.request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused("forbidden", "logging in works from the console's own page only")
        self._check_guard(address, name)
        login = self._accounts.log_in(name, call.body.password)
        if login is None:
            self._guard.failed(address, name)
            self._audit(name[:40], "login", {"address": address}, "refused: wrong_login")
            raise Refused("wrong_login", "user name or password is wrong")
        self._guard.succeeded(address, name)
        self._audit(login.user, "login", {"address": address}, "done")
        answer = self._describe(Visitor(login.user, login.role, login.csrf, login.token))
        response = JSONResponse(answer.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE, login.token, expires=login.expires_at, path="/", httponly=True, samesite="strict", secure=self._secure
        )
        return response

    def _log_out(self, call: Call) -> Response:
        self._accounts.log_out(call.visitor.token)
        self._audit(call.visitor.name, "logout", {}, "done")
        response = JSONResponse(Done().model_dump(mode="json"), headers={"Cache-Control": "no-store"})
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=self._secure)
        return response

    def _change(self, call: Call) -> Done:
        name, address = call.visitor.name, call.request.client.host if call.request.client else ""
        self._check_guard(address, name)
        if not self._accounts.is_password(name, call.body.old):
            self._guard.failed(address, name)
            raise Refused("wrong_login", "the old password is wrong")
        self._accounts.set_password(name, call.body.new)
        self._audit(name, "password", {"user": name}, "done")
        return Done()

    def _users(self, call: Call) -> UsersAnswer:
        users = self._accounts.users()
        return UsersAnswer(users=[UserAnswer(name=u.name, role=u.role, created_at=u.created_at) for u in users])

    def _add(self, call: Call) -> Done:
        body = call.body
        return self._audited(call, "user-add", body.name, lambda: self._accounts.add(body.name, Role(body.role), body.password))

    def _remove(self, call: Call) -> Done:
        name = call.path["name"]
        return self._audited(call, "user-remove", name, lambda: self._accounts.remove(name))

    def _audited(self, call: Call, action: str, name: str, work: Callable[[], None]) -> Done:
        detail: dict[str, Json] = {"user": name[:60]}
        try:
            work()
        except CommandError as error:
            self._audit(call.visitor.name, action, detail, f"refused: {error.code}: {error}")
            raise
        self._audit(call.visitor.name, action, detail, "done")
        return Done()

    def _check_guard(self, address: str, name: str) -> None:
        wait_s = self._guard.wait_s(address, name)
        if wait_s > 0:
            headers = {"Retry-After": str(round(wait_s) + 1)}
            raise Refused("too_many_attempts", f"too many failed logins; try again in {round(wait_s) + 1} s", headers)
