"""Charts as inline SVG, drawn by matplotlib without a display. Colours: Okabe & Ito's, told apart by colour-blind readers too.

Whatever is estimated carries its interval; what cannot be estimated is a grey cross on the axis, never a gap that looks like zero.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from qc.domain.alarm import Alarm
from qc.domain.evidence import EvidenceHour
from qc.domain.truth import Rate
from qc.goals.cost import MonthlyCost
from qc.goals.report import DefectType
from qc.goals.timeline import Bucket
from qc.goals.wording import COST_WORDS, METRIC_WORDS
from qc.monitor.watch import Reading
from qc.record.quality_reader import ShiftQuality

BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY, INK, GRID = "#8a929c", "#24292f", "#e3e7ec"
_CAMERAS: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
_LABELLED: Final = ("detection_rate", "false_positive_rate", "prevalence")
_EVIDENCE_PANELS: Final = (("from labels and challenge parts", True), ("from scores, pictures and decisions", False))
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": "#c4cad2",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def rates_over_time(
    buckets: Sequence[Bucket], metrics: Sequence[tuple[str, str]], targets: dict[str, float], alarms: Sequence[Alarm] = ()
) -> str:
    """One panel per (metric, colour): points with intervals, the goal as a dashed line, alarms as triangles."""

    def paint(figure: Any) -> None:
        panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (metric, colour) in zip(panels, metrics, strict=True):
            _points(panel, buckets, metric, colour)
            if metric in targets:
                scale = 100 if METRIC_WORDS[metric].unit == "share" else 1
                panel.axhline(targets[metric] * scale, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="goal")
            _alarm_marks(panel, buckets, alarms)
            if panel.get_legend_handles_labels()[0]:
                _legend(panel)
        _time_axis(panels[-1], buckets)

    return _draw(paint, height=1.9 * len(metrics) + 0.5, salt="rates")


def rejects_over_time(buckets: Sequence[Bucket], alarms: Sequence[Alarm] = ()) -> str:
    """Reject and review rate as lines with bands."""

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        x = range(len(buckets))
        for metric, colour, marker in (("reject_rate", RED, "o"), ("review_rate", SKY, "s")):
            rates = [bucket.rates[metric] for bucket in buckets]
            panel.plot(
                x,
                [_percent(r.estimate) for r in rates],
                color=colour,
                marker=marker,
                ms=3.5,
                lw=1.4,
                label=METRIC_WORDS[metric].name,
            )
            low, high = [_percent(r.low) for r in rates], [_percent(r.high) for r in rates]
            panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        panel.set_ylim(bottom=0)
        panel.set_ylabel("% of judged parts")
        _alarm_marks(panel, buckets, alarms)
        _legend(panel)
        _time_axis(panel, buckets)

    return _draw(paint, height=2.3, salt="rejects")


def quality_over_time(quality: Sequence[ShiftQuality]) -> str:
    """Mean brightness, contrast, focus and noise per shift and camera."""
    cameras = sorted({one.camera_id for one in quality})
    starts: dict[str, datetime] = {}
    for one in quality:
        starts[one.shift] = min(starts.get(one.shift, one.began), one.began)
    shifts = sorted(starts, key=lambda name: starts[name])

    def paint(figure: Any) -> None:
        panels = figure.subplots(2, 2, sharex=True).ravel()
        for panel, feature in zip(panels, ("brightness", "contrast", "focus", "noise"), strict=True):
            for camera, colour in zip(cameras, _CAMERAS * len(cameras), strict=False):
                mine = [one for one in quality if one.camera_id == camera]
                x = [shifts.index(one.shift) for one in mine]
                panel.plot(
                    x, [getattr(one.means, feature) for one in mine], color=colour, marker="o", ms=2.5, lw=1.2, label=camera
                )
            panel.set_title(feature)
            panel.margins(y=0.25)
        _legend(panels[0])
        for panel in panels[2:]:
            _ticks(panel, shifts)

    return _draw(paint, height=3.6, salt="quality")


def e_values(readings: Sequence[Reading]) -> str:
    """Evidence of the running detectors on a log scale, each against the threshold at which it alarms."""
    shown = [r for r in readings if r.log_value is not None]

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        # 1 is the alarm: detectors with different thresholds stand on one scale.
        values = [max(_share_of_threshold(r), -6.0) for r in shown]
        colours = [RED if v >= 0 else BLUE for v in values]
        panel.barh(range(len(shown)), [v + 6 for v in values], left=-6, color=colours, height=0.6)
        panel.axvline(0, color=INK, linewidth=1.2)
        panel.text(0, -0.75, " alarm", va="center", fontsize=8.5, color=INK)
        panel.set_yticks(range(len(shown)), [f"{r.quantity.replace('_', ' ')}  {r.slice}" for r in shown])
        panel.invert_yaxis()
        panel.set_xlim(-6, max(1.0, *values) + 0.3)
        panel.set_xticks(
            range(-6, math.floor(max(1.0, *values)) + 1), [_power(k) for k in range(-6, math.floor(max(1.0, *values)) + 1)]
        )
        panel.set_xlabel("e-value / alarm threshold")
        panel.grid(axis="y", visible=False)

    return _draw(paint, height=0.32 * len(shown) + 1.0, salt="evalues") if shown else ""


def evidence_over_time(hours: Sequence[EvidenceHour]) -> str:
    """Highest e-value of each hour against the alarm threshold (1), one panel for labels and one for the inputs; what came closest is drawn."""
    by_stream: dict[tuple[str, str], list[EvidenceHour]] = {}
    for one in hours:
        by_stream.setdefault((one.quantity, one.slice), []).append(one)
    kinds = {name: [key for key in by_stream if (key[0] in _LABELLED) is labelled] for name, labelled in _EVIDENCE_PANELS}
    panels_of = {name: keys for name, keys in kinds.items() if keys}

    def share(one: EvidenceHour) -> float:
        return max((one.highest - one.log_threshold) / math.log(10), -6.0)

    def paint(figure: Any) -> None:
        panels = figure.subplots(len(panels_of), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (name, keys) in zip(panels, panels_of.items(), strict=True):
            nearest = sorted(keys, key=lambda key: -max(share(one) for one in by_stream[key]))[: len(_CAMERAS)]
            for key, colour in zip(nearest, _CAMERAS, strict=False):
                mine = by_stream[key]
                label = f"{key[0].replace('_', ' ')}  {key[1]}"
                panel.plot(
                    [one.hour for one in mine], [share(one) for one in mine], color=colour, lw=1.3, marker="o", ms=2, label=label
                )
            panel.axhline(0, color=INK, linewidth=1.2)
            low, high = panel.get_ylim()
            panel.set_ylim(max(low, -6.2), max(high, 0.5))
            panel.yaxis.set_major_formatter(lambda v, _: f"{_power(round(v))}" if abs(v - round(v)) < 1e-6 else "")
            panel.set_title(name)
            panel.legend(loc="upper left", fontsize=7.5, ncols=2)
        panels[-1].tick_params(axis="x", labelrotation=20, labelsize=7.5)

    return _draw(paint, height=2.3 * len(panels_of) + 0.4, salt="ehistory") if panels_of else ""


def pareto(types: Sequence[DefectType], judged: int) -> str:
    """Estimated parts per type of defect, most frequent first, with intervals."""

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        _bars(panel, [t.share for t in types], judged, ORANGE)
        panel.set_yticks(range(len(types)), [t.name for t in types])
        panel.invert_yaxis()
        panel.set_xlabel("estimated defective parts in the period, with interval")
        panel.grid(axis="y", visible=False)

    return _draw(paint, height=0.42 * len(types) + 0.8, salt="pareto") if types else ""


def costs(now: MonthlyCost, baseline: MonthlyCost | None) -> str:
    """Money per month by cause; the baseline beside it when there is one."""
    names = list(now.items)

    def paint(figure: Any) -> None:
        panel = figure.subplots()
        both = baseline is not None
        if baseline is not None:
            _bars(panel, [baseline.items[name] for name in names], 1, "#b6bec8", offset=-0.2, height=0.36, label="baseline")
        _bars(panel, [now.items[name] for name in names], 1, BLUE, offset=0.2 * both, height=0.36 if both else 0.55, label="now")
        panel.set_yticks(range(len(names)), [COST_WORDS[name] for name in names])
        panel.invert_yaxis()
        panel.set_xlabel(f"{now.currency} per month, with interval")
        panel.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        panel.grid(axis="y", visible=False)
        if both:
            panel.legend(loc="lower right")

    return _draw(paint, height=2.6, salt="costs")


def _points(panel: Any, buckets: Sequence[Bucket], metric: str, colour: str) -> None:
    scale = 100 if METRIC_WORDS[metric].unit == "share" else 1
    known = [(i, b.rates[metric]) for i, b in enumerate(buckets) if b.rates[metric].estimate is not None]
    unknown = [i for i, b in enumerate(buckets) if b.rates[metric].estimate is None]
    if known:
        x = [i for i, _ in known]
        y = [(r.estimate or 0.0) * scale for _, r in known]
        down = [v - (r.low or 0.0) * scale for v, (_, r) in zip(y, known, strict=True)]
        up = [(r.high or 0.0) * scale - v for v, (_, r) in zip(y, known, strict=True)]
        panel.errorbar(x, y, yerr=[down, up], fmt="o", ms=4.5, color=colour, elinewidth=1.6, capsize=2.5)
    if unknown:
        panel.plot(
            unknown, [0.03] * len(unknown), "x", color=GREY, ms=5, label="not estimable", transform=panel.get_xaxis_transform()
        )
    panel.set_title(METRIC_WORDS[metric].name)
    panel.set_ylabel("%" if scale == 100 else METRIC_WORDS[metric].unit)
    if metric == "detection_rate":
        panel.set_ylim(0, 102)
    else:
        # One bucket with hardly any label must not press all others flat: its bar runs out of the panel.
        highs = sorted((r.high or 0.0) * scale for _, r in known)
        panel.set_ylim(0, max(2.5 * highs[len(highs) // 2], 1e-9) if highs else 1)
        if panel.get_ylim()[1] > 1.1 * max(highs, default=0):
            panel.set_ylim(0, 1.15 * max(*highs, 1e-9, 0.0))
        panel.yaxis.set_major_formatter(lambda v, _: f"{v:,.{0 if v >= 10 or v == 0 else 1}f}")


def _legend(panel: Any) -> None:
    """In the line of the title, where it hides nothing."""
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, borderaxespad=0.1)


def _bars(
    panel: Any, rates: Sequence[Rate], scale: float, colour: str, *, offset: float = 0.0, height: float = 0.55, label: str = ""
) -> None:
    for i, rate in enumerate(rates):
        if rate.estimate is None or rate.low is None or rate.high is None:
            panel.text(0, i + offset, f"  not estimable: {rate.not_estimable}", va="center", fontsize=8.5, color=GREY)
            continue
        x = rate.estimate * scale
        panel.barh(i + offset, x, height=height, color=colour, label=label if i == 0 else None)
        if rate.low != rate.high:
            error = [[x - rate.low * scale], [rate.high * scale - x]]
            panel.errorbar(x, i + offset, xerr=error, fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5)
    panel.set_xlim(left=0)


def _alarm_marks(panel: Any, buckets: Sequence[Bucket], alarms: Sequence[Alarm]) -> None:
    at = sorted({_bucket_of(buckets, alarm.since) for alarm in alarms})
    if at:
        panel.plot(
            at, [0.96] * len(at), "v", color=RED, ms=6, label="alarm", transform=panel.get_xaxis_transform(), clip_on=False
        )


def _bucket_of(buckets: Sequence[Bucket], moment: datetime) -> int:
    return max((i for i, bucket in enumerate(buckets) if bucket.start <= moment), default=0)


def _time_axis(panel: Any, buckets: Sequence[Bucket]) -> None:
    panel.set_xlim(-0.6, max(len(buckets) - 0.4, 0.6))
    _ticks(panel, [bucket.name for bucket in buckets])


def _ticks(panel: Any, names: Sequence[str], most: int = 14) -> None:
    """Every k-th name; a shift's day is said once."""
    step = max(1, math.ceil(len(names) / most))
    at = list(range(0, len(names), step))
    panel.set_xticks(at, [names[i].replace("/", "\n") for i in at], fontsize=7.5)


def _share_of_threshold(reading: Reading) -> float:
    return ((reading.log_value or 0.0) - reading.log_threshold) / math.log(10)


def _power(k: int) -> str:
    return {0: "1", 1: "10", 2: "100", 3: "1,000"}.get(k, f"1e{k}")


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _draw(paint: Callable[[Any], None], *, height: float, salt: str) -> str:
    """SVG text without header. salt: keeps the ids of several charts apart, and the same from run to run."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(9.6, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        text = io.StringIO()
        figure.savefig(
            text, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    # matplotlib calls the parts of every figure alike; ids must be unique in the page that holds them all.
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{salt}-", svg)
