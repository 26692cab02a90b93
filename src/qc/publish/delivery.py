"""What is on its way to the broker: fills the window, takes acknowledgements, sets apart what the broker refuses."""

import time
from collections.abc import Callable
from typing import Protocol

import paho.mqtt.client as mqtt
import structlog

from qc.domain.record import EventKind, OutboxRow
from qc.publish.outbox import OutboxFeed
from qc.publish.payloads import EVENT_PAYLOADS, schema_of
from qc.publish.retained import StateSlots
from qc.publish.session import Acked, Lost, Message, Session, message_properties
from qc.publish.topics import Topics

log = structlog.get_logger(__name__)

FATAL_CODES = frozenset({0x81, 0x82, 0x90, 0x95, 0x99})
"""DISCONNECT reasons that one bad message can cause: malformed, protocol error, topic invalid, too large, payload format."""
DEAD_LETTER_ALARM_S = 60.0

EVENT_PROPERTIES = {kind: message_properties(schema_of(model)) for kind, model in EVENT_PAYLOADS.items()}


class Note(Protocol):
    """Remembers a trouble. minor: not worth hiding another one."""

    def __call__(self, error: str, *, minor: bool = False) -> None: ...


class Delivery:
    """Owned by the publisher's drain thread, over all of its connections; the counters may be read from anywhere.

    acked, dead: events. refused_states: retained messages and answers that the broker did not take.
    on_dead_letter: see ``MqttPublisher``.
    """

    def __init__(
        self,
        feed: OutboxFeed,
        slots: StateSlots,
        topics: Topics,
        *,
        note: Note,
        on_dead_letter: Callable[[OutboxRow, str], None] | None,
    ) -> None:
        self._feed, self._slots, self._topics = feed, slots, topics
        self._note = note
        self._on_dead_letter = on_dead_letter
        self._careful_until = 0
        self._alarmed_s: dict[EventKind, float] = {}
        self.in_flight = 0
        self.acked = 0
        self.dead = 0
        self.refused_states = 0

    def fill(self, session: Session) -> None:
        """Send until the window is full or nothing is left."""
        window = 1 if self._careful_until else session.window
        while len(session.in_flight) < window and (message := self._next_message(session)) is not None:
            size = len(message.payload) + len(message.topic) + 256
            if size > session.max_packet_bytes:
                self._refused(message, f"larger than the broker accepts ({session.max_packet_bytes} bytes)")
                continue
            try:
                info = session.client.publish(
                    message.topic, message.payload, qos=1, retain=message.retain, properties=message.properties
                )
            except ValueError as error:
                self._refused(message, f"cannot be sent: {error}")
                continue
            session.in_flight[info.mid] = (message, time.monotonic())
            if info.rc != mqtt.MQTT_ERR_SUCCESS:  # the connection is gone; its Lost is on the way and rewinds the feed
                break
        self.in_flight = len(session.in_flight)

    def _next_message(self, session: Session) -> Message | None:
        if session.control:
            return session.control.popleft()
        if (state := self._slots.due(time.monotonic())) is not None:
            return state
        row = self._feed.next()
        if row is None:
            return None
        return Message(self._topics.event(row.kind), row.payload, EVENT_PROPERTIES[row.kind], row=row)

    def acknowledge(self, session: Session, ack: Acked) -> None:
        message, _ = session.in_flight.pop(ack.mid, (None, 0.0))
        self.in_flight = len(session.in_flight)
        if message is None:
            return
        if ack.reason.is_failure:
            self._refused(message, f"{ack.reason.getName()} (0x{ack.reason.value:02x})")
        elif message.row is not None:
            self._feed.acked(message.row.seq, time.monotonic())
            self.acked += 1
            if message.row.seq >= self._careful_until:
                self._careful_until = 0

    def _refused(self, message: Message, reason: str) -> None:
        """The broker will not take this message, now or later."""
        row = message.row
        if row is None:
            self.refused_states += 1
            self._note(f"the broker refuses {message.topic}: {reason}", minor=True)
            return
        self._feed.refused(row, reason)
        self.dead += 1
        now_s = time.monotonic()
        if now_s - self._alarmed_s.get(row.kind, -1e9) < DEAD_LETTER_ALARM_S:
            return
        self._alarmed_s[row.kind] = now_s
        log.error("dead_letter", topic=message.topic, seq=row.seq, reason=reason)
        self._note(f"the broker refuses {message.topic}: {reason}; refused events are kept as dead letters")
        if self._on_dead_letter is not None and row.kind is not EventKind.ALARM:
            try:
                self._on_dead_letter(row, reason)
            except Exception:
                log.exception("dead_letter_callback_failed")

    def suspect(self, session: Session, lost: Lost) -> None:
        """The connection ended. When one message may have caused it, the next connection finds out which."""
        reason = lost.reason
        if reason is not None and lost.by_broker and reason.value in FATAL_CODES:
            rows = [message for message, _ in session.in_flight.values() if message.row is not None]
            if self._careful_until and len(rows) == 1:
                self._refused(rows[0], f"the broker hung up on it: {reason.getName()}")
                self._careful_until = 0
            else:  # up to the last of these, send one by one
                self._careful_until = max((message.row.seq for message in rows if message.row is not None), default=0)
