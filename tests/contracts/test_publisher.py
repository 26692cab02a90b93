"""What every Publisher promises: the one on a real broker and the one in memory."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.system.broker import Listener, Mosquitto, needs_mosquitto, wait_until
from tests.unit.publish.samples import NAME, STATES, line_entries, part_entries

from qc.domain.errors import CommandError, PublishError
from qc.domain.ports import Command, Publisher
from qc.domain.record import EventKind, Json
from qc.publish.client import CommandClient
from qc.publish.fake import MemoryPublisher
from qc.publish.link import MqttOptions
from qc.publish.mqtt import MqttPublisher
from qc.publish.topics import Topics
from qc.record.fake import MemoryRecordStore

TOPICS = Topics(NAME)


def handle(command: Command) -> Mapping[str, Json]:
    if command.name == "recipe":
        raise CommandError("unknown_variant", "no such recipe")
    return {"ran": command.name}


class MemoryRig:
    """The publisher in memory; its messages are what a subscriber would have."""

    def __init__(self) -> None:
        self.store = MemoryRecordStore()
        self.publisher: Publisher = MemoryPublisher(self.store, NAME, handler=handle)

    def _memory(self) -> MemoryPublisher:
        assert isinstance(self.publisher, MemoryPublisher)
        return self.publisher

    def heard(self) -> list[tuple[str, dict]]:
        return list(self._memory().messages)

    def cut(self) -> None:
        self._memory().offline(True)

    def restore(self) -> None:
        self._memory().offline(False)

    def command(self, name: str, body: dict) -> dict:
        return self._memory().command(name, json.dumps(body).encode())

    def close(self) -> None:
        self.publisher.close()


class BrokerRig:
    """The real thing with mosquitto and an independent subscriber."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryRecordStore()
        self.broker = Mosquitto(folder, persistent=True).start()
        self.ear = Listener(self.broker.port, "qc/v1/#").__enter__()
        self.options = MqttOptions(
            "127.0.0.1", self.broker.port, backoff_min_s=0.1, backoff_max_s=0.3, settle_s=0.2, poll_s=0.2, state_interval_s=0.05
        )
        self.publisher: Publisher = MqttPublisher(self.store, NAME, self.options, handler=handle)

    def heard(self) -> list[tuple[str, dict]]:
        return [(item.topic, item.json()) for item in self.ear.all()]

    def cut(self) -> None:
        self.broker.stop()

    def restore(self) -> None:
        self.broker.start()

    def command(self, name: str, body: dict) -> dict:
        with CommandClient(self.options, NAME) as client:
            try:
                return {"ok": True, "result": client.send(name, body, timeout_s=20)}
            except CommandError as error:
                return {"ok": False, "error": {"code": error.code}}

    def close(self) -> None:
        self.publisher.close()
        self.ear.__exit__(None, None, None)
        self.broker.stop()


Rig = MemoryRig | BrokerRig


@pytest.fixture(params=["memory", pytest.param("mosquitto", marks=[pytest.mark.system, needs_mosquitto])])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = MemoryRig() if request.param == "memory" else BrokerRig(tmp_path)
    yield made
    made.close()


def soon(condition: Callable[[], bool]) -> None:
    assert wait_until(condition)


def event_seqs(rig: Rig) -> list[int]:
    return [int(body["seq"]) for topic, body in rig.heard() if "/evt/" in topic]


def once(seqs: list[int]) -> list[int]:
    return list(dict.fromkeys(seqs))


def test_events_arrive_in_order_on_their_topics_and_leave_the_outbox(rig: Rig) -> None:
    rig.store.append([*part_entries(0, 3), *line_entries(2)])
    rig.publisher.start()
    rig.publisher.wake()
    soon(lambda: event_seqs(rig) == [1, 2, 3, 4, 5])
    topics = [topic for topic, _ in rig.heard() if "/evt/" in topic]
    assert topics == [TOPICS.event(EventKind.INSPECTION)] * 3 + [TOPICS.event(EventKind.LINE)] * 2
    soon(lambda: rig.store.depth().rows == 0)
    status = rig.publisher.status()
    assert (status.connected, status.acked, status.dead, status.last_error) == (True, 5, 0, "")


def test_nothing_is_lost_while_cut_off_and_states_come_again(rig: Rig) -> None:
    rig.publisher.start()
    rig.publisher.state("line", {"state": "running"})
    soon(lambda: any(topic == TOPICS.state("line") for topic, _ in rig.heard()))
    rig.cut()
    soon(lambda: not rig.publisher.status().connected)
    rig.store.append(line_entries(20))
    rig.publisher.wake()
    rig.publisher.state("line", {"state": "paused"})
    assert rig.store.depth().rows == 20
    before = len(rig.heard())
    rig.restore()
    soon(lambda: once(event_seqs(rig)) == list(range(1, 21)))
    soon(lambda: rig.store.depth().rows == 0)
    later = rig.heard()[before:]
    soon(lambda: any(topic == TOPICS.state("line") and body["state"] == "paused" for topic, body in rig.heard()[before:]))
    assert any(topic == TOPICS.status and body["state"] == "online" for topic, body in later)
    assert rig.publisher.status().connects == 2


def test_a_replay_brings_old_events_again(rig: Rig) -> None:
    rig.store.append(line_entries(6))
    rig.publisher.start()
    soon(lambda: rig.store.depth().rows == 0)
    rig.store.replay(from_seq=4)
    rig.publisher.wake()
    soon(lambda: event_seqs(rig) == [1, 2, 3, 4, 5, 6, 4, 5, 6])


def test_wrong_states_are_refused_with_a_reason(rig: Rig) -> None:
    rig.publisher.start()
    with pytest.raises(PublishError, match="no state topic"):
        rig.publisher.state("weather", {})
    with pytest.raises(PublishError, match="state counters: ok"):
        rig.publisher.state("counters", {**STATES["counters"], "ok": -1})


def test_commands_are_run_or_refused(rig: Rig) -> None:
    rig.publisher.start()
    soon(lambda: any(topic == TOPICS.status for topic, _ in rig.heard()))
    assert rig.command("resume", {})["result"] == {"ran": "resume"}
    assert rig.command("recipe", {"variant": "x"})["error"]["code"] == "unknown_variant"
    assert rig.command("recipe", {"colour": "x"})["error"]["code"] == "invalid_argument"
    assert rig.command("dance", {})["error"]["code"] == "unknown_command"
    status = rig.publisher.status()
    assert (status.commands, status.commands_refused) == (4, 3)


def test_the_end_is_announced_and_may_be_asked_for_twice(rig: Rig) -> None:
    rig.publisher.start()
    soon(lambda: rig.publisher.status().connected)
    started_s = time.monotonic()
    rig.publisher.close()
    rig.publisher.close()
    assert time.monotonic() - started_s < 10
    assert not rig.publisher.status().connected
    soon(lambda: [body["state"] for topic, body in rig.heard() if topic == TOPICS.status][-1:] == ["offline"])


def test_before_start_and_after_close_nothing_breaks(rig: Rig) -> None:
    rig.publisher.state("line", STATES["line"])
    rig.publisher.wake()
    assert not rig.publisher.status().connected
    rig.publisher.close()
    rig.publisher.wake()
    rig.publisher.state("line", STATES["line"])
    assert rig.heard() == []
