"""A real edge with its console, in this process: generated metal plates, a model that finds dark spots, users of every role."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from qc.console.accounts import Role
from qc.console.app import WebConsole, accounts_of, console_app
from qc.console.server import HttpServer
from qc.domain.frame import Pixels
from qc.ingest.camera import TriggeredCamera
from qc.ingest.lossless import Item, LosslessSource, Picture
from qc.ingest.trigger import EachFrame
from qc.inspection.tiny import write_tiny_bundle
from qc.settings import load_line, load_recipes
from qc.wiring import build_edge

PASSWORD = "correct horse battery"
USERS = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "olga": Role.OPERATOR, "emil": Role.ENGINEER, "anna": Role.ADMIN}

_LINE = """
[edge]
site = "plant1"
area = "press"
line = "line2"
edge = "{edge}"
[[cameras]]
id = "cam1"
source = {{ kind = "folder", path = "in" }}
trigger = {{ kind = "each_frame" }}
[models]
directory = "models"
[recipes]
directory = "recipes"
active = "plate-a"
[storage]
directory = "var"
min_free_mb = 1
ok_share = 1.0
[mqtt]
enabled = {mqtt}
port = {port}
[http]
port = 0
broker_websocket_url = "{websocket}"
"""
_RECIPE = """
variant = "{variant}"
model = "spots"
review_at = {review_at}
reject_at = {reject_at}
deadline_ms = 60000
roi = [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]
[halt]
run_rejects = {run_rejects}
run_parts = 40
baseline_reject_rate = 0.4
[sampling]
labels_per_window = {labels}
expected_parts_per_window = {expected}
"""


def plate(depth: float, rng: np.random.Generator, side: int = 480) -> Pixels:
    """A brushed metal plate with one dark spot; the model scores about ``depth`` (0 none, 1 black)."""
    lines = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), sigmaX=14, sigmaY=0.6)
    grey = 168 + 34 * lines + 5 * rng.normal(0, 1, (side, side))
    y, x = np.mgrid[0:side, 0:side]
    for cx, cy in ((0.14, 0.14), (0.86, 0.14), (0.14, 0.86), (0.86, 0.86)):
        ring = np.hypot(x - cx * side, y - cy * side)
        grey = np.where(np.abs(ring - 14) < 1.5, grey - 26, grey)
    if depth > 0:
        cx, cy = rng.uniform(0.25, 0.75, 2) * side
        angle, long, wide = rng.uniform(0, np.pi), rng.uniform(26, 40), rng.uniform(15, 20)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        grey -= depth * 132 * np.exp(-np.maximum(0, (u / long) ** 2 + (v / wide) ** 2 - 0.4) * 1.6)
    cool = np.stack([grey * 1.03, grey, grey * 0.96], axis=-1)
    return np.clip(cool, 0, 255).astype(np.uint8)


class PlateFeed(LosslessSource):
    """Plates when ``push`` says so, and by itself at ``rate_hz`` while that is set."""

    def __init__(self, rate_hz: float = 0.0, defect_share: float = 0.2) -> None:
        super().__init__("cam1", poll_s=0.01)
        self.rate_hz, self._share = rate_hz, defect_share
        self._asked: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
        self._numbers = iter(range(10**9))
        self._stock: list[tuple[bool, Pixels]] = []

    def push(self, depth: float) -> str:
        number = next(self._numbers)
        self._asked.put((depth, number))
        return f"plate-{number:05d}"

    def _items(self) -> Iterator[Item]:
        rng = np.random.default_rng(7)
        due_s = time.monotonic()
        while True:
            try:
                depth, number = self._asked.get(timeout=0.02)
            except queue.Empty:
                if self.rate_hz <= 0 or time.monotonic() < due_s:
                    yield None
                    continue
                due_s = max(due_s, time.monotonic() - 1) + 1 / self.rate_hz
                depth, number = self._depth(rng), next(self._numbers)
            yield Picture(plate(depth, rng), f"plate-{number:05d}", f"plate-{number:05d}.png")

    def _depth(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(0.4, 1.0)) if rng.random() < self._share else 0.0


class Stage:
    """Context manager. feed: push plates. url, login of every user in USERS with PASSWORD."""

    def __init__(
        self,
        folder: Path,
        *,
        rate_hz: float = 0.0,
        defect_share: float = 0.2,
        mqtt_port: int | None = None,
        websocket: str = "",
        labels: int = 5000,
        expected: int = 5000,
        run_rejects: int = 38,
        edge: str = "edge1",
        users: bool = True,
    ) -> None:
        self.folder, self.feed = folder, PlateFeed(rate_hz, defect_share)
        self._users = users
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        (folder / "in").mkdir(exist_ok=True)
        if not (folder / "models").exists():
            write_tiny_bundle(folder / "models", "spots", height=128, width=128, kind="contrast")
        for variant, review_at, reject_at in (("plate-a", 0.42, 0.55), ("plate-b", 0.5, 0.65)):
            text = _RECIPE.format(
                variant=variant,
                review_at=review_at,
                reject_at=reject_at,
                labels=labels,
                expected=expected,
                run_rejects=run_rejects,
            )
            (folder / "recipes" / f"{variant}.toml").write_text(text)
        text = _LINE.format(edge=edge, mqtt=str(mqtt_port is not None).lower(), port=mqtt_port or 1883, websocket=websocket)
        (folder / "line.toml").write_text(text)
        self._stack = ExitStack()

    def __enter__(self) -> "Stage":
        settings = load_line(self.folder / "line.toml", {})
        self.web = WebConsole()
        camera = TriggeredCamera(self.feed, EachFrame())
        self.edge = build_edge(settings, load_recipes(settings.recipes.directory), cameras=[camera], observers=[self.web])
        self._stack.callback(self.edge.database.close)
        self.accounts = accounts_of(self.edge, settings.http)
        if self._users and not self.accounts.users():
            for name, role in sorted(USERS.items(), key=lambda item: item[1] is not Role.ADMIN):
                self.accounts.add(name, role, PASSWORD)
        self.web.metrics.watch(self.edge)
        self.server = HttpServer(console_app(self.edge, settings.http, self.web), settings.http.host, settings.http.port)
        self._stack.callback(self.server.close)
        self.server.start()
        self.edge.start()
        self._stack.callback(self.edge.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self.server.url

    def push(self, *depths: float) -> list[str]:
        """Send plates through and wait until each has its record; their part ids."""
        names = [self.feed.push(depth) for depth in depths]
        give_up_s = time.monotonic() + 30
        while not all(self.edge.store.by_part(name) for name in names[-1:]):
            assert time.monotonic() < give_up_s, "the line did not inspect the plates"
            threading.Event().wait(0.02)
        return names
