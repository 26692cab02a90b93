"""Decays injected into a healthy production: which alarm came first, after how many parts and labels, and was the cause named rightly?

A seed is commissioned once (its lots become the reference); each decay starts from a copy of that edge's folder, so every one of
them also goes through a restart. A run ends one shift after its first alarm, or after ``LONGEST`` shifts.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.truth_bank import Bank
from benchmarks.truth_world import Plant, Seen, Stage, World

COMMISSIONING = 6
"""Shifts; the monitor's reference takes 40 lots of 250 parts, five shifts."""
LONGEST = 8


_HEALTHY = Stage()


@dataclass(frozen=True, slots=True)
class Decay:
    """causes: what is right to name. reject_at: another threshold. must: an alarm is due."""

    where: str
    name: str
    causes: tuple[str, ...]
    stage: Stage = _HEALTHY
    thresholds: tuple[float, float] | None = None
    must: bool = True


DECAYS = (
    Decay("images", "20 % less light", ("environment",), Stage("20 % less light")),
    Decay("images", "gamma 1.3", ("environment",), Stage("gamma 1.3")),
    Decay("images", "light falls off to one side", ("environment",), Stage("light falls off to one side")),
    Decay("images", "out of focus (sigma 1.2 pixels)", ("environment",), Stage("out of focus")),
    Decay("images", "new variant: 15 % polycrystalline", ("new_appearance",), Stage(poly_share=0.15)),
    Decay("process", "prevalence 3 -> 10 %", ("process_change",), Stage(prevalence=0.10)),
    Decay("process", "prevalence 3 -> 6 %", ("process_change",), Stage(prevalence=0.06), must=False),
    Decay("camera", "frozen", ("camera_fault",), Stage(frozen=True)),
    Decay("camera", "dirt on the lens", ("environment", "camera_fault"), Stage("dirt on the lens")),
    Decay("model", "threshold too high (.85)", ("model_decay",), thresholds=(0.85, 0.90)),
    Decay("model", "threshold too low (.15)", ("model_decay",), thresholds=(0.15, 0.20)),
    Decay("nothing", "nothing changes", (), must=False),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """first: quantity of the first alarm ("" none), its cause, parts and labels since the decay began; later: its cause a shift on.

    others: further alarms, as quantity:cause. named: parts until the first alarm had a right cause, -1 if it never did.
    """

    decay: str
    seed: int
    first: str
    cause: str
    parts: int
    labels: int
    later: str
    others: tuple[str, ...]
    named: int = -1


def commission(bank: Bank, world: World, seed: int, folder: Path) -> datetime:
    """A healthy start in ``folder``; returns the time at which it ends. Alarms of it are left open on purpose: none should be."""
    with Plant(bank, folder, world, seed) as plant:
        for _ in range(COMMISSIONING):
            plant.shift()
        return plant.clock.now()


def decay(bank: Bank, world: World, seed: int, one: Decay, *, commissioned: Path, start: datetime) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="qc-truth-") as name:
        folder = Path(name) / "edge"
        shutil.copytree(commissioned, folder)
        with Plant(bank, folder, world, seed, start=start, salt=1) as plant:
            plant.watch.look()
            before = set(plant.watch.alarms)
            plant.stage = one.stage
            if one.thresholds is not None:
                plant.change_thresholds(*one.thresholds)
            for _ in range(LONGEST):
                had = set(plant.watch.alarms) - before
                plant.shift()
                if had:
                    break
            seen = [alarm for key, alarm in plant.watch.alarms.items() if key not in before]
    return outcome(one, seed, seen, plant.watch.parts, plant.watch.labels)


def outcome(one: Decay, seed: int, seen: Sequence[Seen], parts: int, labels: int, *, began: tuple[int, int] = (0, 0)) -> Outcome:
    """seen: the alarms since the decay began, which was after so many parts and labels; parts, labels: at the end."""
    if not seen:
        return Outcome(one.name, seed, "", "", parts - began[0], labels - began[1], "", ())
    first = min(seen, key=lambda alarm: (alarm.part, alarm.labels))
    return Outcome(
        one.name,
        seed,
        first.first.quantity,
        first.first.cause.value,
        first.part - began[0],
        first.labels - began[1],
        first.latest.cause.value,
        tuple(f"{s.first.quantity}:{s.first.cause.value}" for s in seen if s is not first),
        min((part - began[0] for cause, part in first.causes.items() if cause in one.causes), default=-1),
    )


def run_seed(bank: Bank, world: World, seed: int, say: Callable[[Outcome], None], only: str = "") -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="qc-truth-") as name:
        folder = Path(name) / "edge"
        start = commission(bank, world, seed, folder)
        outcomes = []
        for one in DECAYS:
            if only in one.name:
                outcomes.append(decay(bank, world, seed, one, commissioned=folder, start=start))
                say(outcomes[-1])
        return outcomes


def confusion(outcomes: list[Outcome]) -> Mapping[str, Mapping[str, int]]:
    """By decay: cause named by the first alarm -> how often; "no alarm" too."""
    table: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        row = table.setdefault(outcome.decay, {})
        cause = outcome.cause or "no alarm"
        row[cause] = row.get(cause, 0) + 1
    return table
