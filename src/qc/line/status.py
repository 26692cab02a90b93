"""Counters and latencies of the running line, as operators and PLC people know them."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from qc.domain.alarm import Action
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision

_WINDOW = 1000
"""Parts over which latency quantiles and the rate are taken."""


@dataclass(frozen=True, slots=True)
class LineStatus:
    """A snapshot. Counters run since the record store was created; latencies cover the last 1000 parts.

    latency: trigger to durable record, milliseconds. parts_per_s: over the last parts (at most 1000, at most 60 s).
    """

    variant: str
    recipe_version: str
    model_id: str
    paused: bool
    level: Action
    level_reason: str
    triggers: int
    ok: int
    ng: int
    review: int
    not_inspected: int
    by_reason: Mapping[str, int]
    halts: int
    parts_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    queued: int
    storing: bool
    """False while the record store cannot be written; verdicts then wait."""
    running: bool


class Tally:
    """Counts parts; thread-safe, constant cost per part."""

    def __init__(self, start: Mapping[tuple[str, str], int] | None = None) -> None:
        """start: earlier counts by (decision, reason), for counters that survive a restart."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter(start or {})
        self._latencies_ms: deque[float] = deque(maxlen=_WINDOW)
        self._times_ns: deque[int] = deque(maxlen=_WINDOW)

    def add(self, record: InspectionRecord, *, latency_ms: float, now_ns: int) -> None:
        with self._lock:
            self._counts[record.verdict.decision, record.verdict.reason] += 1
            self._latencies_ms.append(latency_ms)
            self._times_ns.append(now_ns)

    def decisions(self) -> dict[Decision, int]:
        with self._lock:
            counts = dict(self._counts)
        return {decision: sum(n for (name, _), n in counts.items() if name == decision) for decision in Decision}

    def reasons(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted((f"{decision}/{reason}", n) for (decision, reason), n in self._counts.items()))

    def latency_ms(self) -> tuple[float, float, float]:
        """(p50, p99, max) of the last parts; zeros before the first."""
        with self._lock:
            ordered = sorted(self._latencies_ms)
        if not ordered:
            return 0.0, 0.0, 0.0
        return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], ordered[-1]

    def parts_per_s(self, now_ns: int) -> float:
        with self._lock:
            recent = [t for t in self._times_ns if now_ns - t <= 60_000_000_000]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(1e-9, (now_ns - recent[0]) / 1e9)
