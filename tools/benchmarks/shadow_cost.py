"""What a model in the shadow costs the line: two edges in one process, one with an equal model in the shadow, in alternating short rounds.

Twice: with parts as fast as the line takes them (the shadow is shed), and with a part every so often (it keeps up as far as its half core goes).
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.rig import ROOT, Rig, cells
from qc.commands.logs import set_up_logs
from qc.domain.ports import Command
from qc.inspection.bundle import MODEL_FILE, load_card
from qc.inspection.session import seal_bundle

MODEL = "solar-mono-1"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py shadow", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="pairs of measurements")
    parser.add_argument("--parts", type=int, default=40, help="parts per measurement")
    parser.add_argument("--pause-ms", type=float, default=100.0, help="between two parts of the paced rounds")
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    with ExitStack() as stack:
        on, off = (stack.enter_context(Rig(cells(), _models(stack), MODEL)) for _ in range(2))
        on.edge.control.handle(Command("model", {"action": "shadow", "model": "twin"}, "bench", "cli"))
        for rig in (on, off):
            rig.seconds_for(options.parts)
        print(f"{MODEL} with an equal model in the shadow: {options.rounds} pairs of {options.parts} parts, in turn")
        _compare("as fast as the line takes them", on, off, options.rounds, lambda rig: rig.seconds_for(options.parts))
        pace = f"a part every {options.pause_ms:g} ms"
        _compare(pace, on, off, options.rounds, lambda rig: _paced(rig, options.parts, options.pause_ms / 1e3))
    return 0


def _compare(title: str, on: Rig, off: Rig, rounds: int, run: Callable[[Rig], float]) -> None:
    counts = next(iter(on.edge.rollout.shadows().values())).counts
    before = replace(counts)
    seconds, cpu_s, latency = ({on: list[float](), off: list[float]()} for _ in range(3))
    for number in range(rounds):  # who goes first changes, so that neither profits from the other's leftovers
        for rig in (on, off) if number % 2 else (off, on):
            seen, started_s = len(rig.watch.total_ms), time.process_time()
            seconds[rig].append(run(rig))
            latency[rig] += rig.watch.total_ms[seen:]
            time.sleep(0.3)  # what the shadow still has in hand is not the other's burden, but its own cost
            cpu_s[rig].append(time.process_time() - started_s)
    ratios = sorted(without / with_ for with_, without in zip(seconds[on], seconds[off], strict=True))
    print(f"{title}:")
    print(f"  throughput with / without: median {statistics.median(ratios):.3f}, quartiles {_quartiles(ratios)}")
    offered = counts.offered - before.offered
    for name, rig in (("without", off), ("with", on)):
        total_ms = f"trigger to record p50 {_quantile(latency[rig], 0.5):.1f} ms, p99 {_quantile(latency[rig], 0.99):.1f} ms"
        print(f"  {name}: {total_ms}; CPU per part {sum(cpu_s[rig]) / max(1, offered) * 1e3:.1f} ms")
    print(f"  of {offered} parts the shadow judged {counts.judged - before.judged}, shed {counts.shed - before.shed}", flush=True)


def _paced(rig: Rig, parts: int, pause_s: float) -> float:
    """Seconds beyond the pauses."""
    taken_s = 0.0
    for _ in range(parts):
        taken_s += rig.seconds_for(1)
        time.sleep(pause_s)
    return taken_s


def _models(stack: ExitStack) -> Path:
    """A registry of its own with the model and its twin."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qc-bench-")))
    shutil.copytree(ROOT / "models" / MODEL, folder / MODEL)
    seal_bundle(
        folder / "twin",
        (folder / MODEL / MODEL_FILE).read_bytes(),
        replace(load_card(folder / MODEL / "card.json"), model_id="twin"),
    )
    return folder


def _quartiles(ordered: list[float]) -> str:
    return f"{ordered[len(ordered) // 4]:.3f} to {ordered[-1 - len(ordered) // 4]:.3f}"


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
