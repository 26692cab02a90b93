"""Halts of the line, how long it stood, and which of them were needless.

A halt is an alarm whose action reached "halt". It was needless when people looked at parts that it names and called every one
of them good, or when its acknowledgement says so (its note holds "needless" or "false alarm"). It was justified when one of those
parts was called defective. Otherwise it is undecided, and every number that depends on it becomes a range.

Standstill: the first pause of at least ``least_s`` between two parts that begins while the alarm is young or open, and no more
than ``most_min``. A halt after which parts went on coming cost no time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from qc.domain.alarm import Action, Alarm
from qc.domain.truth import Answer, Truth

NEEDLESS_WORDS = ("needless", "false alarm")
_YOUNG = timedelta(minutes=5)


class HaltVerdict(StrEnum):
    NEEDLESS = "needless"
    JUSTIFIED = "justified"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Halt:
    """minutes: of standstill."""

    at: datetime
    slice: str
    verdict: HaltVerdict
    reason: str
    minutes: float


@dataclass(frozen=True, slots=True)
class HaltSummary:
    """needless_low, needless_high: bounds of the number (and of the minutes) of needless halts; equal when every halt is decided."""

    halts: int
    minutes: float
    needless_low: int
    needless_high: int
    needless_min_low: float
    needless_min_high: float


def halts_of(
    alarms: Sequence[Alarm],
    decided_us: NDArray[np.int64],
    answers_of: Callable[[str], Sequence[Answer]],
    *,
    least_s: float = 60.0,
    most_min: float = 480.0,
) -> list[Halt]:
    """alarms: of a period. decided_us: (N,) times of all its records. answers_of: event id -> labels, as stored."""
    asked = [alarm for alarm in alarms if alarm.action is Action.HALT]
    if not asked:
        return []
    times = np.sort(decided_us)
    return [_halt(alarm, times, answers_of, least_s, most_min) for alarm in sorted(asked, key=lambda alarm: alarm.since)]


def summary(halts: Sequence[Halt]) -> HaltSummary:
    needless = [halt for halt in halts if halt.verdict is HaltVerdict.NEEDLESS]
    possible = [halt for halt in halts if halt.verdict is not HaltVerdict.JUSTIFIED]
    return HaltSummary(
        len(halts),
        sum(halt.minutes for halt in halts),
        len(needless),
        len(possible),
        sum(halt.minutes for halt in needless),
        sum(halt.minutes for halt in possible),
    )


def _halt(
    alarm: Alarm, times: NDArray[np.int64], answers_of: Callable[[str], Sequence[Answer]], least_s: float, most_min: float
) -> Halt:
    verdict, reason = _verdict(alarm, answers_of)
    minutes = min(_standstill_s(alarm, times, least_s) / 60, most_min)
    return Halt(alarm.since, alarm.slice, verdict, reason, minutes)


def _verdict(alarm: Alarm, answers_of: Callable[[str], Sequence[Answer]]) -> tuple[HaltVerdict, str]:
    said = [truth for event in alarm.parts if (truth := _last_word(answers_of(event))) is not None]
    if Truth.DEFECT in said:
        return HaltVerdict.JUSTIFIED, f"{said.count(Truth.DEFECT)} of {len(said)} looked-at parts are defective"
    if any(word in alarm.note.lower() for word in NEEDLESS_WORDS):
        return HaltVerdict.NEEDLESS, f"acknowledged as needless by {alarm.acknowledged_by or 'someone unnamed'}"
    if said:
        return HaltVerdict.NEEDLESS, f"all {len(said)} looked-at parts are good"
    return HaltVerdict.UNDECIDED, "nobody has looked at its parts"


def _last_word(answers: Sequence[Answer]) -> Truth | None:
    usable = [answer.label for answer in answers if answer.label.truth is not Truth.UNSURE]
    return max(usable, key=lambda label: (label.review_round, label.labelled_at)).truth if usable else None


def _standstill_s(alarm: Alarm, times: NDArray[np.int64], least_s: float) -> float:
    start, end = _us(alarm.since), _us(max(alarm.updated_at, alarm.since + _YOUNG))
    # The pause may begin with the part that raised the alarm, decided just before it.
    first = max(int(np.searchsorted(times, start, "right")) - 1, 0)
    near = times[first : int(np.searchsorted(times, end, "right")) + 1]
    pauses = np.diff(near)
    long = np.flatnonzero(pauses >= least_s * 1e6)
    return float(pauses[long[0]]) / 1e6 if len(long) else 0.0


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)
