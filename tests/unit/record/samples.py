"""A clock that tests can turn, and the function type of the ``entry`` fixture."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from qc.domain.record import Entry

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)

MakeEntry = Callable[..., Entry]


class TurnableClock:
    def __init__(self) -> None:
        self.moment = T0

    def __call__(self) -> datetime:
        return self.moment

    def turn(self, **time: float) -> None:
        self.moment += timedelta(**time)
