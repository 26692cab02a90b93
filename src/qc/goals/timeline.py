"""The rates of a period over time: by shift, day or week, whichever leaves enough labels and few enough points to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np

from qc.domain.truth import Rate
from qc.goals import measures
from qc.goals.period import UNKNOWN, Period

MOST_SHIFTS = 45
MOST_DAYS = 62
FEWEST_DEFECTS = 8
"""Found defects that a point of the detection rate should rest on, on average; with fewer its interval says nothing."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """name: a shift (``2026-11-24/early``), day or ISO week. start: of its first record."""

    name: str
    start: datetime
    parts: int
    rates: Mapping[str, Rate]


def timeline(period: Period, *, fewest_defects: float | None = None) -> list[Bucket]:
    """In order of time; empty without judged parts.

    fewest_defects: found defects per bucket, on average, if the period has them; None: finest steps, with the rates that need no labels.
    """
    if not period.judged:
        return []
    start_of_window = _window_starts(period)
    windows = period.parts.levels["window"]
    named = _bucket_names(windows, int(period.labels.defective.sum()), fewest_defects or 0)
    levels = tuple(sorted(set(named)))
    table = np.array([levels.index(name) for name in named], np.int64)
    columns = dict(period.parts.columns) | {"bucket": table[period.parts.columns["window"]]}
    bucketed = replace(
        period, parts=replace(period.parts, columns=columns, levels=dict(period.parts.levels) | {"bucket": levels})
    )
    starts: dict[str, datetime] = {}
    for window, name in zip(windows, named, strict=True):
        if window in start_of_window:
            starts[name] = min(starts.get(name, start_of_window[window]), start_of_window[window])
    buckets = [
        Bucket(one.key["bucket"], starts[one.key["bucket"]], one.parts, one.rates)
        for one in (measures.counted_by if fewest_defects is None else measures.rates_by)(bucketed, ("bucket",))
    ]
    return sorted(buckets, key=lambda bucket: bucket.start)


def _window_starts(period: Period) -> dict[str, datetime]:
    codes, levels = period.records.column("shift")
    first = np.full(len(levels), np.iinfo(np.int64).max)
    np.minimum.at(first, codes, period.records.decided_us)
    return {
        level: datetime.fromtimestamp(int(us) / 1e6, UTC)
        for level, us in zip(levels, first, strict=True)
        if us < np.iinfo(np.int64).max
    }


def _bucket_names(windows: Sequence[str], defects: int, fewest_defects: float) -> list[str]:
    """The finest division with few enough buckets, each with enough defects; weeks when there is none."""
    days = [window.rpartition("/")[0] for window in windows]
    for names, most in ((windows, MOST_SHIFTS), (days, MOST_DAYS)):
        buckets = len(set(names))
        if buckets <= most and defects >= fewest_defects * buckets:
            return [name or UNKNOWN for name in names]
    return [_week(day) for day in days] if len(set(days)) > 1 else [day or UNKNOWN for day in days]


def _week(day: str) -> str:
    try:
        year, week, _ = date.fromisoformat(day).isocalendar()
    except ValueError:
        return UNKNOWN
    return f"{year}-W{week:02d}"
