import json
import queue
import threading
from collections.abc import Iterator, Mapping

import pytest

from qc.domain.errors import CommandError
from qc.domain.ports import Command
from qc.domain.record import Json
from qc.publish.desk import CommandDesk, RawCommand


class Office:
    """A desk with a handler that notes what it ran, and a clock that a test moves."""

    def __init__(self, max_waiting: int = 4) -> None:
        self.ran: list[Command] = []
        self.answers: queue.Queue[tuple[RawCommand, dict]] = queue.Queue()
        self.now_s = 100.0
        self.hold = threading.Event()
        self.hold.set()
        self.started = threading.Semaphore(0)
        self.desk = CommandDesk(
            self.handle,
            lambda raw, answer: self.answers.put((raw, json.loads(answer))),
            max_bytes=200,
            max_waiting=max_waiting,
            repeat_window_s=60.0,
            clock=lambda: self.now_s,
        )
        self.desk.start()

    def handle(self, command: Command) -> Mapping[str, Json]:
        self.ran.append(command)
        self.started.release()
        assert self.hold.wait(30)
        if command.body.get("variant") == "nope":
            raise CommandError("unknown_variant", "no recipe nope; there are mono, poly")
        if command.body.get("variant") == "bug":
            raise ZeroDivisionError("secret detail")
        return {"count": len(self.ran)}

    def ask(self, name: str, body: object = None, **facts: object) -> dict:
        payload = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.desk.take(RawCommand(name, payload, received_s=self.now_s, **facts))
        return self.answers.get(timeout=30)[1]


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.hold.set()
    office.desk.close(10)


def test_a_good_command_is_run_and_answered(office: Office) -> None:
    answer = office.ask("recipe", {"variant": "poly", "command_id": "c1"})
    assert (answer["ok"], answer["result"], answer["command"], answer["command_id"]) == (True, {"count": 1}, "recipe", "c1")
    assert office.ran[0].body == {"variant": "poly"}
    assert (office.desk.taken, office.desk.refused) == (1, 0)


@pytest.mark.parametrize(
    ("body", "code"), [({"variant": "nope"}, "unknown_variant"), ({"variant": "bug"}, "internal"), ({}, "invalid_argument")]
)
def test_failures_are_answered_and_counted(office: Office, body: dict, code: str) -> None:
    answer = office.ask("recipe", body)
    assert (answer["ok"], answer["result"], answer["error"]["code"]) == (False, None, code)
    assert "secret detail" not in json.dumps(answer)
    assert office.desk.refused == 1
    assert office.ask("recipe", {"variant": "poly"})["ok"]


def test_retained_and_expired_commands_are_not_run(office: Office) -> None:
    assert office.ask("pause", retained=True)["error"]["code"] == "retained"
    assert office.ask("pause", expiry_s=0)["error"]["code"] == "expired"
    assert office.ran == []


def test_a_command_can_expire_while_it_waits(office: Office) -> None:
    office.hold.clear()
    office.desk.take(RawCommand("resume", b"{}", received_s=office.now_s))
    assert office.started.acquire(timeout=30)
    office.desk.take(RawCommand("pause", b"{}", received_s=office.now_s, expiry_s=5))
    office.now_s += 6
    office.hold.set()
    assert office.answers.get(timeout=30)[1]["ok"]
    assert office.answers.get(timeout=30)[1]["error"]["code"] == "expired"


def test_too_many_waiting_commands_are_refused_at_once(office: Office) -> None:
    office.hold.clear()
    office.desk.take(RawCommand("resume", b"{}"))
    assert office.started.acquire(timeout=30)
    for _ in range(5):
        office.desk.take(RawCommand("pause", b"{}"))
    assert office.answers.get(timeout=30)[1]["error"]["code"] == "busy"
    office.hold.set()
    assert [office.answers.get(timeout=30)[1]["ok"] for _ in range(5)] == [True] * 5


def test_a_repeated_command_is_run_once_and_answered_twice(office: Office) -> None:
    first = office.ask("trigger", correlation=b"k1")
    assert office.ask("trigger", correlation=b"k1") == first
    assert office.ask("trigger", {"command_id": "i1"})["result"] == {"count": 2}
    assert office.ask("trigger", {"command_id": "i1"})["result"] == {"count": 2}
    assert office.ask("resume", correlation=b"k1")["result"] == {"count": 3}  # another command with the same key
    office.now_s += 61
    assert office.ask("trigger", correlation=b"k1")["result"] == {"count": 4}


def test_without_a_key_every_command_counts(office: Office) -> None:
    assert office.ask("trigger")["result"] == {"count": 1}
    assert office.ask("trigger")["result"] == {"count": 2}


def test_close_drops_what_waits() -> None:
    office = Office(max_waiting=1)
    office.hold.clear()
    office.desk.take(RawCommand("resume", b"{}"))
    assert office.started.acquire(timeout=30)
    office.desk.take(RawCommand("pause", b"{}"))
    office.desk.close(0.0)
    office.hold.set()
    office.desk.close(10)
    assert [command.name for command in office.ran] == ["resume"]
