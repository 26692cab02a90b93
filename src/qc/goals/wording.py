"""How rates, money and changes are said: the same words in page, terminal and messages. A bare rate is never shown."""

from dataclasses import dataclass
from typing import Final

from qc.domain.truth import Rate
from qc.evaluate.compare import Difference
from qc.goals.targets import GoalState


@dataclass(frozen=True, slots=True)
class MetricWords:
    """name: for people. unit: ``share`` (shown in %), ``ppm`` or ``money``. n, found: what these counts count."""

    name: str
    unit: str
    n: str = "labels"
    found: str = "found"


METRIC_WORDS: Final = {
    "detection_rate": MetricWords("Detection rate", "share", found="defects found"),
    "false_positive_rate": MetricWords("False-positive rate", "share", found="false rejects found"),
    "escapes_ppm": MetricWords("Escapes", "ppm", found="escapes found"),
    "prevalence": MetricWords("Defective parts", "share", found="defects found"),
    "precision": MetricWords("Precision of rejects", "share", found="true rejects found"),
    "reject_rate": MetricWords("Reject rate", "share", n="parts", found="rejected"),
    "review_rate": MetricWords("Review rate", "share", n="parts", found="reviewed"),
    "challenge_detection_rate": MetricWords("Challenge detection rate", "share", n="passes", found="caught"),
    "production_efficiency": MetricWords("Production efficiency", "share", found="escapes found"),
    "monthly_cost": MetricWords("Monthly cost", "money", found="findings"),
}
STATE_WORDS: Final = {
    GoalState.MET: ("✔", "met"),
    GoalState.NOT_MET: ("✖", "not met"),
    GoalState.NOT_ENOUGH_EVIDENCE: ("○", "not enough evidence"),
}
COST_WORDS: Final = {
    "escapes": "Escapes",
    "false_rejects": "Good parts thrown out",
    "reviews": "Review of REVIEW parts",
    "labelling": "Labelling",
    "halts": "Halts",
}


def value(number: float, unit: str, currency: str = "") -> str:
    """One number with its unit.

    >>> value(0.9412, "share"), value(1234.5, "ppm"), value(14500.2, "money", "USD")
    ('94.1 %', '1,234 ppm', 'USD 14,500')
    """
    if unit == "share":
        return f"{bare(number, unit)} %"
    return f"{bare(number, unit)} ppm" if unit == "ppm" else f"{currency} {bare(number, unit)}".strip()


def bare(number: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * number:.1f}" if abs(number) >= 0.0095 or number == 0 else f"{100 * number:.2g}"
    return f"{number:,.0f}"


def with_interval(rate: Rate, metric: str, currency: str = "") -> str:
    """Value and interval, or why there is none."""
    words = METRIC_WORDS[metric]
    if rate.estimate is None or rate.low is None or rate.high is None:
        return f"not estimable: {rate.not_estimable}"
    return f"{value(rate.estimate, words.unit, currency)} ({interval(rate, words.unit)})"


def interval(rate: Rate | Difference, unit: str) -> str:
    """The limits alone."""
    if rate.low is None or rate.high is None:
        return ""
    return f"{bare(rate.low, unit)} to {bare(rate.high, unit)}"


def evidence(rate: Rate, metric: str) -> str:
    """What the rate rests on."""
    words = METRIC_WORDS[metric]
    text = f"{rate.n:,} {words.n}, {rate.found:,} {words.found}"
    return f"{text}; unconfirmed" if rate.unconfirmed else text


def change(difference: Difference, metric: str, currency: str = "") -> str:
    """A difference in points, ppm or money, with its interval."""
    unit = METRIC_WORDS[metric].unit
    if difference.estimate is None or difference.low is None or difference.high is None:
        return f"not estimable ({difference.not_estimable})"
    point = f"{'+' if difference.estimate > 0 else '−' if difference.estimate < 0 else ''}{bare(abs(difference.estimate), unit)}"
    suffix = {"share": " points", "ppm": " ppm", "money": ""}[unit]
    prefix = f"{currency} " if unit == "money" and currency else ""
    return f"{prefix}{point}{suffix} ({_signed(difference.low, unit)} to {_signed(difference.high, unit)})"


def _signed(number: float, unit: str) -> str:
    return f"{'+' if number > 0 else '−' if number < 0 else ''}{bare(abs(number), unit)}"
