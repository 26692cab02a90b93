"""What an edge has said so far, gathered from its messages."""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from qc.domain.record import Json
from qc.publish.client import EdgeMessage


class EdgeState:
    """The newest status and states of one edge, and its last verdicts, newest last."""

    def __init__(self, keep: int = 12) -> None:
        self.status: Mapping[str, Json] = {}
        self.states: dict[str, Mapping[str, Json]] = {}
        self.verdicts: deque[Mapping[str, Json]] = deque(maxlen=keep)
        self.heard_at: datetime | None = None
        """When it last said something itself; retained old values do not count."""

    def take(self, message: EdgeMessage) -> None:
        kind, _, name = message.leaf.partition("/")
        if kind == "status":
            self.status = message.body
        elif kind == "state":
            self.states[name] = message.body
        elif name == "inspection":
            self.verdicts.append(message.body)
        if not message.retained:
            self.heard_at = message.received_at

    def condition(self, now: datetime | None = None) -> str:
        """``online``, ``offline``, ``stale`` (said online, but its heartbeat is overdue) or ``unknown`` (nothing readable)."""
        if not self.status:
            return "unknown"
        if self.status.get("state") != "online":
            return "offline"
        heartbeat_s = self.status.get("heartbeat_s")
        said_at = _aware(self.status.get("ts"))
        if said_at is None:
            return "unknown"
        latest = max(said_at, self.heard_at or said_at)
        overdue = timedelta(seconds=3 * heartbeat_s if isinstance(heartbeat_s, int | float) else 60)
        return "stale" if (now or datetime.now(UTC)) - latest > overdue else "online"


def _aware(text: Json | None) -> datetime | None:
    """The time that somebody wrote, or None: anybody may publish anything."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
