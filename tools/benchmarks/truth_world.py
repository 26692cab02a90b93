"""A simulated plant around a real edge: a clock that leaps, a camera that resamples cells, inspectors that answer from the truth.

Real: line, record store, sampler, planner, label queue, intake, monitor, alarm book. Replayed: the model's answer for each cell
(``truth_bank``), except with ``real_model``. Event ids are random, so two runs with one seed draw different labels.
"""

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from simulations.leaping_clock import LeapingClock

from benchmarks.rig import ROOT
from benchmarks.truth_bank import CONDITIONS, LEVEL_SHARES, LEVELS, PLAIN, Bank, levels_of
from qc.domain.alarm import Alarm
from qc.domain.errors import EndOfStream
from qc.domain.frame import CameraState, CameraStatus, Frame, Pixels, Shot, SourceStatus
from qc.domain.inspection import Inspection
from qc.domain.ports import Inspector, Prepared
from qc.domain.recipe import Recipe, SamplingPlanSettings
from qc.domain.record import InspectionRecord, Json
from qc.ingest.health import FrameHealth, HealthLimits
from qc.settings import LineSettings, load_line, load_recipes
from qc.settings.line import MonitoringSettings, SamplingLineSettings
from qc.wiring import Edge, build_edge

LOT = 250
"""Parts with the same exposure."""
VARIANT = "solar-mono"
START = datetime(2026, 11, 2, 6, tzinfo=UTC)
_NAMES = tuple(CONDITIONS)
_FROZEN_FRAMES = 5


@dataclass(frozen=True, slots=True)
class World:
    """parts, labels: per shift. BOUNDS hold for the bundled model: DR .82 and FPR .09 as it was."""

    parts: int = 2000
    labels: int = 150
    challenges: int = 4
    prevalence: float = 0.03
    sensitivity: float = 0.97
    specificity: float = 0.995


BOUNDS = MonitoringSettings(detection_floor=0.70, false_positive_ceiling=0.15, prevalence_ceiling=0.06)


@dataclass(frozen=True, slots=True)
class Stage:
    """How the plant runs at present."""

    condition: str = PLAIN
    prevalence: float | None = None
    poly_share: float = 0.0
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    part_id: str
    at: datetime
    cell: int
    condition: str
    level: int


class PlantCamera:
    """Camera port: gives the parts that it was handed; lossless. Faults come from the real frame checks."""

    lossless = True

    def __init__(self, bank: Bank, clock: LeapingClock, *, real_model: bool) -> None:
        self.camera_id = "cam1"
        self._bank, self._clock, self._real = bank, clock, real_model
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._health = FrameHealth(HealthLimits(frozen_after=_FROZEN_FRAMES) if real_model else _ONLY_FROZEN)
        self._closed, self._given = False, 0

    def start(self) -> None: ...

    def hand(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._parts.put(part)

    def next_shot(self, timeout_s: float) -> Shot | None:
        if self._closed:
            raise EndOfStream("closed")
        try:
            part = self._parts.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._clock.moment = max(self._clock.moment, part.at)
        self._given += 1
        pixels = self._bank.pixels(part.cell, part.condition, part.level) if self._real else encode(part)
        report = self._health.check(pixels)
        quality = report.quality if self._real else self._bank.quality[part.condition, part.level][part.cell]
        now_ns = self._clock.monotonic_ns()
        frame = Frame(pixels, self.camera_id, self._given, now_ns, part.at, part_id=part.part_id)
        return Shot(part.part_id, self.camera_id, now_ns, part.at, frame, quality, report.fault, report.detail)

    def trigger(self, part_id: str | None = None) -> str:
        raise NotImplementedError("the plant triggers by itself")

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def status(self) -> CameraStatus:
        return CameraStatus("cam1", SourceStatus(CameraState.CONNECTED), False, self._given, 0, 0, 0)

    def close(self) -> None:
        self._closed = True


_ONLY_FROZEN = HealthLimits(black_below=0.0, saturated_share=0.0, frozen_after=_FROZEN_FRAMES)


def encode(part: Part) -> Pixels:
    """A tiny picture that tells ``ReplayInspector`` what the camera saw."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 0] = (part.cell // 256, part.cell % 256, 0)
    pixels[0, 1] = (_NAMES.index(part.condition), part.level - LEVELS[0], 0)
    return pixels


class ReplayInspector:
    """Inspector port that gives what the real model said about the same picture."""

    def __init__(self, bank: Bank, real: Inspector) -> None:
        self.card = real.card
        self._bank = bank

    def prepare(self, pixels: Pixels, recipe: Recipe) -> Prepared:
        return Prepared(pixels[None], (0.0, 0.0, 1.0, 1.0), 0.0)

    def inspect(self, prepared: Prepared) -> Inspection:
        (high, low, _), (condition, level, _) = prepared.tensor[0, 0, :2].tolist()
        return self._bank.inspections[_NAMES[condition], level + LEVELS[0]][256 * high + low]


@dataclass(slots=True)
class Seen:
    """The first and the latest word of one alarm. part: how many parts had been recorded; labels: and answered.

    causes: every cause that it named, with the part at which it did so first."""

    first: Alarm
    latest: Alarm
    part: int
    labels: int
    causes: dict[str, int] = field(default_factory=dict)


@dataclass
class Watcher:
    """Observer behind the monitor: counts parts and notes each alarm when it appears. Keeps what rates are held against."""

    edge: Edge | None = None
    parts: int = 0
    labels: int = 0
    alarms: dict[str, Seen] = field(default_factory=dict)
    records: list[tuple[str, float | None, str, str]] = field(default_factory=list)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.records.append((record.part_id, record.score, record.verdict.decision.value, record.verdict.reason.value))
        self.parts += 1
        self.look()

    def look(self) -> None:
        assert self.edge is not None
        for alarm in self.edge.alarms.open_alarms():
            seen = self.alarms.setdefault(alarm.alarm_id, Seen(alarm, alarm, self.parts, self.labels))
            seen.latest = alarm
            seen.causes.setdefault(alarm.cause.value, self.parts)


class Plant:
    """Context manager around one running edge in ``folder``; ``shift`` lets it work for eight simulated hours."""

    def __init__(
        self,
        bank: Bank,
        folder: Path,
        world: World,
        seed: int,
        *,
        start: datetime = START,
        salt: int = 0,
        real_model: bool = False,
        mqtt_port: int = 0,
        labeller: str = "",
    ) -> None:
        """salt: other parts and labels with the same recipe. mqtt_port: 0 has no broker. labeller: "outside" leaves the tickets to somebody else."""
        self.world, self.clock = world, LeapingClock(start)
        self.watch, self.stage = Watcher(), Stage()
        self._bank, self._rng, self._outside = bank, np.random.default_rng([seed, salt]), labeller == "outside"
        self.camera = PlantCamera(bank, self.clock, real_model=real_model)
        self._settings = _settings(folder, mqtt_port)
        self._recipe = replace(
            load_recipes(ROOT / "configs" / "recipes")[VARIANT],
            deadline_ms=1e12,  # simulated minutes pass while parts queue
            sampling=SamplingPlanSettings(labels_per_window=world.labels, expected_parts_per_window=world.parts, seed=seed),
        )
        self.edge = build_edge(
            self._settings, {VARIANT: self._recipe}, clock=self.clock, cameras=[self.camera], observers=[self.watch]
        )
        self.watch.edge = self.edge
        # A longer queue than a line should have: fewer changes of thread, so that a crowded machine simulates faster.
        self.edge.line._jobs = queue.Queue(500)
        if not real_model:
            setup = self.edge.line.setup
            self.edge.line.setup = replace(setup, inspector=ReplayInspector(bank, setup.inspector))
        self._number = self.edge.store.counters().triggers  # goes on after a restart
        self._lot_levels: dict[int, int] = {}
        self._register(seed)

    def __enter__(self) -> "Plant":
        self.edge.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.edge.stop()
        self.edge.database.close()

    def shift(self) -> None:
        """Half a shift, then the inspectors answer what the shift before left, then the other half; then telemetry's upkeep."""
        window = self.edge.street.shifts.window_of(self.clock.now())
        half = (window.end - window.start) / 2
        self._produce(window.start, half, self.world.parts // 2, self.world.challenges // 2)
        if not self._outside:
            self._label(before=window.start)
        # The camera runs up to a queue ahead of the line, and so does the clock; the last hour is for cleaning, so that no
        # part of the shift is decided "after" the planner counted its parts.
        rest = half - timedelta(hours=1)
        self._produce(window.start + half, rest, self.world.parts - self.world.parts // 2, self.world.challenges)
        self.clock.moment = window.end - timedelta(minutes=5)
        self.edge.street.upkeep()
        self.watch.look()
        self.clock.moment = window.end

    def finish(self) -> None:
        """Let the inspectors answer everything that is still open, further looks included."""
        while self._label(before=self.clock.now() + timedelta(days=1)):
            self.clock.moment += timedelta(minutes=10)

    def change_thresholds(self, review_at: float, reject_at: float) -> None:
        """Somebody edits the recipe; the line goes on with it."""
        recipe = replace(self._recipe, review_at=review_at, reject_at=reject_at)
        self.edge.street.sampler.use(recipe)
        self.edge.line.setup = replace(self.edge.line.setup, recipe=recipe)

    @property
    def recipe_version(self) -> str:
        return self.edge.line.setup.recipe.version

    # --- parts --------------------------------------------------------------------------------------------

    def _produce(self, start: datetime, span: timedelta, count: int, challenges: int) -> None:
        """challenges: how many of the shift's known defectives may pass, at most."""
        window = self.edge.street.shifts.window_of(start)
        due = self.edge.street.register.due(VARIANT, window, self.world.challenges)[:challenges]
        parts = [self._part(start + span * (i + 0.5) / count) for i in range(count)]
        for i, challenge in enumerate(due):
            at = parts[(i + 1) * count // 6].at
            parts.insert((i + 1) * count // 6, Part(challenge.part_id, at, cell_of(challenge.part_id), self.stage.condition, 0))
        goal = self.watch.parts + len(parts)
        self.camera.hand(parts)
        while self.watch.parts < goal:
            time.sleep(0.002)

    def _part(self, at: datetime) -> Part:
        self._number += 1
        number, stage, rng = self._number, self.stage, self._rng
        level = self._lot_levels.setdefault(number // LOT, int(rng.choice(LEVELS, p=LEVEL_SHARES)))
        prevalence = self.world.prevalence if stage.prevalence is None else stage.prevalence
        defective, poly = bool(rng.random() < prevalence), bool(rng.random() < stage.poly_share)
        cell = int(rng.choice(self._cells(defective, poly)))
        if stage.frozen:
            cell, level = int(self._cells(False, False)[0]), 0
        level = 0 if self._bank.poly[cell] else min(max(level, min(levels_of(stage.condition))), max(levels_of(stage.condition)))
        return Part(f"part-{number:07d}-{cell}", at, cell, stage.condition, level)

    def _cells(self, defective: bool, poly: bool) -> np.ndarray:
        return np.flatnonzero((self._bank.defective == defective) & (self._bank.poly == poly))

    def is_defective(self, part_id: str) -> bool:
        return bool(self._bank.defective[cell_of(part_id)])

    def _register(self, seed: int) -> None:
        """Twelve known defectives of which the model finds eleven, as a plant would choose them at commissioning."""
        if self.edge.truth.challenge_parts():
            return
        rng = np.random.default_rng([seed, 11])
        cells = self._cells(True, False)
        caught = self._bank.scores()[cells] >= self._recipe.review_at
        chosen = [*rng.permutation(cells[caught])[:11], *rng.permutation(cells[~caught])[:1]]
        for cell in chosen:
            self.edge.street.register.register(
                f"known-{cell}", part_id=f"challenge-{cell}", variant=VARIANT, defect_type="cell", severity="major"
            )

    # --- labels -------------------------------------------------------------------------------------------

    def _label(self, before: datetime) -> int:
        """Three inspectors take turns; returns how many looks they gave."""
        given = 0
        for name in ("anna", "ben", "carla"):
            tickets = self.edge.street.queue.next_tickets(name, 2 + self.world.labels // 2)
            for ticket in tickets:
                if ticket.created_at >= before:
                    self.edge.street.queue.release(ticket.ticket_id, name)
                    continue
                self.edge.street.submit_label(self.answer(ticket.ticket_id, ticket.part_id, name))
                self.watch.labels += 1
                given += 1
                self.watch.look()
        return given

    def answer(self, ticket_id: str, part_id: str, name: str) -> dict[str, Json]:
        """What an inspector says, wrong at the set rates; each look errs by itself."""
        defective = self.is_defective(part_id)
        right = self._rng.random() < (self.world.sensitivity if defective else self.world.specificity)
        return {
            "ticket_id": ticket_id,
            "truth": "defect" if defective == right else "good",
            "labeller": name,
            "seconds_spent": 6.0,
        }


def _settings(folder: Path, mqtt_port: int) -> LineSettings:
    shipped = load_line(ROOT / "configs" / "line.toml", {})
    mqtt = {"port": mqtt_port} if mqtt_port else {"enabled": False}
    return shipped.model_copy(
        update={
            "storage": shipped.storage.model_copy(
                update={"directory": folder, "ok_share": 0.0, "min_free_mb": 1.0, "synchronous": "normal"}
            ),
            "mqtt": shipped.mqtt.model_copy(update=mqtt),
            "sampling": SamplingLineSettings(shifts=shipped.sampling.shifts),
            "monitoring": BOUNDS,
        }
    )


def cell_of(part_id: str) -> int:
    """The truth is no secret in here: a part's id ends with its cell's number. Nothing in qc looks at it."""
    return int(part_id.rsplit("-", 1)[1])
