"""Halts: which were needless, and how long the line stood."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.truth import Answer, Label, Purpose, SampleTicket, Truth
from qc.goals.halts import HaltVerdict, halts_of, summary

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
EVERY_10_S = np.array([(T0 + timedelta(seconds=10 * k)).timestamp() * 1e6 for k in range(361)], np.int64)
HALT = Alarm(
    "a1",
    "halt_policy",
    "mono",
    AlarmState.CLEARED,
    Cause.UNKNOWN,
    Action.HALT,
    8,
    8,
    "8 NG among 10",
    since=T0 + timedelta(minutes=30),
    updated_at=T0 + timedelta(minutes=45),
    parts=("e1", "e2"),
)


def answers(**truths: Truth) -> "dict[str, list[Answer]]":
    made = {}
    for event, truth in truths.items():
        ticket = SampleTicket(f"t-{event}", event, event, "w", "r1", 1.0, "p", Purpose.ESTIMATE, T0, T0 + timedelta(days=1))
        made[event] = [Answer(ticket, Label(f"l-{event}", ticket.ticket_id, truth, "", "anna", T0))]
    return made


@pytest.mark.parametrize(
    ("said", "note", "verdict"),
    [
        ({}, "", HaltVerdict.UNDECIDED),
        ({"e1": Truth.UNSURE}, "", HaltVerdict.UNDECIDED),
        ({"e1": Truth.GOOD}, "", HaltVerdict.NEEDLESS),
        ({"e1": Truth.GOOD, "e2": Truth.DEFECT}, "", HaltVerdict.JUSTIFIED),
        ({}, "Needless, reflection of the lamp", HaltVerdict.NEEDLESS),
        ({"e2": Truth.DEFECT}, "false alarm", HaltVerdict.JUSTIFIED),
    ],
)
def test_people_decide_whether_a_halt_was_needless(said: dict[str, Truth], note: str, verdict: HaltVerdict) -> None:
    known = answers(**said)
    (halt,) = halts_of([replace(HALT, note=note)], EVERY_10_S, lambda event: known.get(event, []))
    assert halt.verdict is verdict


def test_only_halts_count() -> None:
    assert halts_of([replace(HALT, action=Action.REVIEW_ALL)], EVERY_10_S, lambda _: []) == []


def without(first: int, last: int) -> NDArray[np.int64]:
    """The parts with a pause in place of numbers first to last - 1."""
    return np.delete(EVERY_10_S, slice(first, last))


def test_standstill_is_the_pause_that_follows() -> None:
    stopped = without(182, 260)
    (halt,) = halts_of([HALT], stopped, lambda _: [])
    assert halt.minutes == pytest.approx((260 - 181) * 10 / 60)
    (went_on,) = halts_of([HALT], EVERY_10_S, lambda _: [])
    assert went_on.minutes == 0


def test_a_pause_long_before_or_after_is_another_matter() -> None:
    for first, last in ((20, 80), (320, 350)):
        elsewhere = without(first, last)
        (halt,) = halts_of([HALT], elsewhere, lambda _: [])
        assert halt.minutes == 0


def test_no_stop_lasts_longer_than_the_cap() -> None:
    weekend = np.append(EVERY_10_S[:182], EVERY_10_S[182] + int(3 * 86_400e6))
    (halt,) = halts_of([HALT], weekend, lambda _: [])
    assert halt.minutes == 480
    assert halts_of([HALT], np.zeros(0, np.int64), lambda _: [])[0].minutes == 0


def test_undecided_halts_make_a_range() -> None:
    needless = replace(
        HALT, alarm_id="a2", note="needless", since=T0 + timedelta(minutes=10), updated_at=T0 + timedelta(minutes=12)
    )
    found = summary(halts_of([HALT, needless], EVERY_10_S, lambda _: []))
    assert (found.halts, found.needless_low, found.needless_high) == (2, 1, 2)
