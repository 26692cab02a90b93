"""Shifts round the clock, through both changes of the clocks, and planned stops."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import ConfigError
from qc.label.windows import PlannedStop, Shifts, StopCalendar, WeeklyStop

THREE = [("late", "14:00"), ("early", "06:00"), ("night", "22:00")]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]

MOMENTS = st.integers(1_324_771_200, 1_924_992_000).map(lambda second: datetime.fromtimestamp(second, UTC))  # 2011-12-25 .. 2031


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-24T05:00", "2026-11-24/early"),  # 06:00 in Berlin
        ("2026-11-24T04:59:59.999999", "2026-11-23/night"),
        ("2026-11-24T12:59", "2026-11-24/early"),
        ("2026-11-24T13:00", "2026-11-24/late"),
        ("2026-11-24T23:30", "2026-11-24/night"),  # the date is that of the start, although it is tomorrow
    ],
)
def test_shifts_start_at_local_time(moment: str, name: str) -> None:
    assert Shifts(THREE, "Europe/Berlin").window_of(utc(moment)).name == name


@pytest.mark.parametrize(
    ("moment", "hours"),
    [("2026-03-28T23:00", 7), ("2026-10-24T23:00", 9), ("2026-06-01T23:00", 8)],
    ids=["spring", "autumn", "usual"],
)
def test_the_night_of_the_clock_change_is_shorter_or_longer(moment: str, hours: int) -> None:
    window = Shifts(THREE, "Europe/Berlin").window_of(utc(moment))
    assert window.name.endswith("/night")
    assert window.end - window.start == timedelta(hours=hours)


def test_a_start_in_the_skipped_hour_happens_an_hour_later() -> None:
    window = Shifts([("a", "02:30"), ("b", "12:00")], "Europe/Berlin").window_of(utc("2026-03-29T03:00"))
    assert (window.name, window.start) == ("2026-03-29/a", utc("2026-03-29T01:30"))


def test_a_start_in_the_skipped_hour_may_fall_behind_the_next_one() -> None:
    shifts = Shifts([("a", "02:30"), ("b", "03:00")], "Europe/Berlin")
    window = shifts.window_of(utc("2026-03-29T01:15"))
    assert (window.name, window.start, window.end) == ("2026-03-29/b", utc("2026-03-29T01:00"), utc("2026-03-29T01:30"))
    assert shifts.after(window).name == "2026-03-29/a"


def test_a_start_that_comes_twice_happens_the_first_time() -> None:
    window = Shifts([("a", "02:30"), ("b", "12:00")], "Europe/Berlin").window_of(utc("2026-10-25T03:00"))
    assert (window.name, window.start) == ("2026-10-25/a", utc("2026-10-25T00:30"))


def test_one_shift_lasts_a_day() -> None:
    window = Shifts([("day", "00:00")], "UTC").window_of(utc("2026-11-24T15:00"))
    assert (window.name, window.end - window.start) == ("2026-11-24/day", timedelta(days=1))


@given(
    moments=st.lists(MOMENTS, min_size=1, max_size=8),
    zone=st.sampled_from(ZONES),
    starts=st.lists(st.times().map(lambda t: t.strftime("%H:%M")), min_size=1, max_size=4, unique=True),
)
def test_windows_cover_all_time_without_overlap(moments: list[datetime], zone: str, starts: list[str]) -> None:
    shifts = Shifts([(f"s{i}", start) for i, start in enumerate(starts)], zone)
    for moment in moments:
        window = shifts.window_of(moment)
        assert window.start <= moment < window.end
        assert shifts.window_of(window.start) == window
        assert shifts.window_of(window.end - timedelta(microseconds=1)) == window
        following = shifts.after(window)
        assert following.start == window.end
        assert following.name != window.name


@pytest.mark.parametrize(
    ("shifts", "zone", "message"),
    [
        ([], "UTC", "at least one"),
        ([("a", "06:00"), ("a", "14:00")], "UTC", "own name"),
        ([("a", "06:00"), ("b", "06:00")], "UTC", "own start"),
        ([("a", "6 Uhr")], "UTC", "HH:MM"),
        ([("a", "24:00")], "UTC", "HH:MM"),
        (THREE, "Europe/Entenhausen", "Entenhausen"),
        (THREE, "../etc/passwd", "IANA"),
    ],
)
def test_wrong_shifts_say_what_is_wrong(shifts: list[tuple[str, str]], zone: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shifts(shifts, zone)


def test_planned_stops() -> None:
    calendar = StopCalendar(
        [PlannedStop(utc("2026-12-24T12:00"), utc("2027-01-02T05:00"), "holidays")],
        [WeeklyStop(5, "22:00", 32, "weekend")],
        "Europe/Berlin",
    )
    assert calendar.stop_at(utc("2026-12-24T11:59")) is None
    assert calendar.stop_at(utc("2026-12-24T12:00")) == "holidays"
    assert calendar.stop_at(utc("2026-11-28T20:59")) is None  # Saturday 21:59 in Berlin
    assert calendar.stop_at(utc("2026-11-28T21:00")) == "weekend"
    assert calendar.stop_at(utc("2026-11-30T04:59")) == "weekend"  # Monday 05:59: begun in the week before
    assert calendar.stop_at(utc("2026-11-30T05:00")) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: StopCalendar([PlannedStop(utc("2026-12-24T12:00"), utc("2026-12-24T12:00"), "x")]),
        lambda: StopCalendar([], [WeeklyStop(7, "06:00", 1, "x")]),
        lambda: StopCalendar([], [WeeklyStop(0, "06:00", 0, "x")]),
        lambda: StopCalendar([], [WeeklyStop(0, "25:00", 1, "x")]),
    ],
)
def test_impossible_stops_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()
