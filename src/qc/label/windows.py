"""Shifts: the windows in which plans are fixed and rates are counted; and the planned stops in which nothing should alarm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qc.domain.errors import ConfigError

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """One shift: name such as ``2026-11-24/early``, start <= its parts < end, both UTC."""

    name: str
    start: datetime
    end: datetime


class Shifts:
    """Shifts that follow each other round the clock, each from its local start time until the next one starts.

    shifts: (name, "HH:MM") in any order. The date in a window's name is the local date on which it starts. When clocks change, the
    shift of that night is an hour shorter or longer; a start that falls into the skipped hour happens an hour later,
    one that would happen twice happens the first time. Raises ConfigError.
    """

    def __init__(self, shifts: Sequence[tuple[str, str]], timezone: str) -> None:
        self._zone = _zone(timezone)
        if not shifts:
            raise ConfigError("sampling.shifts: at least one shift is needed")
        self._starts = sorted((_time(start), name) for name, start in shifts)
        for values, what in (([name for _, name in self._starts], "name"), ([start for start, _ in self._starts], "start time")):
            if len(set(values)) != len(values):
                raise ConfigError(f"sampling.shifts: each shift needs its own {what}")
        self._current = Window("", datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))

    def window_of(self, moment: datetime) -> Window:
        """The window that holds a timezone-aware moment; a comparison while the shift lasts."""
        current = self._current
        if current.start <= moment < current.end:
            return current
        day = moment.astimezone(self._zone).date()
        # One day before and two after: enough whatever the zone does, and the next start bounds the last shift.
        # Sorted, because starts in an hour that the clocks skip are moved behind later ones.
        starts = sorted(item for offset in (-1, 0, 1, 2) for item in self._starts_on(day + offset * _DAY))
        index = max(i for i, (start, _) in enumerate(starts) if start <= moment)
        found = Window(starts[index][1], starts[index][0], starts[index + 1][0])
        self._current = found
        return found

    def after(self, window: Window) -> Window:
        """The window that follows."""
        return self.window_of(window.end)

    def _starts_on(self, day: date) -> list[tuple[datetime, str]]:
        return [
            (datetime.combine(day, start, self._zone).astimezone(UTC), f"{day.isoformat()}/{name}")
            for start, name in self._starts
        ]


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """The line stands still on purpose, from start until end."""

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class WeeklyStop:
    """A stop that comes every week in local time. weekday: 0 Monday .. 6 Sunday; start: ``HH:MM``."""

    weekday: int
    start: str
    hours: float
    reason: str


class StopCalendar:
    """Planned stops. Raises ConfigError for a stop that ends before it starts or a weekday that does not exist."""

    def __init__(self, stops: Sequence[PlannedStop] = (), weekly: Sequence[WeeklyStop] = (), timezone: str = "UTC") -> None:
        self._zone = _zone(timezone)
        for stop in stops:
            if stop.end <= stop.start:
                raise ConfigError(f"planned stop {stop.reason!r}: its end must be after its start")
        for each in weekly:
            if not 0 <= each.weekday <= 6:
                raise ConfigError(f"weekly stop {each.reason!r}: weekday must be 0 (Monday) to 6 (Sunday), not {each.weekday}")
            if not 0 < each.hours <= 168:
                raise ConfigError(f"weekly stop {each.reason!r}: hours must be in (0, 168], not {each.hours}")
        self._stops = tuple(stops)
        self._weekly = tuple((each, _time(each.start)) for each in weekly)

    def stop_at(self, moment: datetime) -> str | None:
        """The reason of the planned stop that holds at this moment; None when the line should run."""
        for stop in self._stops:
            if stop.start <= moment < stop.end:
                return stop.reason
        today = moment.astimezone(self._zone).date()
        for each, clock in self._weekly:
            monday = today - timedelta(days=today.weekday())
            for week in (-1, 0):
                day = monday + timedelta(days=each.weekday + 7 * week)
                start = datetime.combine(day, clock, self._zone).astimezone(UTC)
                if start <= moment < start + timedelta(hours=each.hours):
                    return each.reason
        return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"timezone {name!r} is not known; use an IANA name such as Europe/Berlin") from error


def _time(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day, no date
    except ValueError as error:
        raise ConfigError(f"start {text!r} of a shift or stop must be a local time HH:MM") from error
