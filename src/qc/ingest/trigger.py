"""When a camera takes a part's picture."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class EachFrame:
    """Every picture of a source that keeps them all (new file, replay, video) is a part."""


@dataclass(frozen=True, slots=True)
class FreeRun:
    """rate_hz parts per second; a tick without a frame for timeout_s is a camera fault.

    timeout_s: default one period, but at least 0.5 s, so that a camera as fast as the rate may jitter.
    Ticks that pass while nobody asks are counted as missed, never made up for in a burst.
    """

    rate_hz: float
    timeout_s: float | None = None

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)

    @property
    def patience_ns(self) -> int:
        """How long after a tick its frame may come."""
        return max(self.period_ns, 500_000_000) if self.timeout_s is None else round(self.timeout_s * 1e9)


@dataclass(frozen=True, slots=True)
class OnCommand:
    """A part when ``trigger()`` asks for one: the first frame captured after it, or a fault after timeout_s.

    max_waiting: triggers that may wait for their frame at a time; more are refused. latency_s: time from exposure to
    arrival of a live camera (RTSP: often 0.1 to 0.5 s); frames that arrive sooner than this after the trigger were
    exposed before it and are passed over, or the picture would be that of the part before.
    """

    timeout_s: float = 2.0
    max_waiting: int = 8
    latency_s: float = 0.0

    @property
    def patience_ns(self) -> int:
        return round(self.timeout_s * 1e9)


Trigger: TypeAlias = EachFrame | FreeRun | OnCommand
