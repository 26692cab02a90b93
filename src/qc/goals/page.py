"""The report as one HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import jinja2
from markupsafe import Markup

from qc.domain.truth import Rate
from qc.evaluate.slices import SliceRates
from qc.goals import charts, wording
from qc.goals.efficiency import Efficiency
from qc.goals.halts import HaltSummary
from qc.goals.report import MONTHLY_COST, Report
from qc.goals.wording import METRIC_WORDS

MOST_ALARMS: Final = 30
_BAR_PX: Final = 132.0
_RATES_SHOWN: Final = (("detection_rate", charts.BLUE), ("false_positive_rate", charts.RED), ("escapes_ppm", charts.PURPLE))


@dataclass(frozen=True, slots=True)
class Bar:
    """A small interval bar in pixels; target None: none is drawn."""

    low: float
    width: float
    point: float
    target: float | None


def report_page(report: Report, zone: tzinfo, *, has_costs: bool = True) -> str:
    """HTML text; times are shown in ``zone``."""
    currency = report.now.cost.currency if report.now.cost else ""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qc.goals", "."), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters.update(_filters(currency, zone))
    return environment.get_template("page.html").render(
        r=report,
        cards=cards(report),
        charts={name: Markup(svg) for name, svg in _charts(report).items()},  # noqa: S704 - drawn here; matplotlib escapes texts
        cost_words=wording.COST_WORDS,
        bucket_word=_bucket_word(report),
        single=", ".join(report.audit.single),
        most_alarms=MOST_ALARMS,
        has_costs=has_costs,
    )


def cards(report: Report) -> list[tuple[str, Rate]]:
    """The numbers at the top, by metric."""
    now = report.now
    found = [(name, now.rates[name]) for name in ("detection_rate", "false_positive_rate", "escapes_ppm")]
    found.append(("challenge_detection_rate", now.challenge[""]))
    found.append(("production_efficiency", now.efficiency.rate))
    if now.cost is not None:
        found.append((MONTHLY_COST, now.cost.total))
    return found


def _charts(report: Report) -> dict[str, str]:
    now = report.now
    targets = {g.goal.metric: g.goal.target for g in reversed(report.goals) if not g.goal.slice}
    drawn = dict.fromkeys(("rates", "rejects", "pareto", "quality", "e_values", "e_history", "costs"), "")
    if now.buckets:
        drawn["rates"] = charts.rates_over_time(now.buckets, _RATES_SHOWN, targets, now.alarms)
        drawn["rejects"] = charts.rejects_over_time(now.shifts, now.alarms)
    if now.defect_types:
        drawn["pareto"] = charts.pareto(now.defect_types, now.parts.judged)
    if now.quality:
        drawn["quality"] = charts.quality_over_time(now.quality)
    if now.cost is not None:
        drawn["costs"] = charts.costs(now.cost, report.baseline.cost if report.baseline else None)
    drawn["e_values"] = charts.e_values(report.readings)
    drawn["e_history"] = charts.evidence_over_time(now.evidence)
    return drawn


def _filters(currency: str, zone: tzinfo) -> dict[str, object]:
    def unit(metric: str) -> str:
        return METRIC_WORDS[metric].unit

    return {
        "named": lambda metric: METRIC_WORDS[metric].name,
        "value": lambda number, metric: wording.value(number, unit(metric), currency),
        "interval": lambda rate, metric: wording.interval(rate, unit(metric)),
        "evidence": wording.evidence,
        "change": lambda change, metric: wording.change(change, metric, currency),
        "money": lambda rate: _money(rate, currency),
        "sign": lambda state: wording.STATE_WORDS[state][0],
        "said": lambda state: wording.STATE_WORDS[state][1],
        "moment": lambda at: at.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
        "day": lambda at: at.astimezone(zone).strftime("%Y-%m-%d"),
        "p": lambda p: "–" if p is None else ("< 0.001" if p < 0.001 else f"{p:.3f}"),
        "bar": interval_bar,
        "full": _full_scale,
        "lost": _lost,
        "needless": _needless,
    }


def interval_bar(rate: Rate, target: float | None = None, full: float = 1.0) -> Bar | None:
    """From 0 to ``full``; with a target: the part of the scale that holds interval and target. None when nothing can be drawn."""
    if rate.estimate is None or rate.low is None or rate.high is None:
        return None
    start, end = 0.0, full
    if target is not None:
        start, end = min(rate.low, target), max(rate.high, target)
        margin = 0.15 * (end - start) or 0.01
        start, end = start - margin, end + margin

    def px(value: float) -> float:
        return round(min(max((value - start) / (end - start), 0.0), 1.0) * _BAR_PX, 1)

    low, high = px(rate.low), px(rate.high)
    return Bar(low, max(high - low, 1.0), max(px(rate.estimate) - 1.5, 0.0), None if target is None else px(target))


def _full_scale(rows: Sequence[SliceRates], metric: str) -> float:
    """One scale for the bars of a table."""
    return 1.15 * max((row.rates[metric].high or 0.0 for row in rows), default=0.0) or 1.0


def _bucket_word(report: Report) -> str:
    name = report.now.buckets[0].name if report.now.buckets else ""
    return "shift" if "/" in name else "week" if "-W" in name else "day"


def _money(rate: Rate, currency: str) -> str:
    if rate.estimate is None:
        return f"not estimable: {rate.not_estimable}"
    text = wording.value(rate.estimate, "money", currency)
    return text if rate.low == rate.high else f"{text} ({wording.interval(rate, 'money')})"


def _lost(produced: Efficiency) -> str:
    return _range(f"{100 * produced.lost_low:.1f}", f"{100 * produced.lost_high:.1f}") + " %"


def _needless(halted: HaltSummary) -> str:
    return _range(str(halted.needless_low), str(halted.needless_high))


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
