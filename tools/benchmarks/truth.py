"""The truth street against the real line, in simulated production with real cells and the real model's answers (docs/truth.md).

causes       the same decays with monitor, halt policy and labels alone (no line, store, broker): tens of seeds
coverage     productions of 20,000 parts: do the intervals cover, are the planned labels asked?
decays       injected decays: first alarm, parts and labels until then, cause; with a confusion table
in-control   100,000 healthy parts with lot-to-lot noise: false alarms
end-to-end   a shorter shift with nothing replayed, labels over a real mosquitto
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.rig import ROOT
from benchmarks.truth_bank import Bank, build_bank
from benchmarks.truth_coverage import covers, repeat
from benchmarks.truth_decays import DECAYS, Outcome, confusion, run_seed
from benchmarks.truth_end_to_end import end_to_end
from benchmarks.truth_quick import quick_decay
from benchmarks.truth_world import VARIANT, World
from qc.commands.logs import set_up_logs
from qc.settings import load_recipes

SHIFTS, PER_SHIFT = 10, 2000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py truth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["causes", "coverage", "decays", "in-control", "end-to-end"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one repetition each")
    parser.add_argument("--parts", type=int, help="in-control: 100,000; end-to-end: 2,000")
    parser.add_argument("--only", default="", help="decays whose name holds this")
    parser.add_argument("--out", type=Path, help="append each result as a line of JSON")
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    bank = build_bank(ROOT / "models", "solar-mono-1", load_recipes(ROOT / "configs" / "recipes")[VARIANT])
    match options.what:
        case "coverage":
            _coverage(bank, options.seeds, options.out)
        case "decays":
            outcomes = [
                outcome
                for seed in options.seeds
                for outcome in run_seed(bank, World(), seed, lambda outcome: _note(asdict(outcome), options.out), options.only)
            ]
            print(decay_table(outcomes))
        case "causes":
            recipe = load_recipes(ROOT / "configs" / "recipes")[VARIANT]
            outcomes = []
            for one in (one for one in DECAYS if options.only in one.name and not one.stage.frozen):
                for seed in options.seeds:
                    outcomes.append(quick_decay(bank, recipe, World(), seed, one))
                    _note(asdict(outcomes[-1]), options.out)
            print(decay_table(outcomes))
        case "in-control":
            for seed in options.seeds:
                shifts = (options.parts or 100_000) // PER_SHIFT
                result = repeat(bank, World(), shifts, seed)
                _note({"seed": seed, "parts": result.parts, "labels": result.labels, "alarms": result.alarms}, options.out)
        case _:
            _note(end_to_end(bank, options.parts or 2000, labels=150), options.out)
    return 0


def _coverage(bank: Bank, seeds: Sequence[int], out: Path | None) -> None:
    repetitions = []
    for seed in seeds:
        repetitions.append(repeat(bank, World(), SHIFTS, seed))
        _note(asdict(repetitions[-1]), out)
    for name, pairs in (
        ("DR", [(one.detection, one.true_detection) for one in repetitions]),
        ("FPR", [(one.false_positive, one.true_false_positive) for one in repetitions]),
    ):
        known = [(rate, truth) for rate, truth in pairs if rate.estimate is not None]
        width = statistics.median(((rate.high or 0) - (rate.low or 0)) / 2 for rate, _ in known)
        bias = statistics.mean((rate.estimate or 0) - truth for rate, truth in known)
        inside = sum(covers(rate, truth) for rate, truth in known)
        print(
            f"{name}: {inside} of {len(pairs)} intervals cover; half-width {100 * width:.1f} points; mean error {100 * bias:+.1f}"
        )
    share = [one.asked / one.planned for one in repetitions]
    print(f"labels asked / planned: {statistics.mean(share):.3f} (from {min(share):.3f} to {max(share):.3f})")


def decay_table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: one row per decay with medians over the seeds, then how often which cause was named."""
    lines = [
        "| where | decay | first alarm | parts | labels | its cause at once | named rightly after | a shift later |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in DECAYS:
        found = [outcome for outcome in outcomes if outcome.decay == one.name]
        if not found:
            continue
        heard = [outcome for outcome in found if outcome.first]
        firsts = ", ".join(f"{name} {n}x" for name, n in _counted([outcome.first or "none" for outcome in found]))
        causes = ", ".join(f"{name} {n}x" for name, n in _counted([outcome.cause or "none" for outcome in found]))
        later = ", ".join(f"{name} {n}x" for name, n in _counted([outcome.later or "none" for outcome in found]))
        parts = f"{statistics.median(o.parts for o in heard):.0f}" if heard else f"none in {found[0].parts}"
        labels = f"{statistics.median(o.labels for o in heard):.0f}" if heard else f"{found[0].labels}"
        named = [outcome.named for outcome in heard if outcome.named >= 0]
        after = f"{statistics.median(named):.0f} parts ({len(named)} of {len(found)})" if named else "never" if one.causes else ""
        lines.append(f"| {one.where} | {one.name} | {firsts} | {parts} | {labels} | {causes} | {after} | {later} |")
    return "\n".join([*lines, "", json.dumps(confusion(list(outcomes)), indent=1)])


def _counted(names: list[str]) -> list[tuple[str, int]]:
    return sorted(((name, names.count(name)) for name in set(names)), key=lambda item: (-item[1], item[0]))


def _note(result: dict[str, object], out: Path | None) -> None:
    line = json.dumps(result)
    print(line, flush=True)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
