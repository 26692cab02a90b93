"""Production efficiency: good parts delivered, out of those that the planned speed would have made.

efficiency = (accepted parts - escapes) / (parts_per_hour x production hours), production hours being the sum over shifts of the
time from a shift's first part to its last. So speed, standstill, false rejects and real defects all lower it, and what
needless halts took of it can be told apart. The number of accepted parts is counted; escapes come with their interval.
"""

from dataclasses import dataclass

import numpy as np

from qc.domain.columns import RecordColumns
from qc.domain.truth import Rate
from qc.goals.halts import HaltSummary

METHOD = "accepted minus escapes"


@dataclass(frozen=True, slots=True)
class Efficiency:
    """rate: of planned output. lost_low, lost_high: bounds of what needless halts took, as shares of planned output."""

    rate: Rate
    hours: float
    planned_parts: float
    lost_low: float
    lost_high: float


def production_hours(records: RecordColumns) -> float:
    """Sum over shifts of the time from the first record to the last."""
    codes, levels = records.column("shift")
    if not len(codes):
        return 0.0
    first = np.full(len(levels), np.iinfo(np.int64).max)
    last = np.full(len(levels), np.iinfo(np.int64).min)
    np.minimum.at(first, codes, records.decided_us)
    np.maximum.at(last, codes, records.decided_us)
    used = first <= last
    return float((last[used] - first[used]).sum() / 3.6e9)


def efficiency(
    parts: int, rejected: int, escaped: Rate, halts: HaltSummary, *, hours: float, parts_per_hour: float | None
) -> Efficiency:
    """parts, rejected: production. escaped: share of parts. parts_per_hour: None when the plant did not say it."""
    planned = (parts_per_hour or 0.0) * hours
    reason = ""
    if parts_per_hour is None:
        reason = "goals.toml does not say costs.parts_per_hour"
    elif planned <= 0:
        reason = "no production time"
    elif escaped.estimate is None or escaped.low is None or escaped.high is None:
        reason = escaped.not_estimable
    if reason:
        rate = Rate(None, None, None, escaped.n, escaped.found, METHOD, escaped.confidence, reason)
        return Efficiency(rate, hours, planned, 0.0, 0.0)
    assert escaped.estimate is not None
    assert escaped.low is not None
    assert escaped.high is not None
    accepted = parts - rejected
    rate = Rate(
        (accepted - parts * escaped.estimate) / planned,
        (accepted - parts * escaped.high) / planned,
        (accepted - parts * escaped.low) / planned,
        escaped.n,
        escaped.found,
        METHOD,
        escaped.confidence,
        unconfirmed=escaped.unconfirmed,
    )
    assert parts_per_hour is not None
    lost = [minutes * parts_per_hour / 60 / planned for minutes in (halts.needless_min_low, halts.needless_min_high)]
    return Efficiency(rate, hours, planned, lost[0], lost[1])
