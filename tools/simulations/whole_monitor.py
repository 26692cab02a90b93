"""The monitor as it runs on the line, fed with simulated records: in control, and with one thing changed. No labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from qc.domain.alarm import Alarm
from qc.domain.clock import SystemClock
from qc.domain.frame import ImageQuality
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.watch import Monitor, MonitorSettings

_START = datetime(2026, 3, 1, tzinfo=UTC)
_OK, _NG = Verdict(Decision.OK, Reason.BELOW_REVIEW), Verdict(Decision.NG, Reason.ABOVE_REJECT)
_BLANK = InspectionRecord("", "", "cam1", _START, _START, _OK, "cell", "r", "m", "0" * 64, 0.6, 0.6, shift="early")
_QUALITY, _SPREAD = np.array([120, 40, 300, 2, 5.0]), np.array([2, 1, 10, 0.1, 0.5])
COMMISSIONING = 10_000


class MemoryAlarms:
    """AlarmStore that remembers nothing: the book itself holds what is open."""

    def save(self, alarm: Alarm) -> None: ...

    def current(self) -> Sequence[Alarm]:
        return []


@dataclass(frozen=True)
class World:
    """Good parts have log-odds N(-3, 1), defects 5 more. lot_noise: sd of lots of 250 parts, in part sd, of all features."""

    prevalence: float = 0.01
    score_shift: float = 0.0
    brightness: float = 0.0
    focus: float = 0.0
    new_variant: float = 0.0
    """Share of parts whose embedding lies 3 sigma away."""
    reject_at: float = 0.6
    lot_noise: float = 0.1
    dims: int = 64


def records(world: World, parts: int, *, seed: int, first: int = 1) -> Iterator[InspectionRecord]:
    """parts records with seq from ``first``; in one seed, the direction of a new variant stays the same."""
    rng = np.random.default_rng([seed, first])
    direction = np.random.default_rng(seed).normal(size=world.dims)
    away = 3 * direction / np.linalg.norm(direction)
    for lot in range(0, parts, 250):
        n = min(250, parts - lot)
        noise = world.lot_noise
        odds = rng.normal(size=n) - 3 + 5 * (rng.random(n) < world.prevalence) + world.score_shift + noise * rng.normal()
        scores = 1 / (1 + np.exp(-odds))
        quality = _QUALITY + _SPREAD * (rng.normal(size=(n, 5)) + noise * rng.normal(size=5))
        quality[:, 0] += world.brightness
        quality[:, 2] += world.focus
        embedding = rng.normal(size=(n, world.dims)) + noise * rng.normal(size=world.dims)
        embedding += (rng.random(n) < world.new_variant)[:, None] * away
        embedding = embedding.astype(np.float32)
        for i in range(n):
            seq = first + lot + i
            yield replace(
                _BLANK,
                event_id=f"e{seq}",
                decided_at=_START + timedelta(seconds=seq),
                verdict=_NG if scores[i] >= world.reject_at else _OK,
                reject_at=world.reject_at,
                recipe_version=f"r{world.reject_at}",
                score=float(scores[i]),
                quality=ImageQuality(*quality[i].tolist()),
                embedding=embedding[i],
                seq=seq,
            )


def new_monitor() -> tuple[Monitor, StoredAlarmBook]:
    book = StoredAlarmBook(MemoryAlarms(), SystemClock(), lambda _: None)
    return Monitor(book, MonitorSettings(), lambda *_: None), book


def false_alarms(runs: int, parts: int, *, seed: int) -> int:
    """Runs of ``parts`` in-control parts after commissioning in which any alarm came up."""
    return sum(_first_alarm(World(), parts, seed=seed + run) is not None for run in range(runs))


def delays_and_causes(world: World, runs: int, *, seed: int, parts: int = 20_000) -> tuple[list[float], list[str], list[str]]:
    """Parts until the first alarm after the change (inf: none), its quantity, and its cause 1,000 parts later."""
    delays, quantities, causes = [], [], []
    for run in range(runs):
        found = _first_alarm(world, parts, seed=seed + run)
        delays.append(np.inf if found is None else found[0])
        quantities.append("none" if found is None else found[1])
        causes.append("none" if found is None else found[2])
    return delays, quantities, causes


def _first_alarm(world: World, parts: int, *, seed: int) -> tuple[float, str, str] | None:
    """Commission on an unchanged world, then feed the changed one."""
    monitor, book = new_monitor()
    for record in records(World(lot_noise=world.lot_noise), COMMISSIONING, seed=seed):
        monitor.on_record(record)
    first = None
    for i, record in enumerate(records(world, parts, seed=seed, first=COMMISSIONING + 1), 1):
        monitor.on_record(record)
        if first is None and (alarms := book.open_alarms()):
            first = (i, alarms[0].quantity)
        if first is not None and i >= first[0] + 1000:
            break
    if first is None:
        return None
    return float(first[0]), first[1], next(a.cause.value for a in book.open_alarms() if a.quantity == first[1])
