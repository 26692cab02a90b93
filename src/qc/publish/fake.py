"""A publisher with a broker in memory: for tests and for an edge that has no broker configured."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from qc.domain.errors import CommandError, StoreError
from qc.domain.ports import CommandHandler, RecordStore
from qc.domain.publishing import PublisherStatus
from qc.domain.record import Json
from qc.publish.commands import parse_command, response
from qc.publish.payloads import rfc3339, state_payload
from qc.publish.topics import EdgeName, Topics


class MemoryPublisher:
    """``ports.Publisher`` that delivers in the caller's thread to ``messages``: (topic, body) in order of delivery.

    ``offline`` cuts and restores the imagined connection; topics in ``denied`` are refused as an access rule would.
    """

    def __init__(self, store: RecordStore, name: EdgeName, *, handler: CommandHandler | None = None) -> None:
        self.messages: list[tuple[str, dict[str, Json]]] = []
        self.retained: dict[str, dict[str, Json]] = {}
        self.denied: set[str] = set()
        self._store = store
        self._topics = Topics(name)
        self._handler = handler
        self._lock = threading.RLock()
        self._states: dict[str, dict[str, Json]] = {}
        self._online = False
        self._since: datetime | None = None
        self._acked = self._dead = self._connects = self._commands = self._refused = 0

    def start(self) -> None:
        self.offline(False)

    def offline(self, cut: bool) -> None:
        with self._lock:
            self._online = not cut
            self._since = datetime.now(UTC)
            if not cut:
                self._connects += 1
                self._retain(self._topics.status, {"schema": "qc.status/1", "state": "online"})
                for topic, body in self._states.items():
                    self._retain(topic, body)
        self.wake()

    def wake(self) -> None:
        with self._lock:
            if not self._online:
                return
            try:
                while rows := self._store.pending(0, 200):
                    for row in rows:
                        topic = self._topics.event(row.kind)
                        if topic in self.denied:
                            self._store.mark_dead(row.seq, "not authorized")
                            self._dead += 1
                        else:
                            self.messages.append((topic, json.loads(row.payload)))
                            self._store.mark_sent([row.seq])
                            self._acked += 1
            except StoreError:
                return  # the next wake tries again

    def state(self, name: str, body: Mapping[str, Json]) -> None:
        payload, _ = state_payload(name, body)
        with self._lock:
            topic = self._topics.state(name)
            self._states[topic] = json.loads(payload)
            if self._online:
                self._retain(topic, self._states[topic])

    def command(self, name: str, payload: bytes, max_bytes: int = 64 * 1024) -> dict[str, Json]:
        """What the edge answers to a raw command; the loop back that a broker would close."""
        self._commands += 1
        now = rfc3339(datetime.now(UTC))
        try:
            command, command_id = parse_command(name, payload, max_bytes)
            if self._handler is None:
                raise CommandError("unknown_command", "this edge takes no commands")
            answer = response(name, command_id, now, result=self._handler(command))
        except CommandError as error:
            self._refused += 1
            answer = response(name, "", now, error=error)
        return dict(json.loads(answer))

    def status(self) -> PublisherStatus:
        return PublisherStatus(
            connected=self._online,
            server="memory",
            since=self._since,
            acked=self._acked,
            dead=self._dead,
            connects=self._connects,
            commands=self._commands,
            commands_refused=self._refused,
            depth=self._store.depth(),
        )

    def close(self, timeout_s: float = 2.0) -> None:
        with self._lock:
            if self._online:
                self._retain(self._topics.status, {"schema": "qc.status/1", "state": "offline"})
            self._online = False

    def _retain(self, topic: str, body: dict[str, Json]) -> None:
        self.retained[topic] = body
        self.messages.append((topic, body))
