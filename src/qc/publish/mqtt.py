"""The MQTT publisher: drains the outbox, keeps status and state topics, takes commands.

Threads: paho's network thread, whose callbacks only put into the inbox; the drain thread, which alone owns connection,
window and in-flight map; the command desk's worker. Every connection gets a fresh client (see ``link.make_client``).
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from qc.domain.errors import CommandError, PublishError, StoreError
from qc.domain.ports import Command, CommandHandler, RecordStore
from qc.domain.publishing import PublisherStatus
from qc.domain.record import Json, OutboxRow
from qc.publish.delivery import Delivery
from qc.publish.desk import CommandDesk, RawCommand
from qc.publish.link import MqttOptions, begin_connect, explain_failure, explain_loss, make_client
from qc.publish.outbox import OutboxFeed
from qc.publish.payloads import state_payload
from qc.publish.retained import Presence, StateSlots
from qc.publish.session import Acked, Connected, Lost, Message, Session, Subscribed, listen, message_properties
from qc.publish.topics import EdgeName, Topics

log = structlog.get_logger(__name__)

TICK_S = 0.2
STABLE_S = 10.0
"""A connection that lived this long resets the back-off; shorter ones may be two clients throwing each other out."""
SUSPICIOUS_LIVES = 3
_POKE = object()


class MqttPublisher:
    """``ports.Publisher`` over MQTT v5. Nothing here blocks the caller; ``start`` works without a broker.

    handler executes commands in the desk's thread (None: every command is refused). on_status is called in the drain thread
    when the connection comes, goes or fails for a new reason. on_dead_letter is called for the first event of a kind that
    the broker refuses, then at most once a minute and kind, and never for alarms: an alarm about a refused alarm would not
    end. discovery: (topic, JSON) pairs, retained, sent on every connect.
    """

    def __init__(
        self,
        store: RecordStore,
        name: EdgeName,
        options: MqttOptions,
        *,
        handler: CommandHandler | None = None,
        on_status: Callable[[PublisherStatus], None] | None = None,
        on_dead_letter: Callable[[OutboxRow, str], None] | None = None,
        version: str = "",
        discovery: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        self._store = store
        self._topics = Topics(name)
        self._options = options
        self._on_status = on_status
        self._discovery = discovery
        self._client_id = options.client_id or "qc-" + str(name).replace("/", "-")
        self._feed = OutboxFeed(store, settle_s=options.settle_s)
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._poked = False
        self._stop = threading.Event()
        self._close_by_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="qc-publish", daemon=True)
        self._slots = StateSlots(options.state_interval_s)
        self._presence = Presence(name, version, datetime.now(UTC), options.heartbeat_s)
        self._delivery = Delivery(self._feed, self._slots, self._topics, note=self._note, on_dead_letter=on_dead_letter)
        self._desk = CommandDesk(
            handler or _no_commands,
            self._respond,
            max_bytes=options.max_command_bytes,
            max_waiting=options.max_waiting_commands,
        )
        self._connected = False
        self._since: datetime | None = None
        self._last_error = ""
        self._connects = 0
        self._lost_answers = 0
        self._failures = 0
        self._short_lives = 0
        self._store_trouble = ""
        self._due_s = {"poll": 0.0, "heartbeat": 0.0, "settle": 0.0}

    # --- what the line calls -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._desk.start()
        self._thread.start()

    def wake(self) -> None:
        if not self._poked:
            self._poked = True
            self._inbox.put(_POKE)

    def state(self, name: str, body: Mapping[str, Json]) -> None:
        """Keep the value and send it when connected, at most every ``state_interval_s``; ``schema`` and ``ts`` are added."""
        payload, schema = state_payload(name, body)
        self._keep(Message(self._topics.state(name), payload, message_properties(schema), retain=True))

    def thumb(self, camera: str, jpeg: bytes) -> None:
        """Keep and send a small picture of the last part, retained, under the same rules as ``state``."""
        self._keep(Message(self._topics.thumb(camera), jpeg, message_properties("", "image/jpeg"), retain=True))

    def status(self) -> PublisherStatus:
        try:
            depth = self._store.depth()
        except StoreError:
            depth = None
        return PublisherStatus(
            connected=self._connected,
            server=self._options.server,
            since=self._since,
            last_error=self._last_error,
            in_flight=self._delivery.in_flight,
            acked=self._delivery.acked,
            dead=self._delivery.dead,
            connects=self._connects,
            refused_states=self._delivery.refused_states + self._lost_answers,
            commands=self._desk.taken,
            commands_refused=self._desk.refused,
            depth=depth,
        )

    def close(self, timeout_s: float = 2.0) -> None:
        """Say ``offline`` when connected, then end. What is not delivered stays in the store. Idempotent."""
        close_by_s = time.monotonic() + timeout_s
        self._close_by_s = close_by_s
        self._stop.set()
        self._inbox.put(_POKE)
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._desk.close(max(0.0, close_by_s - time.monotonic()))

    def _keep(self, message: Message) -> None:
        self._slots.keep(message)
        if self._connected:
            self.wake()

    def _respond(self, raw: RawCommand, answer: bytes) -> None:
        """In the desk's or the network thread: hand the answer to the drain thread."""
        if raw.response_topic is None:
            return
        if not self._topics.may_respond_to(raw.response_topic):
            log.warning("response_topic_refused", topic=raw.response_topic[:200])
            return
        properties = message_properties("qc.response/1")
        properties.MessageExpiryInterval = 60
        if raw.correlation is not None:
            properties.CorrelationData = raw.correlation
        self._inbox.put(Message(raw.response_topic, answer, properties))

    # --- the drain thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._pause(random.uniform(0, self._options.backoff_min_s / 2))  # many edges may start at the same moment
        while not self._stop.is_set():
            session = None
            try:
                session = self._connect()
                if session is not None:
                    self._serve(session)
            except Exception as error:
                log.exception("publisher_failed")
                if session is not None:
                    self._abandon(session)
                self._down(f"internal error: {type(error).__name__}: {error}")
            if not self._stop.is_set():
                self._failures += 1
                longest_s = min(self._options.backoff_max_s, self._options.backoff_min_s * 2 ** min(self._failures - 1, 16))
                self._pause(random.uniform(longest_s / 2, longest_s))

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._drop_answer(self._take(left_s))

    def _take(self, timeout_s: float) -> object | None:
        try:
            item = self._inbox.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if item is _POKE:
            self._poked = False
        return item

    def _drop_answer(self, item: object | None) -> None:
        if isinstance(item, Message):
            self._lost_answers += 1
            log.warning("response_lost", topic=item.topic, reason="not connected")

    def _connect(self) -> Session | None:
        """A session with an accepted CONNECT, or None with the reason noted."""
        options = self._options
        try:
            client = make_client(options, self._client_id)
        except PublishError as error:
            self._down(str(error))
            return None
        will = self._presence.payload("offline", "connection_lost", connects=self._connects, outbox_rows=None)
        client.will_set(self._topics.status, will, qos=1, retain=True)
        session = Session(client)
        listen(session, self._inbox, self._desk.take)
        begin_connect(client, options)
        give_up_s = time.monotonic() + 2 * options.connect_timeout_s + 1
        while not self._stop.is_set() and (left_s := give_up_s - time.monotonic()) > 0:
            item = self._take(left_s)
            self._drop_answer(item)
            if isinstance(item, Connected) and item.session is session:
                if item.reason.is_failure:
                    self._abandon(session)
                    self._down(explain_loss(item.reason, options, before_connack=True))
                    return None
                self._open(session, item.properties)
                return session
            if isinstance(item, Lost) and item.session is session:
                self._abandon(session)
                if item.reason is not None:
                    self._down(explain_loss(item.reason, options, before_connack=True))
                else:
                    self._down(explain_failure(item.error, options))
                return None
        self._abandon(session)
        if not self._stop.is_set():
            self._down(f"{options.server} does not answer the CONNECT")
        return None

    def _abandon(self, session: Session) -> None:
        session.abandon()
        if self._connected:
            self._connected = False
            self._delivery.in_flight = 0
            self._since = datetime.now(UTC)

    def _open(self, session: Session, properties: Properties | None) -> None:
        """CONNECT accepted: subscribe, then queue birth, discovery and every state in front of the events."""
        granted = getattr(properties, "ReceiveMaximum", 65535)
        session.window = max(1, min(self._options.window, 50, granted))
        session.max_packet_bytes = getattr(properties, "MaximumPacketSize", 268_435_455)
        session.opened_s = time.monotonic()
        self._connects += 1
        self._feed.rewind()
        session.client.subscribe(self._topics.commands, options=SubscribeOptions(qos=1, retainHandling=2))
        self._queue_status(session, "connected")
        for topic, payload in self._discovery:
            session.control.append(Message(topic, payload, message_properties(""), retain=True))
        self._slots.all_again()
        self._due_s = dict.fromkeys(self._due_s, 0.0) | {"heartbeat": session.opened_s + self._options.heartbeat_s}
        self._connected = True
        self._since = datetime.now(UTC)
        log.info("broker_connected", server=self._options.server, window=session.window)
        self._note("")

    def _serve(self, session: Session) -> None:
        """Until the connection ends or the publisher closes."""
        error = ""
        while not self._stop.is_set() and not error:
            try:
                self._housekeeping(session)
                self._delivery.fill(session)
                self._store_works("")
                error = self._digest(session) or self._overdue(session)
            except StoreError as store_error:  # stay connected: states and commands do not need the store
                self._store_works(f"the record store failed: {store_error}")
                self._stop.wait(TICK_S)
        if self._stop.is_set():
            self._say_goodbye(session)
            return
        try:
            self._feed.settle(time.monotonic())
        except StoreError as store_error:
            log.warning("outbox_settle_failed", error=str(store_error))
        if time.monotonic() - session.opened_s >= STABLE_S:
            self._failures = self._short_lives = 0
        else:
            self._short_lives += 1
        if self._short_lives >= SUSPICIOUS_LIVES and error.endswith("broke"):
            error += f"; it keeps breaking soon after connecting: does another client use the client id {self._client_id}?"
        self._abandon(session)
        self._down(error)

    def _store_works(self, trouble: str) -> None:
        if trouble != self._store_trouble:
            self._store_trouble = trouble
            log.log(logging.ERROR if trouble else logging.INFO, "outbox_access", trouble=trouble)
            self._note(trouble)

    def _housekeeping(self, session: Session) -> None:
        now_s = time.monotonic()
        if now_s >= self._due_s["settle"]:
            self._due_s["settle"] = now_s + TICK_S
            self._feed.settle(now_s)
        if now_s >= self._due_s["poll"]:
            self._due_s["poll"] = now_s + self._options.poll_s
            self._feed.look_back()
        if now_s >= self._due_s["heartbeat"]:
            self._due_s["heartbeat"] = now_s + self._options.heartbeat_s
            self._queue_status(session, "heartbeat")

    def _digest(self, session: Session) -> str:
        """Wait at most one tick, then take what the inbox holds; returns why the connection is over, or ""."""
        item = self._take(TICK_S)
        for _ in range(200):
            if item is None:
                return ""
            if item is _POKE:
                self._feed.refill()
            elif isinstance(item, Message):
                session.control.append(item)
            elif isinstance(item, Acked) and item.session is session:
                self._delivery.acknowledge(session, item)
            elif isinstance(item, Subscribed) and item.session is session:
                if any(reason.is_failure for reason in item.reasons):
                    self._note(f"the broker refuses the subscription to {self._topics.commands}: commands cannot arrive")
            elif isinstance(item, Lost) and item.session is session:
                return self._lost(session, item)
            item = self._take(0)
        return ""

    def _lost(self, session: Session, lost: Lost) -> str:
        """Why the connection ended."""
        self._delivery.suspect(session, lost)
        if lost.reason is None:
            return explain_failure(lost.error, self._options)
        return explain_loss(lost.reason, self._options, before_connack=False)

    def _overdue(self, session: Session) -> str:
        """The ack watchdog: paho can believe in a connection whose network thread has died."""
        for _, sent_s in session.in_flight.values():  # the first is the oldest
            if time.monotonic() - sent_s > self._options.ack_timeout_s:
                return f"{self._options.server} has not acknowledged anything for {self._options.ack_timeout_s:g} s"
            break
        return ""

    def _say_goodbye(self, session: Session) -> None:
        """A clean end: offline status, what was acknowledged written off, DISCONNECT (which drops the will)."""
        payload = self._presence.payload("offline", "shutdown", connects=self._connects, outbox_rows=self._outbox_rows())
        client = session.client
        info = client.publish(self._topics.status, payload, qos=1, retain=True, properties=message_properties("qc.status/1"))
        give_up_s = min(self._close_by_s - 0.4, time.monotonic() + 1.5)
        farewell = Message(self._topics.status, payload, message_properties("qc.status/1"))
        session.in_flight[info.mid] = (farewell, time.monotonic())
        try:
            while info.mid in session.in_flight and (left_s := give_up_s - time.monotonic()) > 0:
                item = self._take(left_s)
                if isinstance(item, Acked) and item.session is session:
                    self._delivery.acknowledge(session, item)
                elif isinstance(item, Lost) and item.session is session:
                    break
            self._feed.settle(time.monotonic(), at_once=True)
        except StoreError as error:
            log.warning("outbox_settle_failed", error=str(error))
        self._abandon(session)
        until_s = time.monotonic() + 0.3
        while (left_s := until_s - time.monotonic()) > 0:  # let the DISCONNECT leave before the process does
            item = self._take(left_s)
            if isinstance(item, Lost) and item.session is session:
                break
        self._note("closed", quiet=True)

    # --- status --------------------------------------------------------------------------------------------------------

    def _outbox_rows(self) -> int | None:
        try:
            return self._store.depth().rows
        except StoreError:
            return None

    def _queue_status(self, session: Session, reason: str) -> None:
        payload = self._presence.payload("online", reason, connects=self._connects, outbox_rows=self._outbox_rows())
        session.control.append(Message(self._topics.status, payload, message_properties("qc.status/1"), retain=True))

    def _down(self, error: str) -> None:
        """No connection, for this reason."""
        self._since = self._since or datetime.now(UTC)
        repeated = error == self._last_error
        if not repeated:
            log.warning("broker_unavailable", error=error)
        self._note(error, quiet=repeated)

    def _note(self, error: str, *, quiet: bool = False, minor: bool = False) -> None:
        """Remember the trouble ("" for none) and tell whoever wants to know, unless it is old news.

        minor: not worth hiding another trouble."""
        if minor and self._last_error:
            return
        self._last_error = error
        if self._on_status is not None and not quiet:
            try:
                self._on_status(self.status())
            except Exception:
                log.exception("status_callback_failed")


def _no_commands(command: Command) -> Mapping[str, Json]:
    raise CommandError("unknown_command", f"this edge takes no commands; {command.name!r} was refused")
