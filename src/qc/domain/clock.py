"""The real clock."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Clock port on the machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()
