"""The publisher against a scripted broker, for what a well-behaved one does not do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.system.broker import wait_until
from tests.unit.publish.samples import AT, NAME, line_entries

from qc.domain.errors import StoreError
from qc.domain.record import Entry, OutboxRow
from qc.publish.events import line_event
from qc.publish.link import MqttOptions
from qc.publish.mqtt import MqttPublisher
from qc.record.fake import MemoryRecordStore

CONNACK, PUBACK, SUBACK, DISCONNECT = b"\x20", b"\x40", b"\x90", b"\xe0"


class ScriptedBroker:
    """Speaks just enough MQTT v5. ``holding``: acks wait for ``release``; ``poison``: a publish that holds it ends the
    connection with "payload format invalid"; ``refuse``: reason code of the ack for a publish that holds it."""

    def __init__(self, *, receive_maximum: int = 0, poison: bytes = b"", refuse: tuple[bytes, int] = (b"", 0)) -> None:
        self._properties = b"\x21" + receive_maximum.to_bytes(2, "big") if receive_maximum else b""
        self._poison, self._refuse = poison, refuse
        self.holding = False
        self.held: list[tuple[socket.socket, bytes]] = []
        self.published: list[bytes] = []
        self.connects = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                self._talk(client, stream)

    def _talk(self, client: socket.socket, stream) -> None:
        while head := stream.read(1):
            length = shift = 0
            while True:
                digit = stream.read(1)[0]
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    break
            body = stream.read(length)
            kind = head[0] >> 4
            if kind == 1:
                self.connects += 1
                client.sendall(CONNACK + bytes([3 + len(self._properties), 0, 0, len(self._properties)]) + self._properties)
            elif kind == 8:
                client.sendall(SUBACK + b"\x04" + body[:2] + b"\x00\x01")
            elif kind == 3 and not self._publish(client, body):
                return

    def _publish(self, client: socket.socket, body: bytes) -> bool:
        topic_end = 2 + int.from_bytes(body[:2], "big")
        packet_id = body[topic_end : topic_end + 2]
        if self._poison and self._poison in body:
            client.sendall(DISCONNECT + b"\x02\x99\x00")
            return False
        self.published.append(body)
        if self._refuse[0] and self._refuse[0] in body:
            client.sendall(PUBACK + b"\x03" + packet_id + bytes([self._refuse[1]]))
        elif self.holding:
            self.held.append((client, packet_id))
        else:
            client.sendall(PUBACK + b"\x02" + packet_id)
        return True

    def release(self, count: int) -> None:
        for _ in range(count):
            client, packet_id = self.held.pop(0)
            client.sendall(PUBACK + b"\x02" + packet_id)

    def events(self) -> list[bytes]:
        return [body for body in self.published if b"/evt/" in body]

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def running(broker: ScriptedBroker, store: MemoryRecordStore, **changes: float) -> Iterator[MqttPublisher]:
    options = MqttOptions("127.0.0.1", broker.port, backoff_min_s=0.02, backoff_max_s=0.05, poll_s=0.1, **changes)
    publisher = MqttPublisher(store, NAME, options)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.close()
        broker.close()


def note(text: str) -> Entry:
    return Entry(line_event("note", NAME, at=AT, message=text))


@pytest.mark.parametrize(("granted", "window"), [(5, 5), (0, 50), (500, 50)])
def test_no_more_than_the_window_is_ever_unacknowledged(granted: int, window: int) -> None:
    broker, store = ScriptedBroker(receive_maximum=granted), MemoryRecordStore()
    with running(broker, store) as publisher:
        assert wait_until(
            lambda: publisher.status().connected and publisher.status().in_flight == 0 and len(broker.published) == 1
        )
        broker.holding = True
        store.append(line_entries(120))
        publisher.wake()
        assert wait_until(lambda: len(broker.held) == window)
        assert not wait_until(lambda: len(broker.held) > window, 0.3)
        broker.release(3)
        assert wait_until(lambda: len(broker.events()) == window + 3)
        assert not wait_until(lambda: len(broker.held) > window, 0.2)
        broker.holding = False  # so that the farewell is acknowledged at once


def test_a_message_on_which_the_broker_hangs_up_is_found_and_buried() -> None:
    broker, store = ScriptedBroker(poison=b"POISON"), MemoryRecordStore()
    store.append([note("a"), note("b"), note("POISON"), note("c"), note("d")])
    with running(broker, store) as publisher:
        assert wait_until(lambda: publisher.status().dead == 1)
        assert wait_until(lambda: publisher.status().depth.rows == 0)
        assert store.depth().dead == 1
    texts = [next(t for t in (b"a", b"b", b"c", b"d") if b'"message":"' + t in body) for body in broker.events()]
    assert list(dict.fromkeys(texts)) == [b"a", b"b", b"c", b"d"]


def test_a_bad_reason_code_is_not_success() -> None:
    broker, store = ScriptedBroker(refuse=(b"SECRET", 0x87)), MemoryRecordStore()
    store.append([note("a"), note("SECRET"), note("b")])
    with running(broker, store) as publisher:
        assert wait_until(lambda: publisher.status().depth.rows == 0)
        assert (publisher.status().acked, publisher.status().dead, broker.connects) == (2, 1, 1)


def test_without_acks_the_connection_is_given_up() -> None:
    broker, store = ScriptedBroker(), MemoryRecordStore()
    broker.holding = True
    store.append(line_entries(3))
    with running(broker, store, ack_timeout_s=0.3) as publisher:
        assert wait_until(lambda: broker.connects >= 3)
        assert store.depth().rows == 3
        broker.holding = False
        assert wait_until(lambda: publisher.status().depth.rows == 0)
    assert publisher.status().acked >= 3  # those acknowledged just before the connection was given up come twice


class FailingStore(MemoryRecordStore):
    failing = False

    def pending(self, after_seq: int, limit: int) -> list[OutboxRow]:
        if self.failing:
            raise StoreError("disk I/O error")
        return super().pending(after_seq, limit)


def test_a_failing_store_is_said_and_survived_without_losing_the_connection() -> None:
    broker, store = ScriptedBroker(), FailingStore()
    store.failing = True
    store.append(line_entries(3))
    with running(broker, store) as publisher:
        assert wait_until(lambda: "disk I/O error" in publisher.status().last_error)
        assert publisher.status().connected
        store.failing = False
        assert wait_until(lambda: publisher.status().acked == 3)
        assert wait_until(lambda: publisher.status().last_error == "")
        assert broker.connects == 1
