"""``qc demo``: the whole product on real images, with an embedded broker and a changeover in the middle."""

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import structlog
from rich.console import Console
from rich.live import Live

from qc.commands.demo_cells import Cell, CellFeed, choose_cells
from qc.commands.demo_view import DemoView, closing_words, opening_words
from qc.commands.embedded_broker import EmbeddedBroker, free_port
from qc.commands.logs import set_up_logs
from qc.commands.run import run_edge, serve, stop_on_signals
from qc.console.accounts import Role
from qc.console.app import WebConsole, accounts_of
from qc.domain.errors import ConfigError, QcError
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.ingest.camera import TriggeredCamera
from qc.ingest.trigger import EachFrame
from qc.publish.client import CommandClient, EdgeWatcher
from qc.publish.topics import EdgeName
from qc.settings import LineSettings, load_line, load_recipes
from qc.wiring import Edge, build_edge
from qc.wiring.broker import mqtt_options

log = structlog.get_logger(__name__)

FIRST, SECOND = "solar-mono", "solar-poly"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """parts: half of them monocrystalline, half polycrystalline. directory: None keeps nothing."""

    parts: int
    rate_hz: float
    mqtt_port: int
    http_port: int
    ui: bool
    directory: Path | None = None


def demo(options: DemoOptions) -> int:
    """Exit code 0 when every part has exactly one record and was received over MQTT exactly once; 1 otherwise."""
    checkout = _checkout()
    with ExitStack() as stack:
        directory = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qc-demo-")))
        set_up_logs("info", "json", stack.enter_context(_log_file(directory)))
        broker = stack.enter_context(EmbeddedBroker(options.mqtt_port))
        settings = _settings(checkout, directory, broker.port, free_port(options.http_port))
        mono, poly = choose_cells((options.parts + 1) // 2, options.parts // 2, checkout / "models" / "solar-mono-1")
        feed = CellFeed("cam1", mono, poly, options.rate_hz)
        web, audience = WebConsole(), Audience(mono + poly)
        edge = build_edge(
            settings,
            load_recipes(settings.recipes.directory),
            cameras=[TriggeredCamera(feed, EachFrame())],
            observers=[web, audience],
        )
        server = serve(edge, settings, web)
        if server is not None:
            stack.callback(server.close)
        stop = stop_on_signals()
        listener = Listener(settings, edge.name)
        listener.start()
        changeover = Changeover(settings, edge.name, feed, stop)
        threading.Thread(target=changeover.after, args=(audience, len(mono)), daemon=True).start()
        if options.ui:
            view = DemoView(edge, audience, options.parts)
            console = Console()
            password = accounts_of(edge, settings.http).one_time_user("demo", Role.ENGINEER)
            console.print(opening_words(settings, edge.name, password), soft_wrap=True)
            with Live(view.render(console.width), console=console, refresh_per_second=4, transient=False) as live:
                run_edge(edge, stop, tick=lambda: live.update(view.render(console.width)))
                live.update(view.render(console.width))
        else:
            run_edge(edge, stop)
        listener.close(patience_s=0.2 if stop.is_set() else 3.0)
        summary = audience.summary(edge) | {"received_over_mqtt": listener.parts, "received_twice": listener.repeats}
        if options.ui:
            console.print(closing_words(summary, interrupted=stop.is_set(), directory=options.directory))
        else:
            print(json.dumps(summary))
        complete = summary["parts"] == options.parts == listener.parts
        return 0 if complete or stop.is_set() else 1


class Audience:
    """An observer that counts what the demo shows; knows the truth of each cell from the data set."""

    def __init__(self, cells: list[Cell]) -> None:
        self.last: list[InspectionRecord] = []
        self._truth = {cell.part_id: cell.defective for cell in cells}
        self._counts: Counter[tuple[str, Decision, bool]] = Counter()

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.last = [*self.last[-39:], record]
        self._counts[record.variant, record.verdict.decision, self._truth[record.part_id]] += 1

    def parts(self) -> int:
        return sum(self._counts.copy().values())

    def by_variant(self) -> dict[str, dict[str, int]]:
        """Verdicts per variant, and how the cells that the data set calls defective or good fared."""
        table: dict[str, dict[str, int]] = {}
        for (variant, decision, defective), count in sorted(self._counts.copy().items()):
            row = table.setdefault(variant, Counter())
            row[decision.value] += count
            row["defective" if defective else "good"] += count
            if decision in (Decision.NG, Decision.REVIEW):
                row["defective_caught" if defective else "good_rejected"] += count
        return {variant: dict(row) for variant, row in table.items()}

    def summary(self, edge: Edge) -> dict[str, object]:
        status, publisher = edge.line.status(), edge.publisher.status()
        return {
            "parts": self.parts(),
            "ok": status.ok,
            "ng": status.ng,
            "review": status.review,
            "not_inspected": status.not_inspected,
            "variants": self.by_variant(),
            "halts": status.halts,
            "alarms": [f"{alarm.quantity}/{alarm.slice}: {alarm.message}" for alarm in edge.alarms.open_alarms()],
            "parts_per_s": round(status.parts_per_s, 2),
            "latency_p50_ms": round(status.latency_p50_ms, 1),
            "latency_p99_ms": round(status.latency_p99_ms, 1),
            "outbox_events": publisher.depth.rows if publisher.depth else 0,
            "acknowledged_events": publisher.acked,
        }


class Listener(threading.Thread):
    """Somebody else on the broker, who counts the inspections that arrive there."""

    def __init__(self, settings: LineSettings, name: EdgeName) -> None:
        super().__init__(name="demo-listener", daemon=True)
        self.parts = self.repeats = 0
        self._watcher = EdgeWatcher(mqtt_options(settings.mqtt), name)
        self._watcher.__enter__()
        self._closing = threading.Event()

    def run(self) -> None:
        seen: set[object] = set()
        while True:
            message = self._watcher.next(0.2)
            if message is None:
                if self._closing.is_set():
                    return
                continue
            if message.leaf == "evt/inspection":
                self.repeats += message.body.get("event_id") in seen
                seen.add(message.body.get("event_id"))
                self.parts = len(seen)

    def close(self, patience_s: float) -> None:
        self._closing.set()
        self.join(patience_s)
        self._watcher.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Changeover:
    """What an operator's console would send after the last cell of the first kind."""

    settings: LineSettings
    name: EdgeName
    feed: CellFeed
    stop: threading.Event

    def after(self, audience: Audience, parts: int) -> None:
        while audience.parts() < parts:
            if self.stop.wait(0.05):
                return
        try:
            with CommandClient(mqtt_options(self.settings.mqtt), self.name) as client:
                client.send("recipe", {"variant": SECOND})
        except QcError as error:
            log.error("changeover_failed", error=str(error))
            self.stop.set()
        self.feed.go_on.set()


def _log_file(directory: Path) -> TextIO:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return (directory / "demo.log").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--directory {directory}: {error.strerror}") from None


def _checkout() -> Path:
    root = Path(__file__).resolve().parents[3]
    if not (root / "models" / "solar-mono-1" / "card.json").is_file():
        raise ConfigError(f"{root}: the demo needs the project's checkout (models/, configs/); install it with: pip install -e .")
    return root


def _settings(checkout: Path, directory: Path, mqtt_port: int, http_port: int) -> LineSettings:
    """The shipped line settings, kept in the demo's folder and pointed at its broker."""
    shipped = load_line(checkout / "configs" / "line.toml", {})
    changes: Mapping[str, object] = {
        "storage": shipped.storage.model_copy(update={"directory": directory, "min_free_mb": 50.0, "image_budget_mb": 200.0}),
        "mqtt": shipped.mqtt.model_copy(update={"port": mqtt_port}),
        "http": shipped.http.model_copy(update={"port": http_port}),
        "recipes": shipped.recipes.model_copy(update={"active": FIRST}),
    }
    return shipped.model_copy(update=dict(changes))
