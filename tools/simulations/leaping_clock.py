"""A clock that a simulated plant sets: a shift passes as fast as the line takes its parts."""

from datetime import datetime


class LeapingClock:
    """Clock port."""

    def __init__(self, start: datetime) -> None:
        self.moment = start

    def now(self) -> datetime:
        return self.moment

    def monotonic_ns(self) -> int:
        return int(self.moment.timestamp() * 1e9)
