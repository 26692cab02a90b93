"""One broker connection as the drain thread sees it, and the callbacks that tell it what happened.

Callbacks run in paho's network thread with its locks held: taking a lock of ours there dead-locks with ``publish``, and an
exception would end the thread while ``is_connected`` stays true. So they put into a queue and nothing else.
"""

import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from qc.domain.record import OutboxRow
from qc.publish.desk import RawCommand

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One publish; row is set for events, the others may be lost with the connection."""

    topic: str
    payload: bytes
    properties: Properties
    retain: bool = False
    row: OutboxRow | None = None


@dataclass(slots=True)
class Session:
    """One connection. window counts all QoS 1 messages, because the broker's Receive Maximum does."""

    client: mqtt.Client
    window: int = 1
    max_packet_bytes: int = 0
    opened_s: float = 0.0
    abandoned: bool = False
    in_flight: dict[int, tuple[Message, float]] = field(default_factory=dict)
    """Packet id -> message and when it was sent, oldest first."""
    control: deque[Message] = field(default_factory=deque)
    """Status, discovery and responses: sent before states and events."""

    def abandon(self) -> None:
        """Let the client go; its network thread ends by itself, at the latest when its connect times out."""
        self.abandoned = True
        self.client.disconnect()


@dataclass(frozen=True, slots=True)
class Connected:
    session: Session
    reason: ReasonCode
    properties: Properties | None


@dataclass(frozen=True, slots=True)
class Lost:
    """error: why no connection was made; reason: why one ended; by_broker: the broker said so."""

    session: Session
    error: BaseException | None = None
    reason: ReasonCode | None = None
    by_broker: bool = False


@dataclass(frozen=True, slots=True)
class Acked:
    session: Session
    mid: int
    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class Subscribed:
    session: Session
    reasons: Sequence[ReasonCode]


def listen(session: Session, inbox: queue.SimpleQueue[object], take_command: Callable[[RawCommand], None]) -> None:
    """Let everything that happens to the session arrive in the inbox, and commands at the desk."""
    client = session.client

    def on_connect(_c: object, _u: object, _f: object, reason: ReasonCode, properties: Properties | None) -> None:
        if session.abandoned:
            client.disconnect()
        inbox.put(Connected(session, reason, properties))

    def on_connect_fail(_c: object, _u: object) -> None:
        inbox.put(Lost(session, error=sys.exc_info()[1]))  # paho calls this inside its except block
        client.disconnect()  # else paho would try once more by itself

    def on_disconnect(_c: object, _u: object, flags: mqtt.DisconnectFlags, reason: ReasonCode, _p: object) -> None:
        inbox.put(Lost(session, reason=reason, by_broker=flags.is_disconnect_packet_from_server))

    def on_publish(_c: object, _u: object, mid: int, reason: ReasonCode, _p: object) -> None:
        inbox.put(Acked(session, mid, reason))

    def on_subscribe(_c: object, _u: object, _mid: int, reasons: list[ReasonCode], _p: object) -> None:
        inbox.put(Subscribed(session, reasons))

    def on_message(_c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        try:
            take_command(raw_command(message))
        except Exception:
            log.exception("command_unreadable")

    client.on_connect, client.on_connect_fail, client.on_disconnect = on_connect, on_connect_fail, on_disconnect
    client.on_publish, client.on_subscribe, client.on_message = on_publish, on_subscribe, on_message


def raw_command(message: mqtt.MQTTMessage) -> RawCommand:
    """What the desk needs of a paho message."""
    properties = message.properties
    return RawCommand(
        name=message.topic.rsplit("/", 1)[-1],
        payload=bytes(message.payload),
        retained=message.retain,
        received_s=time.monotonic(),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )


def message_properties(schema: str, content_type: str = "application/json") -> Properties:
    """MQTT v5 properties of a payload; ``schema`` is also a user property, so that a router need not parse JSON."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # untyped in paho
    properties.ContentType = content_type
    if content_type == "application/json":
        properties.PayloadFormatIndicator = 1
    if schema:
        properties.UserProperty = [("schema", schema)]
    return properties
