"""Retained messages of an edge: the latest value per state topic, and what ``status`` says."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from qc.domain.record import Json
from qc.publish.payloads import rfc3339, to_json
from qc.publish.session import Message
from qc.publish.topics import EdgeName


class StateSlots:
    """Latest value per topic, each sent at most once per ``interval_s``; older values are dropped on purpose. Thread-safe."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._latest: dict[str, Message] = {}
        self._unsent: set[str] = set()
        self._sent_s: dict[str, float] = {}

    def keep(self, message: Message) -> None:
        with self._lock:
            self._latest[message.topic] = message
            self._unsent.add(message.topic)

    def due(self, now_s: float) -> Message | None:
        """A value that is new and whose topic may speak again; the caller sends it."""
        if not self._unsent:
            return None
        with self._lock:
            for topic in self._unsent:
                if now_s - self._sent_s.get(topic, float("-inf")) >= self._interval_s:
                    self._unsent.remove(topic)
                    self._sent_s[topic] = now_s
                    return self._latest[topic]
        return None

    def all_again(self) -> None:
        """A new connection: the broker may have forgotten everything."""
        with self._lock:
            self._unsent.update(self._latest)
            self._sent_s.clear()


@dataclass(frozen=True, slots=True)
class Presence:
    """Builds the payloads of ``status``: birth, heartbeat, farewell and will."""

    name: EdgeName
    version: str
    started_at: datetime
    heartbeat_s: float

    def payload(self, state: str, reason: str, *, connects: int, outbox_rows: int | None) -> bytes:
        body: dict[str, Json] = {
            "schema": "qc.status/1",
            "ts": rfc3339(datetime.now(UTC)),
            "state": state,
            "reason": reason,
            "site": self.name.site,
            "area": self.name.area,
            "line": self.name.line,
            "edge": self.name.edge,
            "version": self.version,
            "started_at": rfc3339(self.started_at),
            "connects": connects,
            "heartbeat_s": self.heartbeat_s,
            "outbox_rows": outbox_rows,
        }
        return to_json(body)
