"""What a person at the terminal sees of a training: progress with the time left, and the result."""

import sys
import time
from pathlib import Path
from typing import Any

from qc.domain.model import ModelCard
from qc.training.features import Progress

INTERVAL_S = 1.0


def terminal_progress(stream: Any = None) -> Progress:
    """One line that is rewritten on a terminal; in a log, one line per stage."""
    out = stream or sys.stderr
    live = bool(out.isatty())
    state: dict[str, float | str] = {"stage": "", "started": 0.0, "shown": 0.0}

    def show(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != state["stage"]:
            state.update(stage=stage, started=now, shown=0.0)
        if done < total and (not live or now - float(state["shown"]) < INTERVAL_S):
            return
        state["shown"] = now
        elapsed = now - float(state["started"])
        left = elapsed / max(done, 1) * (total - done)
        text = f"{stage}: {done} of {total}, {elapsed:.0f} s" + (f", about {left:.0f} s left" if done < total else "")
        out.write(f"\r{text:<78}" + ("\n" if done >= total else "") if live else f"{text}\n")
        out.flush()

    return show


def silent_progress(stage: str, done: int, total: int) -> None:
    """For tests and batch runs."""


def show_card(card: ModelCard, out: Path) -> None:
    held: Any = card.rates.get("held_out") or {}
    promised: Any = card.rates["promised"]
    lines = [
        f"{out}: {card.input.height} x {card.input.width} pixels, review_at {card.review_at:.3f}, reject_at {card.reject_at:.3f}",
        f"  branches: {card.training['branches']}",
        f"  promised: {_rates(promised)}",
    ]
    if held:
        lines.append(f"  held out: {_rates(held)}, AUROC {_percent(held['auroc'])}")
    lines += [f"  note: {limit}" for limit in card.limits]
    sys.stdout.write("\n".join(lines) + "\n")


def _rates(rates: Any) -> str:
    return ", ".join(
        f"{name} {_percent(rates[key]['estimate'])} ({_percent(rates[key]['low'])} to {_percent(rates[key]['high'])})"
        for name, key in (("detection", "detection_rate"), ("false positives", "false_positive_rate"))
    )


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def show_report(report: dict[str, Any]) -> None:
    lines = [
        f"{report['model']} on {report['dataset']}, {report['split']}: {report['good']} good, {report['defects']} defects",
        f"  AUROC {_percent(report['auroc'])}, at {report['threshold']:.3f}: {_rates(report)}",
        f"  to review {_percent(report['review_share'])}, {report['latency_ms']} ms each",
    ]
    lines += [f"  note: {note}" for note in report["notes"]]
    sys.stdout.write("\n".join(lines) + "\n")
