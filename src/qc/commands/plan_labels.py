"""``qc plan-labels``: how many labels, over how many shifts, at what price, for an interval of +-x points."""

import json
from dataclasses import asdict

from rich.console import Console

from qc.commands.layout import facts
from qc.domain.errors import ConfigError
from qc.evaluate.planner import LabelQuestion, plan_labels


def question(
    *,
    metric: str,
    half_width_points: float,
    prevalence_percent: float,
    detection_rate_percent: float,
    false_positive_rate_percent: float,
    parts_per_window: int,
    labels_per_window: int,
    most_windows: int,
    verify_all_rejects: bool,
    seconds_per_label: float,
) -> LabelQuestion:
    """From what people type (points, per cent). Raises ConfigError for an unknown metric, SamplingError for impossible numbers."""
    if metric not in ("detection_rate", "false_positive_rate"):
        raise ConfigError(f"--metric {metric!r}: detection_rate or false_positive_rate")
    return LabelQuestion(
        half_width=half_width_points / 100,
        prevalence=prevalence_percent / 100,
        metric="detection_rate" if metric == "detection_rate" else "false_positive_rate",
        detection_rate=detection_rate_percent / 100,
        false_positive_rate=false_positive_rate_percent / 100,
        parts_per_window=parts_per_window,
        labels_per_window=labels_per_window,
        most_windows=most_windows,
        verify_all_rejects=verify_all_rejects,
        seconds_per_label=seconds_per_label,
    )


def plan(asked: LabelQuestion, *, seed: int, as_json: bool) -> int:
    """Prints the cheapest budget. Raises SamplingError with the reason when it cannot be had."""
    budget = plan_labels(asked, seed=seed)
    if as_json:
        print(json.dumps({"question": asdict(asked), "budget": asdict(budget)}))
        return 0
    rate = "detection rate" if asked.metric == "detection_rate" else "false-positive rate"
    Console().print(
        facts(
            [
                (
                    "question",
                    f"{rate} to +-{100 * asked.half_width:g} points at {100 * asked.prevalence:g} % defective parts",
                ),
                ("labels", f"{budget.labels:,}, of which about {budget.defects:.0f} defects"),
                ("shifts", f"{budget.windows:,} with at most {asked.labels_per_window} labels each"),
                ("second looks", f"about {budget.second_looks:.0f}"),
                ("reviewer time", f"{budget.reviewer_minutes:,.0f} minutes ({budget.reviewer_minutes / 60:.1f} h)"),
                (
                    "interval",
                    f"+-{100 * budget.half_width:.1f} points on average; nine of ten periods do better than "
                    f"+-{100 * budget.half_width_90:.1f}",
                ),
                ("assumed", f"DR {100 * asked.detection_rate:g} %, FPR {100 * asked.false_positive_rate:g} %"),
            ]
        )
    )
    return 0
