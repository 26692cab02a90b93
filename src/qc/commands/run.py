"""``qc run``: one edge process until a signal, or until every finite source has ended."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from qc.commands.logs import set_up_logs
from qc.commands.notify import ServiceNotifier
from qc.console.app import WebConsole, console_app
from qc.console.server import HttpServer
from qc.settings import LineSettings, load_line, load_recipes
from qc.wiring import Edge, build_edge

log = structlog.get_logger(__name__)

_LOOK_S = 0.25
_DELIVERY_S = 5.0
"""How long an edge whose sources have ended waits for the broker to take the last events."""


def run(config: Path) -> int:
    """Exit code 0 after a clean stop. Raises QcError when it cannot start."""
    settings = load_line(config)
    recipes = load_recipes(settings.recipes.directory)
    set_up_logs(settings.logging.level, settings.logging.format)
    console = WebConsole()
    edge = build_edge(settings, recipes, observers=[console])
    server = serve(edge, settings, console)
    try:
        run_edge(edge, stop_on_signals())
    finally:
        if server is not None:
            server.close()
    return 0


def run_edge(
    edge: Edge, stop: threading.Event, *, notifier: ServiceNotifier | None = None, tick: Callable[[], None] | None = None
) -> None:
    """Run a built edge until ``stop`` is set or its sources have ended; ``tick`` is called a few times a second."""
    notifier = notifier or ServiceNotifier()
    edge.start()
    notifier.ready(f"inspecting {edge.line.setup.recipe.variant} with {edge.line.setup.recipe.model_id}")
    log.info("edge_started", edge=str(edge.name), variant=edge.line.setup.recipe.variant, model=edge.line.setup.recipe.model_id)
    try:
        while not stop.wait(_LOOK_S) and not edge.line.finished():
            if edge.line.healthy():
                notifier.alive()
            if tick is not None:
                tick()
        if edge.line.finished():
            edge.line.stop()
            _let_events_go(edge, stop)
    finally:
        notifier.stopping()
        edge.stop()
        log.info("edge_stopped", edge=str(edge.name))


def serve(edge: Edge, settings: LineSettings, console: WebConsole) -> HttpServer | None:
    """Start the HTTP server of an edge; None when it is switched off. Raises ConfigError for a busy port."""
    if not settings.http.enabled:
        return None
    console.metrics.watch(edge)
    server = HttpServer(
        console_app(edge, settings.http, console),
        settings.http.host,
        settings.http.port,
        cert_file=settings.http.tls_cert_file,
        key_file=settings.http.tls_key_file,
        behind_proxy=settings.http.behind_proxy,
    )
    server.start()
    return server


def stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set; a second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


def _let_events_go(edge: Edge, stop: threading.Event) -> None:
    waited_s = 0.0
    while waited_s < _DELIVERY_S and not stop.is_set() and edge.publisher.status().connected:
        if edge.store.depth().rows == 0:
            return
        stop.wait(_LOOK_S)
        waited_s += _LOOK_S
