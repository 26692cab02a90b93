"""What sampling and monitoring cost the line: two edges in one process, one with and one without, in alternating short rounds."""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.rig import ROOT, Rig, cells
from qc.commands.logs import set_up_logs
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord
from qc.inspection.tiny import write_tiny_bundle
from qc.monitor.watch import Monitor
from qc.settings.line import MonitoringSettings, SamplingLineSettings

REFERENCE_PARTS = 10_500
"""Enough for every detector to be running, which costs more than collecting the reference."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py monitoring-cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="pairs of measurements")
    parser.add_argument("--parts", type=int, default=60, help="parts per measurement")
    parser.add_argument("--model", choices=["solar-mono-1", "tiny"], default="solar-mono-1", help="tiny: costs nothing itself")
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    frames = cells()
    with ExitStack() as stack:
        models = ROOT / "models"
        if options.model == "tiny":
            models = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_tiny_bundle(models, "tiny")
        without = {"sampling": SamplingLineSettings(enabled=False), "monitoring": MonitoringSettings(enabled=False)}
        on = stack.enter_context(Rig(frames, models, options.model))
        off = stack.enter_context(Rig(frames, models, options.model, without))
        _commission(on)
        off.seconds_for(2 * options.parts)
        pairs, cpu = [], []
        for number in range(options.rounds):  # who goes first changes, so that neither profits from the other's leftovers
            taken = {rig: _round(rig, options.parts) for rig in ((on, off) if number % 2 else (off, on))}
            pairs.append((taken[on][0], taken[off][0]))
            cpu.append((taken[on][1], taken[off][1]))
    print(f"{options.model}: {options.rounds} pairs of {options.parts} parts, in turn")
    print(f"off {options.parts / statistics.median(s for _, s in pairs):8.1f} parts/s (median)")
    print(f"on  {options.parts / statistics.median(s for s, _ in pairs):8.1f} parts/s (median)")
    print(f"throughput ratio on / off:       {_spread(pairs)}   (goal >= 0.97)")
    print(f"the same in CPU time per part:   {_spread(cpu)}   (what an overloaded machine can still tell)")
    print(
        f"CPU per part off, on: {_per_part_ms(cpu, 1, options.parts):.2f}, {_per_part_ms(cpu, 0, options.parts):.2f} ms (medians)"
    )
    return 0


def _round(rig: Rig, parts: int) -> tuple[float, float]:
    """Seconds by the wall clock and of this process."""
    before = time.process_time()
    return rig.seconds_for(parts), time.process_time() - before


def _spread(pairs: list[tuple[float, float]]) -> str:
    ratios = sorted(off / on for on, off in pairs)
    quarter = len(ratios) // 4
    together = sum(off for _, off in pairs) / sum(on for on, _ in pairs)
    return f"median {statistics.median(ratios):.3f}, quartiles {ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}, together {together:.3f}"


def _per_part_ms(pairs: list[tuple[float, float]], side: int, parts: int) -> float:
    return statistics.median(pair[side] for pair in pairs) / parts * 1e3


def _commission(rig: Rig) -> None:
    """Feed the monitor its reference from real records, over and over: running them all through the model would take minutes."""
    collector = _Collector()
    monitor: Monitor = rig.edge.street.monitor
    inspected = monitor.inspected
    monitor.inspected = collector.inspected
    rig.seconds_for(256)
    monitor.inspected = inspected
    for number in range(REFERENCE_PARTS):
        record = collector.records[number % len(collector.records)]
        monitor.on_record(replace(record, seq=0, event_id=f"reference-{number}"))
    scores = [reading for reading in monitor.readings() if reading.quantity == "score"]
    if not all(reading.log_value is not None for reading in scores):
        raise RuntimeError("the reference is not complete")


class _Collector:
    def __init__(self) -> None:
        self.records: list[InspectionRecord] = []

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.records.append(record)
