"""The other end: send a command to an edge and wait for its answer; watch what edges say. For tools and tests."""

import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from uuid_utils import uuid4

from qc.domain.errors import CommandError, PublishError
from qc.domain.record import Json
from qc.publish.link import MqttOptions, begin_connect, explain_failure, explain_loss, make_client
from qc.publish.payloads import to_json
from qc.publish.session import message_properties
from qc.publish.topics import ROOT, EdgeName, Topics, split_topic

log = structlog.get_logger(__name__)

NO_SUBSCRIBER = 0x10


class Connection:
    """A blocking connect on top of paho's thread; ``error`` holds why it is down. Raises PublishError from ``open``."""

    def __init__(self, options: MqttOptions, role: str, *, reconnect: bool) -> None:
        self.options = options
        self.client_id = options.client_id or f"qc-{role}-{os.getpid()}-{str(uuid4())[:8]}"
        self.client = make_client(options, self.client_id, reconnect=reconnect)
        self.error = ""
        self.up = threading.Event()
        self._tried = threading.Event()
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = self._on_connect_fail
        self.client.on_disconnect = self._on_disconnect
        self.subscriptions: list[str] = []

    def open(self) -> None:
        begin_connect(self.client, self.options)
        self._tried.wait(2 * self.options.connect_timeout_s + 1)
        if not self.up.wait(0 if self.error else self.options.connect_timeout_s):
            self.client.disconnect()
            raise PublishError(self.error or f"{self.options.server} does not answer the CONNECT")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            self.error = explain_loss(reason, self.options, before_connack=True)
            self._tried.set()
            return
        if self.subscriptions:
            client.subscribe([(topic, 1) for topic in self.subscriptions])
        self.error = ""
        self.up.set()
        self._tried.set()

    def _on_connect_fail(self, _c: object, _u: object) -> None:
        self.error = explain_failure(sys.exc_info()[1], self.options)
        self._tried.set()

    def _on_disconnect(self, _c: object, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if not self.error:
            self.error = explain_loss(reason, self.options, before_connack=not self.up.is_set())
        self.up.clear()
        self._tried.set()


class CommandClient:
    """Sends commands to one edge, one at a time, and returns its answers. Use as a context manager."""

    def __init__(self, options: MqttOptions, edge: EdgeName) -> None:
        self._topics = Topics(edge)
        self._edge = edge
        self._connection = Connection(options, "cmd", reconnect=True)
        self._answers: queue.SimpleQueue[tuple[bytes | None, bytes]] = queue.SimpleQueue()
        self._acks: queue.SimpleQueue[tuple[int, ReasonCode]] = queue.SimpleQueue()
        client = self._connection.client
        self._reply = self._topics.reply(self._connection.client_id)
        self._connection.subscriptions.append(self._reply)
        self._subscribed = threading.Event()
        client.on_message = lambda _c, _u, m: self._answers.put(
            (getattr(m.properties, "CorrelationData", None), bytes(m.payload))
        )
        client.on_publish = lambda _c, _u, mid, reason, _p: self._acks.put((mid, reason))
        client.on_subscribe = lambda _c, _u, _m, _r, _p: self._subscribed.set()

    def __enter__(self) -> "CommandClient":
        self._connection.open()
        if not self._subscribed.wait(self._connection.options.connect_timeout_s):
            self._connection.close()
            raise PublishError(f"{self._connection.options.server} does not answer the subscription to {self._reply}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def send(
        self, name: str, body: Mapping[str, Json] | None = None, *, timeout_s: float = 5.0, tries: int = 2
    ) -> dict[str, Json]:
        """The edge's result. CommandError: the edge refused (code and reason are its own); PublishError: it was not reached.

        Every try carries the same correlation, so a command whose answer was lost is not executed twice.
        """
        correlation = str(uuid4()).encode()
        for _ in range(tries):
            properties = message_properties("qc.command/1")
            properties.ResponseTopic = self._reply
            properties.CorrelationData = correlation
            properties.MessageExpiryInterval = max(1, math.ceil(timeout_s))
            answer = self._once(name, to_json(dict(body or {})), properties, correlation, timeout_s)
            if answer is not None:
                return answer
        raise PublishError(f"{self._edge} did not answer {name} within {tries} x {timeout_s:g} s")

    def _once(
        self, name: str, payload: bytes, properties: Properties, correlation: bytes, timeout_s: float
    ) -> dict[str, Json] | None:
        until_s = time.monotonic() + timeout_s
        if not self._connection.up.wait(timeout_s):
            raise PublishError(self._connection.error)
        info = self._connection.client.publish(self._topics.command(name), payload, qos=1, properties=properties)
        while (left_s := until_s - time.monotonic()) > 0:
            self._check_ack(info.mid, name)
            try:
                answered, raw = self._answers.get(timeout=min(0.05, left_s))
            except queue.Empty:
                continue
            if answered == correlation:
                return _result(raw)
        return None

    def _check_ack(self, mid: int, name: str) -> None:
        while not self._acks.empty():
            acked, reason = self._acks.get()
            if acked != mid:
                continue
            if reason.value == NO_SUBSCRIBER:
                raise PublishError(f"{self._edge} is not connected to the broker: nobody listens for its commands")
            if reason.is_failure:
                raise PublishError(f"the broker refuses the command {name}: {reason.getName()}; check its access rules")


def _result(raw: bytes) -> dict[str, Json]:
    try:
        answer = json.loads(raw)
        if answer["ok"]:
            return dict(answer["result"] or {})
        code, message = str(answer["error"]["code"]), str(answer["error"]["message"])
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(f"the edge's answer is unreadable: {raw[:200]!r}") from error
    raise CommandError(code, message)


@dataclass(frozen=True, slots=True)
class EdgeMessage:
    """What an edge said. leaf: e.g. ``status``, ``state/counters``, ``evt/inspection``; retained: it is an older value."""

    edge: EdgeName
    leaf: str
    body: Mapping[str, Json]
    retained: bool
    received_at: datetime


class EdgeWatcher:
    """Status, states and events of one edge (or of all: edge None) as they come. Use as a context manager.

    The newest ``keep`` messages wait to be read; ``dropped`` counts older ones that were not read in time, ``unreadable``
    those that are no JSON objects. It reconnects by itself; ``error`` says why it is cut off, "" when it is not.
    """

    def __init__(self, options: MqttOptions, edge: EdgeName | None = None, *, keep: int = 10_000) -> None:
        self.dropped = 0
        self.unreadable = 0
        self._waiting: queue.Queue[EdgeMessage] = queue.Queue(keep)
        self._connection = Connection(options, "watch", reconnect=True)
        root = Topics(edge).root if edge else f"{ROOT}/+/+/+/+"
        self._connection.subscriptions += [f"{root}/status", f"{root}/state/+", f"{root}/evt/+"]
        self._connection.client.on_message = self._on_message

    @property
    def error(self) -> str:
        return self._connection.error

    def __enter__(self) -> "EdgeWatcher":
        self._connection.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def next(self, timeout_s: float) -> EdgeMessage | None:
        """The next message, or None when none came within timeout_s."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        where = split_topic(message.topic)
        try:
            body = json.loads(message.payload)
        except (ValueError, RecursionError):
            body = None
        if where is None or not isinstance(body, dict):
            self.unreadable += 1
            return
        item = EdgeMessage(where[0], where[1], body, message.retain, datetime.now(UTC))
        while True:
            try:
                self._waiting.put_nowait(item)
                return
            except queue.Full:
                self.dropped += 1
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue
