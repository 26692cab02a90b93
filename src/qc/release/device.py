"""Checks that depend on this device: speed and size of the candidate beside the incumbent."""

import time
from collections.abc import Iterator

import numpy as np

from qc.domain.ports import Inspector
from qc.inspection.golden import golden_picture, golden_recipe
from qc.release.evidence import Contender
from qc.release.report import Check, Outcome
from qc.release.rules import GateRules


def device_checks(pair: tuple[Contender, Contender], rules: GateRules) -> Iterator[Check]:
    """pair: candidate, incumbent. Their runs alternate, so that other work on the device meets both alike."""
    times = np.array([[_time_ms(model.inspector, run) for model in pair] for run in range(rules.latency_runs + 3)])[3:]
    p95, medians = float(np.quantile(times[:, 0], 0.95)), np.median(times, axis=0)
    ratio = float(medians[0] / max(medians[1], 1e-6))
    yield Check(
        name="latency",
        outcome=Outcome.PASS if p95 <= rules.latency_p95_ms and ratio <= rules.latency_ratio else Outcome.FAIL,
        message=f"p95 {p95:.1f} ms (at most {rules.latency_p95_ms:g}), {ratio:.2f} times the incumbent (at most {rules.latency_ratio:g})",
        estimate=p95,
        n=rules.latency_runs,
    )


def size_check(model_bytes: int, rules: GateRules) -> Check:
    size_mb = model_bytes / 1e6
    return Check(
        name="size",
        outcome=Outcome.PASS if size_mb <= rules.size_mb else Outcome.FAIL,
        message=f"{size_mb:.1f} MB, at most {rules.size_mb:g}",
        estimate=size_mb,
        n=1,
    )


def _time_ms(inspector: Inspector, run: int) -> float:
    """Preprocessing and inference of one generated picture, which is larger than the input."""
    picture = golden_picture("noise", run % 4, inspector.card.input)
    recipe = golden_recipe(inspector.card.model_id)
    started_ns = time.perf_counter_ns()
    inspector.inspect(inspector.prepare(picture, recipe))
    return (time.perf_counter_ns() - started_ns) / 1e6
