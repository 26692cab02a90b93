"""One typed description per API call: routes, checks and the OpenAPI document all come from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qc.console.accounts import Role
from qc.console.schema.base import Problem
from qc.domain.errors import CommandError, LabelError, QcError, StoreError, UnknownPart
from qc.domain.ports import Command

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024
STATUS_OF_CODE = {
    "not_logged_in": 401,
    "wrong_login": 401,
    "forbidden": 403,
    "csrf": 403,
    "not_found": 404,
    "unknown_ticket": 404,
    "unknown_part": 404,
    "unknown_command": 404,
    "unknown_challenge": 404,
    "too_large": 413,
    "media_type": 415,
    "bad_request": 422,
    "too_many_attempts": 429,
    "busy": 503,
    "internal": 503,
    "store": 503,
}
"""Every other code (of commands and labels) is a conflict with the state of the line: 409."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. name is empty for somebody who is not logged in."""

    name: str
    role: Role | None
    csrf: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request. query and body are instances of the endpoint's models."""

    request: Request
    visitor: Visitor
    path: dict[str, str]
    query: Any
    body: Any

    def command(self, name: str, body: dict[str, Any]) -> Command:
        """What the visitor asks the line to do; ``control`` audits it under this name."""
        return Command(name, body, self.visitor.name, "http")


Handler = Callable[[Call], BaseModel | Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """role None: open to everybody who may see the page at all (the login itself). answer: model or media type.

    acts: changes something, so it needs the CSRF token of the session. errors: codes this call may answer with besides the usual.
    """

    method: str
    path: str
    handler: Handler
    answer: type[BaseModel] | str
    summary: str
    role: Role | None = Role.VIEWER
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    tag: str = "line"
    errors: tuple[int, ...] = ()
    path_help: dict[str, str] = field(default_factory=dict)

    @property
    def acts(self) -> bool:
        return self.method != "GET"


class Doorkeeper(Protocol):
    """Says who a request comes from and what it may do."""

    def visitor(self, request: Request) -> Visitor: ...


class Refused(QcError):
    """A request that is not carried out."""

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}


def routes_of(endpoints: Iterable[Endpoint], door: Doorkeeper) -> list[Route]:
    """One route per path; a method that a path does not have is answered with 405."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [Route(path, _serve(methods, door), methods=list(methods)) for path, methods in by_path.items()]


def _serve(methods: dict[str, Endpoint], door: Doorkeeper) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        try:
            body = await _read_body(request) if endpoint.body is not None else b""
        except ClientDisconnect:
            return Response(status_code=400)
        except Refused as refused:
            return problem(refused.code, str(refused))
        return await run_in_threadpool(_answer, endpoint, door, request, body)

    return serve


def _answer(endpoint: Endpoint, door: Doorkeeper, request: Request, body: bytes) -> Response:
    """Every error of the product becomes a Problem; anything else is a bug and a 500."""
    try:
        answer = _handle(endpoint, door, request, body)
    except Refused as refused:
        return problem(refused.code, str(refused), refused.headers)
    except (CommandError, LabelError) as error:
        return problem(error.code, str(error))
    except UnknownPart as error:
        return problem("not_found", str(error))
    except QcError as error:
        log.warning("console_request_refused", path=endpoint.path, error=str(error))
        return problem("store" if isinstance(error, StoreError) else "refused", str(error))
    return answer


def _handle(endpoint: Endpoint, door: Doorkeeper, request: Request, body: bytes) -> Response:
    visitor = door.visitor(request)
    _check_rights(endpoint, visitor, request)
    path = {name: str(value) for name, value in request.path_params.items()}
    call = Call(request, visitor, path, _parsed_query(endpoint, request), _parsed_body(endpoint, body))
    answer = endpoint.handler(call)
    if isinstance(answer, Response):
        return answer
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


def problem(code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    status = STATUS_OF_CODE.get(code, 409)
    content = Problem(error=code, message=message).model_dump()
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _check_rights(endpoint: Endpoint, visitor: Visitor, request: Request) -> None:
    if endpoint.role is None:
        return
    if visitor.role is None or (endpoint.acts and not visitor.name):
        raise Refused("not_logged_in", "log in first")
    if not visitor.role.may(endpoint.role):
        raise Refused("forbidden", f"this needs the role {endpoint.role.value}; {visitor.name or 'a visitor'} is {visitor.role}")
    if endpoint.acts and request.headers.get("x-csrf-token") != visitor.csrf:
        raise Refused("csrf", "the CSRF token is missing or old; load the page again")


async def _read_body(request: Request) -> bytes:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refused("media_type", "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refused("too_large", f"at most {MAX_BODY_BYTES} bytes are accepted")
    return bytes(body)


M = TypeVar("M", bound=BaseModel)


def _parsed_query(endpoint: Endpoint, request: Request) -> BaseModel | None:
    if endpoint.query is None:
        return None
    given = {key: value for key, value in request.query_params.items() if value != ""}
    return _checked(lambda model: model.model_validate(given), endpoint.query)


def _parsed_body(endpoint: Endpoint, body: bytes) -> BaseModel | None:
    if endpoint.body is None:
        return None
    return _checked(lambda model: model.model_validate_json(body or b"{}"), endpoint.body)


def _checked(parse: Callable[[type[M]], M], model: type[M]) -> M:
    try:
        return parse(model)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)[:3]
        text = "; ".join(f"{'.'.join(str(step) for step in fault['loc'])}: {fault['msg']}" for fault in faults)
        raise Refused("bad_request", text[:500]) from None
