"""What the inspection costs: money per month with the uncertainty of the rates carried through.

A period's cost is a sum of terms c_i p_i (estimated: escapes, false rejects) and of known ones (reviews, labels, halts).
Escapes are estimated from labels on accepted parts only, false rejects from labels on rejected ones only, so their errors are
independent and the limits of the sum follow by MOVER without any assumption on shape and without random draws:
L = T - sqrt(sum (c_i (p_i - l_i))^2), U likewise (Zou, Huang & Zhang 2009, Comput. Stat. Data Anal. 53:1080). Needless halts are
not a sample: between those that were shown to be needless and those not shown to be justified lie hard bounds, added as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qc.domain.truth import Rate

DAYS_PER_MONTH = 30.4375
METHOD = "mover-sum"
COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class CostModel:
    """All money in one currency; the plant's own numbers.

    escape: a defective part that leaves the line. false_reject: a good part thrown out, everything included (rework, scrap,
    re-inspection). review_minute: a person looking at reviewed parts or labelling. halt_minute: a standing line, besides the parts
    not made; those count parts_per_hour / 60 x part_value. review_s: seconds that a person looks at one REVIEW part.
    """

    currency: str
    escape: float
    false_reject: float
    review_minute: float
    halt_minute: float
    part_value: float
    parts_per_hour: float
    review_s: float = 20.0

    @property
    def halted_minute(self) -> float:
        """All that a minute of standstill costs."""
        return self.halt_minute + self.parts_per_hour / 60 * self.part_value


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a period used up. parts: judged production parts. days: its length in days, > 0.

    escaped, thrown_out: shares of all parts that are defective and accepted, and good and NG. label_s: seconds spent labelling.
    halted_min: minutes of standstill after halts.
    """

    parts: int
    days: float
    escaped: Rate
    thrown_out: Rate
    reviewed: int
    label_s: float
    halted_min: float


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """items: money per month by cause; total: their sum. Each a Rate whose unit is money per month."""

    currency: str
    total: Rate
    items: Mapping[str, Rate] = field(default_factory=dict)


def monthly_cost(model: CostModel, used: Consumption) -> MonthlyCost:
    """Scaled to a month of 30.44 days that is like the period."""
    months = used.days / DAYS_PER_MONTH
    items = {
        "escapes": scaled(used.escaped, used.parts * model.escape / months),
        "false_rejects": scaled(used.thrown_out, used.parts * model.false_reject / months),
        "reviews": _known(used.reviewed * model.review_s / 60 * model.review_minute / months, used.reviewed),
        "labelling": _known(used.label_s / 60 * model.review_minute / months, used.parts),
        "halts": _known(used.halted_min * model.halted_minute / months, used.parts),
    }
    return MonthlyCost(model.currency, total_of(items), items)


def total_of(items: Mapping[str, Rate]) -> Rate:
    """Sum of independent items; not estimable, with the reason, when one of them is not."""
    values = list(items.values())
    n = max(v.n for v in values if v.method != COUNTED)  # the same labels serve several items
    found = sum(v.found for v in values)
    confidence = values[0].confidence
    for name, value in items.items():
        if value.estimate is None or value.low is None or value.high is None:
            reason = f"{name.replace('_', ' ')}: {value.not_estimable}"
            return Rate(None, None, None, n, found, METHOD, confidence, reason)
    point = np.array([v.estimate for v in values], float)
    down = point - np.array([v.low for v in values], float)
    up = np.array([v.high for v in values], float) - point
    total = float(point.sum())
    unconfirmed = any(v.unconfirmed for v in values)
    low, high = total - float(np.hypot.reduce(down)), total + float(np.hypot.reduce(up))
    return Rate(total, low, high, n, found, METHOD, confidence, unconfirmed=unconfirmed)


def scaled(rate: Rate, factor: float) -> Rate:
    """The rate in another unit; factor >= 0."""
    if rate.estimate is None or rate.low is None or rate.high is None:
        return rate
    return Rate(
        rate.estimate * factor,
        rate.low * factor,
        rate.high * factor,
        rate.n,
        rate.found,
        rate.method,
        rate.confidence,
        unconfirmed=rate.unconfirmed,
    )


def _known(money: float, n: int) -> Rate:
    return Rate(money, money, money, n, 0, COUNTED)
