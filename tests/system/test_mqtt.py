"""The publisher against a real mosquitto: what the rules of docs/mqtt.md promise when things break."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.system.broker import Listener, Mosquitto, Pki, free_port, needs_mosquitto, wait_until
from tests.unit.publish.samples import AT, NAME, STATES, Entry, alarm, line_entries, part_entries, ticket

from qc.domain.errors import CommandError, PublishError
from qc.domain.ports import Command
from qc.domain.record import EventKind, Json, OutboxRow
from qc.publish.client import CommandClient, EdgeWatcher
from qc.publish.events import alarm_event, label_request_event, line_event
from qc.publish.homeassistant import discovery_messages
from qc.publish.link import MqttOptions, TlsOptions
from qc.publish.mqtt import MqttPublisher
from qc.publish.session import message_properties
from qc.publish.topics import Topics
from qc.record.fake import MemoryRecordStore

pytestmark = [pytest.mark.system, needs_mosquitto]

TOPICS = Topics(NAME)
ALL = "qc/v1/#"


def options(port: int, **changes: object) -> MqttOptions:
    quick: dict[str, object] = {
        "backoff_min_s": 0.1,
        "backoff_max_s": 0.5,
        "poll_s": 0.2,
        "ack_timeout_s": 5.0,
        "connect_timeout_s": 3.0,
    }
    return MqttOptions("127.0.0.1", port, **(quick | changes))


@contextmanager
def running(publisher: MqttPublisher) -> Iterator[MqttPublisher]:
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.close()


def numbers(events: list[dict]) -> list[int]:
    return [event["seq"] for event in events]


def test_birth_states_events_and_a_clean_end(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    store.append(line_entries(3))
    with Mosquitto(tmp_path) as broker, Listener(broker.port, ALL) as ear:
        publisher = MqttPublisher(store, NAME, options(broker.port), version="0.1.0")
        publisher.state("line", STATES["line"])
        with running(publisher):
            assert wait_until(lambda: numbers(ear.events()) == [1, 2, 3] and ear.last("state/line") is not None)
            assert ear.all()[0].topic == TOPICS.status
            birth = ear.all()[0].json()
            assert (birth["state"], birth["reason"], birth["version"]) == ("online", "connected", "0.1.0")
            event = next(item for item in ear.all() if "/evt/" in item.topic)
            assert event.properties.ContentType == "application/json"
            assert ("schema", "qc.line/1") in event.properties.UserProperty
            assert wait_until(lambda: publisher.status().depth.rows == 0)
            assert publisher.status().connected
            started_s = time.monotonic()
        assert time.monotonic() - started_s < 10
        assert wait_until(lambda: ear.last("/status")["state"] == "offline")
        assert ear.last("/status")["reason"] == "shutdown"
        with Listener(broker.port, ALL, persistent=False) as late:
            assert wait_until(lambda: late.last("state/line") is not None and late.last("/status") is not None)
            assert all(item.retained for item in late.all())


@pytest.mark.timeout(240)
def test_broker_killed_while_events_flow(tmp_path: Path) -> None:
    """2,000 events, kill -9 in the middle, three times: an independent subscriber that drops repeats has all in order."""
    store = MemoryRecordStore()
    with Mosquitto(tmp_path, persistent=True) as broker, Listener(broker.port, ALL) as ear:
        with running(MqttPublisher(store, NAME, options(broker.port))) as publisher:
            publisher.state("counters", STATES["counters"])
            for part in range(20):
                store.append(part_entries(part * 100, 100))
                publisher.wake()
                time.sleep(0.05)
                if part in (4, 9, 14):
                    assert wait_until(lambda: publisher.status().in_flight > 0 or publisher.status().depth.rows < 60, 30)
                    broker.kill()
                    time.sleep(0.2)
                    broker.start()
            assert wait_until(lambda: len(ear.events()) >= 2000, 120), (len(ear.events()), publisher.status())
            assert wait_until(lambda: publisher.status().depth.rows == 0)
            assert publisher.status().connects >= 4
        events = ear.events()
        assert [event["part_id"] for event in events] == [f"P-{number}" for number in range(2000)]
        assert numbers(events) == list(range(1, 2001))


def test_unreachable_at_start_and_state_kept_for_later(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    broker = Mosquitto(tmp_path)
    told: list[str] = []
    with running(
        MqttPublisher(store, NAME, options(broker.port), on_status=lambda status: told.append(status.last_error))
    ) as publisher:
        store.append(line_entries(50))
        publisher.wake()
        publisher.state("line", {"state": "old"})
        publisher.state("line", {"state": "running"})
        assert wait_until(lambda: "connection refused" in publisher.status().last_error)
        assert not publisher.status().connected
        with broker, Listener(broker.port, ALL) as ear:
            assert wait_until(lambda: numbers(ear.events()) == list(range(1, 51)))
            assert wait_until(lambda: ear.last("state/line") is not None)
            assert {item.json()["state"] for item in ear.all() if item.topic.endswith("state/line")} == {"running"}
            assert publisher.status().last_error == ""
    assert len(told) < 10  # told once per change, not once per attempt


def test_close_is_quick_while_connecting_to_a_black_hole() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:  # accepts by the kernel's backlog and never answers
        publisher = MqttPublisher(MemoryRecordStore(), NAME, options(hole.getsockname()[1], connect_timeout_s=30.0))
        publisher.start()
        time.sleep(0.5)
        started_s = time.monotonic()
        publisher.close(2.0)
        assert time.monotonic() - started_s < 8


def test_a_silent_broker_is_noticed_by_the_watchdog(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(store, NAME, options(broker.port, ack_timeout_s=1.0))) as publisher,
    ):
        assert wait_until(lambda: publisher.status().connected)
        broker.pause()
        store.append(line_entries(10))
        publisher.wake()
        assert wait_until(lambda: not publisher.status().connected)
        assert "has not acknowledged" in publisher.status().last_error or "CONNECT" in publisher.status().last_error
        broker.resume()
        assert wait_until(lambda: numbers(ear.events()) == list(range(1, 11)))


def test_the_will_tells_when_the_edge_is_cut_off_and_a_second_client_of_the_same_id_is_suspected(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(MemoryRecordStore(), NAME, options(broker.port, client_id="edge-a"))) as publisher,
    ):
        assert wait_until(lambda: publisher.status().connected)
        with Listener(broker.port, "nothing", client_id="edge-a"):  # they throw each other out
            assert wait_until(lambda: "connection_lost" in {item.json()["reason"] for item in ear.all()})
            assert wait_until(lambda: "client id edge-a" in publisher.status().last_error)
        assert wait_until(lambda: publisher.status().connected and ear.last("/status")["state"] == "online")


def test_acl_denial_makes_dead_letters_and_the_rest_flows(tmp_path: Path) -> None:
    acl = f"user edge\ntopic write {TOPICS.status}\ntopic write {TOPICS.root}/evt/line\ntopic write {TOPICS.root}/evt/label-request\ntopic read {TOPICS.commands}\nuser mes\ntopic read #\n"
    store = MemoryRecordStore()
    refused: list[tuple[OutboxRow, str]] = []
    with (
        Mosquitto(tmp_path, users={"edge": "pw1", "mes": "pw2"}, acl=acl) as broker,
        Listener(broker.port, ALL, username="mes", password="pw2") as ear,
        running(
            MqttPublisher(
                store,
                NAME,
                options(broker.port, username="edge", password="pw1"),
                on_dead_letter=lambda row, reason: refused.append((row, reason)),
            )
        ) as publisher,
    ):
        publisher.state("line", STATES["line"])
        for number in range(30):
            store.append([*part_entries(number, 1), *line_entries(1)])
        store.append([Entry(alarm_event(alarm(), NAME))])
        publisher.wake()
        assert wait_until(lambda: numbers(ear.events()) == list(range(2, 61, 2)))
        assert wait_until(lambda: publisher.status().dead == 31)
        assert store.depth().dead == 31
        assert [row.kind for row, _ in refused] == [EventKind.INSPECTION]  # one alarm for thirty, none for the alarm itself
        assert "Not authorized" in refused[0][1]
        assert wait_until(lambda: publisher.status().refused_states == 1)
        assert "refuses" in publisher.status().last_error
        assert publisher.status().connects == 1


def test_wrong_password_is_said_plainly(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, users={"edge": "right"}) as broker:
        wrong = options(broker.port, username="edge", password="wrong")
        with running(MqttPublisher(MemoryRecordStore(), NAME, wrong)) as publisher:
            assert wait_until(lambda: "refused the connection" in publisher.status().last_error)
            assert "wrong" not in publisher.status().last_error.replace("wrong user name or password", "")


def test_receive_maximum_is_respected(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    store.append(line_entries(300))
    most = 0
    with (
        Mosquitto(tmp_path, receive_maximum=5) as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(store, NAME, options(broker.port))) as publisher,
    ):
        while len(ear.events()) < 300 and most <= 5:
            most = max(most, publisher.status().in_flight)
            time.sleep(0.001)
        assert numbers(ear.events()) == list(range(1, 301))
        assert 1 <= most <= 5
        assert publisher.status().connects == 1


@pytest.mark.parametrize("side", ["server", "client"])
def test_an_expired_certificate_is_named_and_a_renewed_one_is_picked_up(tmp_path: Path, side: str) -> None:
    pki = Pki(tmp_path, expired_server=side == "server")
    good_cert, good_key = pki.issue("edge-a")
    cert, key = pki.issue("edge-b", expired=True) if side == "client" else (good_cert, good_key)
    store = MemoryRecordStore()
    store.append(line_entries(5))
    with Mosquitto(tmp_path, tls=pki, require_certificate=True) as broker:
        tls = TlsOptions(pki.ca_file, cert, key)
        with running(MqttPublisher(store, NAME, options(broker.port, tls=tls))) as publisher:
            assert wait_until(lambda: "expired" in publisher.status().last_error), publisher.status()
            assert "TLS" in publisher.status().last_error
            assert publisher.status().depth.rows == 5
            if side == "client":
                cert.write_bytes(good_cert.read_bytes())
                key.write_bytes(good_key.read_bytes())
            else:
                broker.stop()
                renewed = pki.issue("localhost")
                assert renewed == (pki.server_cert, pki.server_key) or renewed[0].exists()
                pki.folder.joinpath("localhost-expired.crt").write_bytes(renewed[0].read_bytes())
                pki.folder.joinpath("localhost-expired.key").write_bytes(renewed[1].read_bytes())
                broker.start()
            assert wait_until(lambda: publisher.status().acked == 5), publisher.status()
            assert publisher.status().last_error == ""


def test_unusable_tls_files_are_named(tmp_path: Path) -> None:
    tls = TlsOptions(ca_file=tmp_path / "nowhere.crt")
    with running(MqttPublisher(MemoryRecordStore(), NAME, options(free_port(), tls=tls))) as publisher:
        assert wait_until(lambda: "nowhere.crt" in publisher.status().last_error)


def test_websockets(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    store.append(line_entries(20))
    with Mosquitto(tmp_path, websockets=True) as broker, Listener(broker.port, ALL) as ear:
        through = options(broker.websocket_port, transport="websockets")
        with running(MqttPublisher(store, NAME, through)):
            assert wait_until(lambda: numbers(ear.events()) == list(range(1, 21)))


def test_too_large_for_the_broker_is_a_dead_letter_not_a_loop(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    big = line_event("note", NAME, at=AT, message="x" * 5000)
    store.append([*line_entries(1), Entry(big), *line_entries(1)])
    with (
        Mosquitto(tmp_path, extra="max_packet_size 2000") as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(store, NAME, options(broker.port))) as publisher,
    ):
        assert wait_until(lambda: numbers(ear.events()) == [1, 3])
        assert publisher.status().dead == 1
        assert publisher.status().connects == 1


def test_real_messages_obey_the_committed_asyncapi_document(tmp_path: Path) -> None:
    spec = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
    store = MemoryRecordStore()
    store.append(
        [
            *part_entries(0, 3),
            Entry(alarm_event(alarm(), NAME)),
            Entry(label_request_event(ticket(), NAME, image_ref="/api/images/a.jpg", camera_id="top", variant="mono")),
            *line_entries(1),
        ]
    )
    with Mosquitto(tmp_path) as broker, Listener(broker.port, ALL) as ear:
        with running(MqttPublisher(store, NAME, options(broker.port), handler=Handler().run)) as publisher:
            assert wait_until(lambda: publisher.status().connected)
            for name, body in STATES.items():
                publisher.state(name, body)
            with CommandClient(options(broker.port), NAME) as client:
                client.send("pause", {"reason": "test"})
                with pytest.raises(CommandError):
                    client.send("nonsense")
            assert wait_until(lambda: len(ear.events()) == 6 and len({item.topic for item in ear.all()}) >= 14)
        assert wait_until(lambda: ear.last("/status")["state"] == "offline")
        leaves = set()
        for item in ear.all():
            leaf = item.topic.removeprefix(TOPICS.root + "/")
            key = "response" if leaf.startswith("reply/") else leaf.replace("/", "-")
            if leaf == "cmd/nonsense":
                continue
            reference = spec["components"]["messages"][key]["payload"]["$ref"]
            schema = {"$ref": reference, "components": spec["components"]}
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(item.json())
            leaves.add(key)
        assert leaves >= {"status", "response", "cmd-pause"} | {f"state-{name}" for name in STATES}
        assert leaves >= {f"evt-{kind.value}" for kind in EventKind}


class Handler:
    """Stands for the line's control: notes what it ran."""

    def __init__(self) -> None:
        self.ran: list[Command] = []

    def run(self, command: Command) -> Mapping[str, Json]:
        self.ran.append(command)
        if command.name == "recipe":
            raise CommandError("unknown_variant", "no recipe; there is mono")
        if command.name == "snapshot":
            time.sleep(1.0)
        return {"done": command.name}


def test_commands_from_the_outside(tmp_path: Path) -> None:
    store, handler = MemoryRecordStore(), Handler()
    with Mosquitto(tmp_path) as broker, CommandClient(options(broker.port), NAME) as client:
        with pytest.raises(PublishError, match="not connected to the broker"):
            client.send("pause", timeout_s=2)
        with running(MqttPublisher(store, NAME, options(broker.port), handler=handler.run)) as publisher:
            assert wait_until(lambda: publisher.status().connected)
            assert wait_until(lambda: _answers(client))
            assert client.send("trigger", {"camera": "top"}, timeout_s=20) == {"done": "trigger"}
            with pytest.raises(CommandError, match="no recipe") as caught:
                client.send("recipe", {"variant": "x"}, timeout_s=20)
            assert caught.value.code == "unknown_variant"
            with pytest.raises(CommandError, match="variant"):
                client.send("recipe", {}, timeout_s=20)
            # slower than one try: the second try carries the same correlation and must not run it again
            assert client.send("snapshot", timeout_s=0.7, tries=8) == {"done": "snapshot"}
            assert [command.name for command in handler.ran].count("snapshot") == 1


def _answers(client: CommandClient) -> bool:
    """The edge has subscribed."""
    with suppress(PublishError):
        return bool(client.send("resume", timeout_s=5))
    return False


def test_garbage_commands_are_answered_and_stall_nothing(tmp_path: Path) -> None:
    """Random names and bytes, oversized, retained and expired ones, while events flow."""
    store, handler, dice = MemoryRecordStore(), Handler(), random.Random(7)
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{TOPICS.root}/evt/#") as ear,
        Listener(broker.port, "answers/#") as mouth,
        running(MqttPublisher(store, NAME, options(broker.port, max_waiting_commands=1000), handler=handler.run)) as publisher,
    ):
        assert wait_until(lambda: publisher.status().connected)
        mouth.client.publish(TOPICS.command("pause"), b"{}", qos=1, retain=True).wait_for_publish(10)
        for number in range(200):
            properties = message_properties("")
            properties.ResponseTopic = f"answers/{number}"
            if dice.random() < 0.5:
                properties.CorrelationData = dice.randbytes(dice.randrange(1, 40))
            name = dice.choice(["recipe", "pause", "label", "replay", "x" * 300, "ü", "%s", "..", "cmd"])
            payload = dice.choice(
                [dice.randbytes(dice.randrange(200)), b"[" * 5000, b'{"a":' * 999, b"null", b"{}}", b"x" * 100_000]
            )
            mouth.client.publish(TOPICS.command(name), payload, qos=1, properties=properties)
            if number % 10 == 0:
                store.append(part_entries(number, 1))
                publisher.wake()
        assert wait_until(lambda: len({item.topic for item in mouth.all()}) == 200)
        assert wait_until(lambda: len(ear.events()) == 20)
        assert publisher.status().commands >= 200
        assert publisher.status().connects == 1
        codes = {item.json()["error"]["code"] for item in mouth.all() if not item.json()["ok"]}
        assert codes >= {"bad_json", "too_large", "unknown_command"}
        assert codes <= {"bad_json", "too_large", "unknown_command", "invalid_argument"}
        _check_correlation(mouth, publisher)


def _check_correlation(mouth: Listener, publisher: MqttPublisher) -> None:
    properties = message_properties("")
    properties.ResponseTopic = "answers/echo"
    properties.CorrelationData = b"\x00\xffkey"
    mouth.client.publish(TOPICS.command("resume"), b"", qos=1, properties=properties)
    assert wait_until(lambda: any(item.topic == "answers/echo" for item in mouth.all()))
    echo = next(item for item in mouth.all() if item.topic == "answers/echo")
    assert echo.properties.CorrelationData == b"\x00\xffkey"
    assert echo.json()["result"] == {"done": "resume"}
    refused = publisher.status().commands_refused
    assert refused >= 200 - 60


def test_a_slow_handler_stalls_neither_events_nor_other_answers(tmp_path: Path) -> None:
    store, gate = MemoryRecordStore(), threading.Event()

    def handler(command: Command) -> Mapping[str, Json]:
        gate.wait(60)
        return {}

    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(store, NAME, options(broker.port, max_waiting_commands=1), handler=handler)) as publisher,
    ):
        assert wait_until(lambda: publisher.status().connected)
        properties = message_properties("")
        properties.ResponseTopic = TOPICS.reply("t")
        for _ in range(4):
            ear.client.publish(TOPICS.command("resume"), b"{}", qos=1, properties=properties)
        store.append(line_entries(20))
        publisher.wake()
        assert wait_until(lambda: len(ear.events()) == 20)
        assert wait_until(lambda: ear.last("reply/t") is not None)
        assert ear.last("reply/t")["error"]["code"] == "busy"
        gate.set()


def test_a_replay_brings_old_events_again(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, ALL) as ear,
        running(MqttPublisher(store, NAME, options(broker.port, settle_s=0.1))) as publisher,
    ):
        store.append(line_entries(10))
        publisher.wake()
        assert wait_until(lambda: publisher.status().depth.rows == 0)
        assert store.replay(from_seq=6) == 5
        publisher.wake()
        assert wait_until(lambda: _seqs(ear) == [*range(1, 11), *range(6, 11)])
        assert wait_until(lambda: publisher.status().acked == 15)


def _seqs(ear: Listener) -> list[int]:
    """Every arrival, repeats included."""
    return [json.loads(item.payload)["seq"] for item in ear.all() if "/evt/" in item.topic]


def test_watching_all_edges_and_home_assistant(tmp_path: Path) -> None:
    store = MemoryRecordStore()
    discovery = discovery_messages(NAME, "0.1.0")
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, "homeassistant/#") as home,
        EdgeWatcher(options(broker.port)) as watcher,
        running(MqttPublisher(store, NAME, options(broker.port), discovery=discovery)) as publisher,
    ):
        publisher.state("counters", STATES["counters"])
        store.append(part_entries(0, 2))
        publisher.wake()
        seen = set()
        give_up_s = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < give_up_s:
            if (message := watcher.next(1.0)) is not None:
                assert message.edge == NAME
                seen.add(message.leaf)
        assert seen == {"status", "state/counters", "evt/inspection"}
        assert wait_until(lambda: len(home.all()) == len(discovery))


def test_the_client_says_when_nothing_listens() -> None:
    with pytest.raises(PublishError, match="nothing listens"), CommandClient(options(free_port()), NAME):
        pass
