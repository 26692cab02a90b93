"""Millions of records in SQLite: how long a report and the line's own KPIs take to read them, and what memory they need."""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from qc.domain.truth import PlanRecord
from qc.goals.period import PeriodReader
from qc.label.plan import SamplingPlan
from qc.label.windows import Shifts
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.columns import ColumnReader
from qc.record.database import Database
from qc.record.quality_reader import QualityReader
from qc.record.truth_store import SqliteTruthStore
from qc.wiring.rates import RateBook

START = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 30
VARIANTS = 4
PLAN = SamplingPlan("v0", (0.1, 0.2), (0.8,), (0.002, 0.01, 0.04), (0.03, 0.02), seed=1)
T = TypeVar("T")


class BenchClock:
    """The end of the made-up month."""

    def now(self) -> datetime:
        return START + timedelta(days=DAYS)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py records", description=__doc__)
    parser.add_argument("--parts", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="qc-bench-") as folder:
        database = Database(Path(folder) / "qc.sqlite3", synchronous="NORMAL")
        labels = _fill(database, options.parts)
        size = (Path(folder) / "qc.sqlite3").stat().st_size
        print(f"{options.parts:,} records over {DAYS} days, {labels:,} labels, {size / 1e9:.1f} GB")
        _measure(database)
        database.close()
    return 0


def _measure(database: Database) -> None:
    columns, truth = ColumnReader(database), SqliteTruthStore(database)
    clock = BenchClock()
    shifts = Shifts([("early", "06:00"), ("late", "14:00"), ("night", "22:00")], "UTC")
    book = RateBook(columns, truth, clock, shifts)
    reader = PeriodReader(columns, truth, SqliteAlarmStore(database), QualityReader(database), line="line1")
    plain = _timed("a day of records read row by row", lambda: columns.records(START, START + timedelta(days=1)))
    _timed("packing everything, once", columns.pack)
    packed = _timed("the same day from chunks", lambda: columns.records(START, START + timedelta(days=1)))
    assert np.array_equal(plain.seq, packed.seq)
    assert np.array_equal(plain.score, packed.score, equal_nan=True)
    _timed("KPIs of the last week (7 of 30 days)", book.kpi)
    everything = _timed("rates of the whole month per variant, batch by batch", lambda: book.report(START))
    period = _timed("the whole month as `qc report` reads it", lambda: reader.read(START, clock.now()))
    assert everything.overall.parts == period.judged


def _timed(what: str, work: Callable[[], T]) -> T:
    process = psutil.Process()
    before = process.memory_info().rss
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (process.memory_info().rss - before) / 1e6
    print(f"  {what:56} {cpu:7.2f} s of processor time, {wall:7.2f} s by the clock, resident {grown:+7.0f} MB", flush=True)
    return result


def _fill(database: Database, parts: int) -> int:
    """Records, tickets and first looks, drawn with the plan's probabilities; every part of the strata r1 and r2 was rejected."""
    truth = SqliteTruthStore(database)
    names = ("night", "early", "late")
    for day in range(DAYS):
        for shift in names:
            window = f"{START + timedelta(days=day):%Y-%m-%d}/{shift}"
            for variant in range(VARIANTS):
                truth.add_plan(PlanRecord(f"v{variant}", "r1", window, PLAN.policy, START, PLAN.to_json()))
    rng = np.random.default_rng(0)
    step_us = DAYS * 86_400_000_000 // parts
    start_us = int(START.timestamp() * 1e6)
    labels = 0
    for first in range(0, parts, 100_000):
        count = min(100_000, parts - first)
        defective = rng.random(count) < 0.02
        score = np.where(defective, rng.beta(8, 2, count), rng.beta(1, 12, count))
        rejected = score >= 0.6
        stratum = PLAN.strata_of(score, rejected)
        drawn = rng.random(count) < PLAN.probabilities[stratum]
        rows, tickets, answers = [], [], []
        for i in range(count):
            number = first + i + 1
            at = start_us + number * step_us - 1
            seconds = at // 1_000_000
            window = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}/{names[seconds % 86_400 // 28_800]}"
            decision, reason = ("NG", "above_reject") if rejected[i] else ("OK", "below_review")
            event = f"e{number:09d}"
            rows.append(
                (number, event, f"p{number:09d}", at, at, decision, reason, f"v{number % VARIANTS}", float(score[i]), window)
            )
            if drawn[i]:
                h = stratum[i]
                q = float(PLAN.probabilities[h])
                tickets.append((f"t{number}", event, f"p{number:09d}", window, PLAN.names[h], q, PLAN.policy, at, at + 1))
                answers.append((f"l{number}", f"t{number}", "defect" if defective[i] else "good", at))
        with database.write(durable=False) as connection:
            connection.executemany(
                "INSERT INTO inspections VALUES (?, ?, ?, 'cam1', ?, ?, ?, ?, '', ?, 'r1', 'm1', 'aaaa', 0.6, 0.6, ?, '[]', 0.1, 0.5,"
                " 12.0, 14.0, 118.0, 40.0, 9.0, 2.0, 0.0, 1, 0, 'cam1/1', ?, 'active', NULL, NULL)",
                rows,
            )
            connection.executemany("INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, 'estimate', ?, ?, 1)", tickets)
            connection.executemany("INSERT INTO labels VALUES (?, ?, ?, '', 'ann', ?, 5.0, 1, NULL)", answers)
        labels += len(answers)
    return labels
