"""The whole web application of one edge: pages, API, live stream, health and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from qc.console.accounts import Accounts, Role
from qc.console.api.alarms import AlarmsApi
from qc.console.api.answers import part_answer
from qc.console.api.labels import LabelsApi
from qc.console.api.line import LineApi
from qc.console.api.live import LiveApi
from qc.console.api.parts import PartsApi
from qc.console.api.quality import QualityApi
from qc.console.api.session import COOKIE, SessionApi
from qc.console.endpoint import Endpoint, Visitor, problem, routes_of
from qc.console.guard import Guard
from qc.console.health import health_routes
from qc.console.live import LiveFeed, LiveResponse, LiveStreams
from qc.console.login_guard import LoginGuard
from qc.console.metrics import EdgeMetrics
from qc.console.openapi import openapi_document
from qc.console.pictures import Pictures
from qc.console.rates import RatesReader
from qc.console.report import ReportApi
from qc.console.schema.people import SessionAnswer
from qc.domain.clock import SystemClock
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import Clock, Command
from qc.domain.record import InspectionRecord, Json
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.console_store import ConsoleStore
from qc.record.part_search import PartSearch
from qc.settings.line import HttpSettings
from qc.wiring import Edge

log = structlog.get_logger(__name__)

STATIC = Path(__file__).parent / "static"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Not a page of this edge: another site that resolves to loopback (DNS rebinding) sends another Host."""


@dataclass(frozen=True, slots=True)
class WebConsole:
    """What watches the line for the console: give it to ``build_edge`` as an observer, then to ``console_app``."""

    metrics: EdgeMetrics = field(default_factory=EdgeMetrics)
    feed: LiveFeed = field(default_factory=LiveFeed)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.metrics.inspected(record, shot, inspection)
        self.feed.inspected(record, shot, inspection)


def accounts_of(edge: Edge, settings: HttpSettings, clock: Clock | None = None) -> Accounts:
    """The users of this edge; the demo adds a one-time user to them."""
    return Accounts(ConsoleStore(edge.database), clock or SystemClock(), timedelta(hours=settings.session_hours))


def console_app(
    edge: Edge,
    settings: HttpSettings,
    console: WebConsole,
    *,
    clock: Clock | None = None,
) -> ASGIApp:
    clock = clock or SystemClock()
    return _Application(edge, settings, console, clock=clock).app


class _Application:
    def __init__(
        self,
        edge: Edge,
        settings: HttpSettings,
        console: WebConsole,
        *,
        clock: Clock,
    ) -> None:
        self._edge, self._settings, self._clock = edge, settings, clock
        on_loopback = settings.host in LOOPBACK and not settings.behind_proxy
        self._anonymous = Role.VIEWER if on_loopback and settings.anonymous_viewer else None
        self._accounts = accounts_of(edge, settings, clock)
        store, search, alarms = ConsoleStore(edge.database), PartSearch(edge.database), SqliteAlarmStore(edge.database)
        pictures = Pictures(console.feed, edge.archive)
        labels = LabelsApi(edge, clock, pictures, store)
        live = LiveApi(edge, clock, labels.waiting, lambda: self._streams.viewers)
        self._streams = LiveStreams(
            console.feed,
            lambda record: (
                part_answer(record, picture=console.feed.picture(record.event_id) is not None).model_dump_json().encode()
            ),
            lambda viewers: live.status(viewers).model_dump_json().encode(),
        )
        session = SessionApi(
            self._accounts, LoginGuard(), self._audit, self._describe,
            secure=settings.tls_cert_file is not None or settings.behind_proxy,
        )  # fmt: skip
        report = ReportApi(edge.settings.storage.directory)
        parts = PartsApi(edge, console.feed, pictures, search=search, store=store, alarms=alarms)
        self.endpoints: list[Endpoint] = [
            *session.endpoints(),
            *live.endpoints(),
            *parts.endpoints(),
            *labels.endpoints(),
            *AlarmsApi(edge.alarms, alarms, edge.control).endpoints(),
            *LineApi(edge, clock).endpoints(),
            *QualityApi(RatesReader(edge, report.url)).endpoints(),
            *report.endpoints(),
        ]
        document = openapi_document(self.endpoints, f"qc edge {edge.name}")
        routes: list[BaseRoute] = [
            *health_routes(edge, console.metrics.registry),
            Route("/api/openapi.json", lambda _request: JSONResponse(document)),
            Route("/api/v1/live", self._live),
            *routes_of(self.endpoints, self),
            Route("/", _page("index.html")),
            Route("/edges", _page("edges.html")),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        guard = Middleware(Guard, hosts=LOOPBACK if on_loopback else None, broker=settings.broker_websocket_url)
        self.app = Starlette(routes=routes, middleware=[guard], exception_handlers={404: _no_such_page, 500: _failed})

    def visitor(self, request: Request) -> Visitor:
        """Doorkeeper of the endpoints."""
        token = request.cookies.get(COOKIE, "")
        session = self._accounts.session(token) if token else None
        if session is None:
            return Visitor("", self._anonymous)
        return Visitor(session.user_name, Role(session.role), session.csrf, token)

    async def _live(self, request: Request) -> Response | LiveResponse:
        visitor = await run_in_threadpool(self.visitor, request)
        if visitor.role is None:
            return problem("not_logged_in", "log in first")
        if self._streams.full:
            return problem("busy", "too many pages watch this edge")
        return LiveResponse(self._streams)

    def _describe(self, visitor: Visitor) -> SessionAnswer:
        return SessionAnswer(
            user=visitor.name,
            role=None if visitor.role is None else visitor.role.value,
            csrf=visitor.csrf,
            login_needed=self._anonymous is None,
            edge=str(self._edge.name),
            version=version("qc-edge"),
            broker_websocket_url=self._settings.broker_websocket_url if visitor.role is not None else "",
            has_users=bool(self._accounts.users()),
        )

    def _audit(self, who: str, action: str, detail: Mapping[str, Json], outcome: str) -> None:
        self._edge.control.audit(Command(action, detail, who, "http"), outcome)


def _page(name: str) -> Callable[[Request], Response]:
    def page(_request: Request) -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return page


async def _no_such_page(request: Request, _error: Exception) -> Response:
    return problem("not_found", f"there is no {request.url.path[:100]}")


async def _failed(request: Request, _error: Exception) -> Response:
    log.error("console_request_failed", path=request.url.path[:100], method=request.method)
    return JSONResponse({"error": "internal", "message": "the console failed at this; the edge's log has the details"}, 500)
