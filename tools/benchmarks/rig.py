"""A real edge (SQLite on disk, image archive, outbox; no broker) fed from memory, for benchmarks."""

import queue
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from qc.commands.demo_cells import choose_cells
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError, EndOfStream
from qc.domain.frame import CameraState, CameraStatus, Frame, Pixels, Shot, SourceStatus
from qc.domain.inspection import Inspection
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord
from qc.ingest.health import FrameHealth
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge

ROOT = Path(__file__).resolve().parents[2]
CLOCK = SystemClock()


class MemoryCamera:
    """A Camera whose frames lie in memory, decoded or as JPEG bytes; lossless, as fast as the line takes them."""

    lossless = True

    def __init__(self, frames: list[Pixels] | list[bytes]) -> None:
        self.camera_id = "cam1"
        self._frames = frames
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._closed = False
        self._given = 0
        self._health = FrameHealth()

    def start(self) -> None: ...

    def ask(self, parts: int) -> None:
        for _ in range(parts):
            self._asked.put(0)

    def next_shot(self, timeout_s: float) -> Shot | None:
        if self._closed:
            raise EndOfStream("closed")
        try:
            self._asked.get(timeout=timeout_s)
        except queue.Empty:
            return None
        now_ns, now = CLOCK.monotonic_ns(), CLOCK.now()
        item = self._frames[self._given % len(self._frames)]
        self._given += 1
        pixels = cv2.imdecode(np.frombuffer(item, np.uint8), cv2.IMREAD_COLOR) if isinstance(item, bytes) else item
        part_id = f"part-{self._given}"
        frame = Frame(pixels, self.camera_id, self._given, now_ns, now, part_id=part_id)
        quality = self._health.check(pixels).quality
        return Shot(part_id, self.camera_id, now_ns, now, frame, quality)

    def trigger(self, part_id: str | None = None) -> str:
        raise NotImplementedError("the benchmark asks by itself")

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def status(self) -> CameraStatus:
        return CameraStatus("cam1", SourceStatus(CameraState.CONNECTED), False, self._given, 0, 0, 0)

    def close(self) -> None:
        self._closed = True


class Stopwatch:
    """An observer: trigger to durable record, and inference, per part in milliseconds."""

    def __init__(self) -> None:
        self.total_ms: list[float] = []
        self.inference_ms: list[float] = []

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.total_ms.append((time.monotonic_ns() - shot.triggered_ns) / 1e6)
        self.inference_ms.append(record.timings.inference_ms)


class Rig:
    """Context manager around one running edge."""

    def __init__(
        self,
        frames: list[Pixels] | list[bytes],
        models: Path | None = None,
        model: str = "solar-mono-1",
        changes: Mapping[str, object] = MappingProxyType({}),
        image_format: str = "png",
    ) -> None:
        """changes: whole sections of the line settings that replace the shipped ones. image_format: of the archive."""
        self._image_format = image_format
        self.camera = MemoryCamera(frames)
        self.watch = Stopwatch()
        self._models, self._model, self._changes = models or ROOT / "models", model, changes
        self._stack = ExitStack()

    def __enter__(self) -> "Rig":
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="qc-bench-")))
        shipped = load_line(ROOT / "configs" / "line.toml", {})
        settings = shipped.model_copy(
            update={
                "storage": shipped.storage.model_copy(
                    update={"directory": folder, "image_budget_mb": 200.0, "image_format": self._image_format}
                ),
                "models": shipped.models.model_copy(update={"directory": self._models}),
                "mqtt": shipped.mqtt.model_copy(update={"port": 1}),  # nobody listens: everything stays in the outbox
                **self._changes,
            }
        )
        recipes = load_recipes(settings.recipes.directory)
        recipes = {name: _with_model(recipe, self._model) for name, recipe in recipes.items()}
        self.edge: Edge = build_edge(settings, recipes, cameras=[self.camera], observers=[self.watch])
        self.edge.start()
        self._stack.callback(self.edge.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def seconds_for(self, parts: int) -> float:
        """Time until so many more parts have been recorded."""
        goal = len(self.watch.total_ms) + parts
        started = time.perf_counter()
        self.camera.ask(parts)
        while len(self.watch.total_ms) < goal:
            time.sleep(0.001)
        return time.perf_counter() - started


def _with_model(recipe: Recipe, model: str) -> Recipe:
    return replace(recipe, model_id=model, deadline_ms=600_000.0)


def cells(count: int = 64) -> list[Pixels]:
    """Decoded solar cells of the demo extra (a tenth of them defective), or generated textures without it."""
    try:
        chosen, _ = choose_cells(count, 0, ROOT / "models" / "solar-mono-1")
    except ConfigError:
        rng = np.random.default_rng(0)
        return [rng.integers(0, 255, (300, 300, 3)).astype(np.uint8) for _ in range(count)]
    return [cv2.imread(str(cell.path), cv2.IMREAD_COLOR) for cell in chosen]
