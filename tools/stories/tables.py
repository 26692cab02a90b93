"""Tables of the stories that have run, from their JSON files: per scenario the median and the worst seed, and one line per run."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qc.domain.errors import ConfigError
from stories.scenario import Scenario, load_scenario

BEGIN, END = "<!-- stories: begin -->", "<!-- stories: end -->"
PERIODS = ("healthy", "decayed", "recovered")
Run = Mapping[str, Any]
Cell = Callable[[Mapping[str, Any]], float | None]


def write_tables(out: Path, page: Path, scenarios: Sequence[Path]) -> None:
    """Between the marks of ``page``. Raises ConfigError."""
    text = page.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ConfigError(f"{page}: the marks {BEGIN} and {END} are missing")
    body = "\n\n".join(section for path in scenarios if (section := scenario_section(out, load_scenario(path))))
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}{BEGIN}\n{body}\n{after}", "utf-8")


def scenario_section(out: Path, scenario: Scenario) -> str:
    """Markdown; empty without runs."""
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob(f"{scenario.name}-*.json"))]
    if not runs:
        return ""
    lines = [
        f"### {scenario.title}",
        "",
        f"`tools/story.py --scenario {scenario.name}`, seeds {', '.join(str(r['seed']) for r in runs)}.",
    ]
    for number, arrival in enumerate(scenario.arrivals):
        if len(scenario.arrivals) > 1:
            lines += ["", f"Round {number + 1}: {', '.join(arrival)} arrives."]
        rounds = [run["rounds"][number] for run in runs]
        lines += ["", *_before_after(rounds, scenario), "", *_course(rounds)]
    lines += ["", *_by_run(runs)]
    return "\n".join(lines)


def _before_after(rounds: Sequence[Run], scenario: Scenario) -> list[str]:
    """Median (worst) over the runs; the worst is the lowest detection rate and efficiency, the highest of all else."""
    rows: list[tuple[str, Cell, Callable[[float], str], bool]] = [
        ("detection rate, truth", _true("detection_rate"), _percent, True),
        ("detection rate, estimated", _said("detection_rate"), _percent, True),
        ("its interval, half width", _half("detection_rate"), _points, False),
        ("false-positive rate, truth", _true("false_positive_rate"), _percent, False),
        ("false-positive rate, estimated", _said("false_positive_rate"), _percent, False),
        ("its interval, half width", _half("false_positive_rate"), _points, False),
        ("review share (by score)", _true("review_share"), _percent, False),
        ("detection rate of decided parts, truth", _true("decided_detection_rate"), _percent, True),
        ("false-positive rate of decided parts, truth", _true("decided_false_positive_rate"), _percent, False),
        ("needless halts, truth", _true("needless_halts"), _number, False),
        ("production efficiency", _said("production_efficiency"), _percent, True),
        ("monthly cost, USD", _said("monthly_cost"), _money, False),
    ]
    if not scenario.review:
        rows = [row for row in rows if "decided" not in row[0]]
    table = [f"| median (worst) of {len(rounds)} | healthy | decayed | recovered |", "|---|---|---|---|"]
    for name, cell, form, low_is_bad in rows:
        cells = []
        for period in PERIODS:
            values = [v for one in rounds if (v := cell(one["periods"][period])) is not None]
            worst = (min if low_is_bad else max)(values, default=None)
            cells.append("-" if worst is None else f"{form(statistics.median(values))} ({form(worst)})")
        table.append(f"| {name} | {' | '.join(cells)} |")
    cover = [
        f"{sum(_covers(one['periods'][p], rate) for one in rounds for p in PERIODS)}"
        for rate in ("detection_rate", "false_positive_rate")
    ]
    of = len(rounds) * len(PERIODS)
    return [
        *table,
        "",
        f"Intervals that hold the truth: detection rate {cover[0]} of {of}, false-positive rate {cover[1]} of {of}.",
    ]


def _course(rounds: Sequence[Run]) -> list[str]:
    def spread(values: Sequence[float | None], form: Callable[[float], str] = lambda v: f"{v:,.0f}") -> str:
        known = [v for v in values if v is not None]
        return f"{form(statistics.median(known))} ({form(max(known))})" if known else "-"

    alarms = [one["alarm"] for one in rounds]
    heard = [alarm for alarm in alarms if alarm.get("quantity")]
    causes = _counts([alarm.get("named") or "none" for alarm in alarms])
    firsts = _counts([f"{alarm['quantity']} ({alarm['cause']})" for alarm in heard])
    gates = _counts([" then ".join(g["outcome"] for g in one["gate"]) for one in rounds])
    held = sum(not one["canary"].get("withdrawn") for one in rounds)
    return [
        f"| course, median (worst) of {len(rounds)} | |",
        "|---|---|",
        f"| alarms before the onset | {sum(len(one['periods']['healthy']['alarms']) for one in rounds)} in {len(rounds)} runs |",
        f"| alarm after the onset | {len(heard)} of {len(rounds)}; first: {firsts} |",
        f"| onset to alarm | {spread([a.get('parts') for a in alarms])} parts, {spread([a.get('hours') for a in alarms], _hours)} h |",
        f"| cause named when the engineer looks | {causes}; right in {sum(bool(a.get('right')) for a in alarms)} of {len(rounds)} |",
        f"| labels from onset to recovery | {spread([one['recovery']['labels'] for one in rounds])}, reviewer's minutes {spread([one['recovery']['minutes'] for one in rounds])} |",
        f"| gate | {gates}; promoted by override: {sum(bool(one['override']) for one in rounds)} |",
        f"| canary | {held} of {len(rounds)} without an alarm |",
        f"| onset to recovery | {spread([one['recovery']['parts'] for one in rounds])} parts, {spread([one['recovery']['hours'] for one in rounds], _hours)} h |",
    ]


def _by_run(runs: Sequence[Run]) -> list[str]:
    table = [
        "| seed | round | decayed DR / FPR | recovered DR / FPR, truth | recovered DR, estimated | FPR, estimated | alarms after recovery | gate | CPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        for number, one in enumerate(run["rounds"], 1):
            decayed, after = one["periods"]["decayed"], one["periods"]["recovered"]
            gate = one["gate"][-1]["outcome"] + (", override" if one["override"] else "")
            table.append(
                f"| {run['seed']} | {number} | {_pair(decayed['truth'])} | {_pair(after['truth'])} | {_span(after, 'detection_rate')} | "
                f"{_span(after, 'false_positive_rate')} | {len(after['alarms'])} | {gate} | {run['cpu_s']:.0f} s |"
            )
    return table


def _true(name: str) -> Cell:
    return lambda period: period["truth"][name]


def _said(name: str) -> Cell:
    return lambda period: (period["estimated"][name] or [None])[0]


def _half(name: str) -> Cell:
    def half(period: Mapping[str, Any]) -> float | None:
        said = period["estimated"][name]
        return None if said is None or said[0] is None else (said[2] - said[1]) / 2

    return half


def _covers(period: Mapping[str, Any], name: str) -> bool:
    said, true = period["estimated"][name], period["truth"][name]
    return bool(said and said[0] is not None and true is not None and said[1] <= true <= said[2])


def _pair(truth: Mapping[str, Any]) -> str:
    return f"{_percent(truth['detection_rate'])} / {_percent(truth['false_positive_rate'])}"


def _span(period: Mapping[str, Any], name: str) -> str:
    said = period["estimated"][name]
    if said is None or said[0] is None:
        return "-"
    return f"{_percent(said[0])} ({_percent(said[1])} to {_percent(said[2])})"


def _counts(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {names.count(name)}x" for name in sorted(set(names), key=lambda name: (-names.count(name), name)))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _number(value: float) -> str:
    return f"{value:.0f}"


def _money(value: float) -> str:
    return f"{value:,.0f}"


def _hours(value: float) -> str:
    return f"{value:.1f}"
