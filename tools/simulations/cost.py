"""What monitoring costs: microseconds per part on the line, seconds per report over ten million parts."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from qc.domain.alarm import Alarm
from qc.domain.clock import SystemClock
from qc.domain.frame import ImageQuality
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.evaluate.slices import Labels, Parts, slice_rates
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.watch import Monitor, MonitorSettings

_START = datetime(2026, 3, 1, tzinfo=UTC)


class _NoAlarms:
    """AlarmStore for a simulation that raises none."""

    def save(self, alarm: Alarm) -> None: ...

    def current(self) -> Sequence[Alarm]:
        return []


def _records(parts: int):
    rng = np.random.default_rng(0)
    odds = rng.normal(size=parts) - 3 + 5 * (rng.random(parts) < 0.01)
    scores = 1 / (1 + np.exp(-odds))
    quality = rng.normal(size=(parts, 5)) * [2, 1, 10, 0.1, 0.5] + [120, 40, 300, 2, 5]
    embeddings = rng.normal(size=(parts, 320)).astype(np.float32)
    ok = Verdict(Decision.OK, Reason.BELOW_REVIEW)
    blank = InspectionRecord("", "", "cam1", _START, _START, ok, "cell", "r", "m", "0" * 64, 0.6, 0.6, shift="early")
    for i in range(parts):
        yield replace(
            blank,
            event_id=f"e{i}",
            decided_at=_START + timedelta(seconds=i),
            score=float(scores[i]),
            quality=ImageQuality(*quality[i].tolist()),
            embedding=embeddings[i],
            seq=i + 1,
        )


def monitor_us(parts: int = 30_000) -> tuple[float, float, float]:
    """Mean, median and 99.9 % quantile of the processor time of ``on_record`` in microseconds, commissioning included."""
    monitor = Monitor(StoredAlarmBook(_NoAlarms(), SystemClock(), print), MonitorSettings(), lambda *_: None)
    records = list(_records(parts))
    took = np.empty(parts)
    for i, record in enumerate(records):
        began = time.thread_time_ns()
        monitor.on_record(record)
        took[i] = time.thread_time_ns() - began
    return float(took.mean() / 1e3), float(np.median(took) / 1e3), float(np.quantile(took, 0.999) / 1e3)


def report_s(parts: int = 10_000_000, labels: int = 50_000) -> dict[str, float]:
    """Seconds of ``slice_rates`` over parts in memory, by what they are sliced by."""
    rng = np.random.default_rng(0)
    sizes = {"variant": 4, "camera_id": 2, "shift": 300, "model_id": 3}
    columns = {name: rng.integers(0, size, parts).astype(np.int32) for name, size in sizes.items()}
    levels = {name: tuple(str(i) for i in range(size)) for name, size in sizes.items()}
    q = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.01, 0.02, 0.05])
    stratum = rng.choice(8, parts, p=[0.5, 0.2, 0.1, 0.06, 0.05, 0.05, 0.03, 0.01])
    rows = rng.permutation(np.flatnonzero(rng.random(parts) < q[stratum]))[:labels]
    defective = rng.random(len(rows)) < np.array([1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 0.05, 0.3, 0.8])[stratum[rows]]
    names = ("a1", "a2", "a3", "a4", "a5", "r1", "r2", "r3")
    table = Parts(columns, levels, stratum, stratum == 5, names, np.arange(8) >= 5)
    truths = Labels(rows, defective, q[stratum[rows]], np.zeros(len(rows), bool), np.zeros(len(rows), np.int64))
    took = {}
    for by in ((), ("variant",), ("variant", "camera_id", "model_id"), ("shift",)):
        began = time.perf_counter()
        slices = slice_rates(table, truths, by)
        took[f"{' x '.join(by) or 'pooled'} ({len(slices)} slices)"] = time.perf_counter() - began
    return took
