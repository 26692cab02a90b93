"""Leases: no two people on one ticket, nothing lost when somebody goes home."""

import threading
from typing import Any

import pytest

from qc.domain.errors import LabelError
from qc.label.fake import MemoryTruthStore
from qc.label.intake import LabelIntake
from qc.label.queue import LabelQueue


@pytest.fixture
def queue(store: MemoryTruthStore, clock: Any, make: Any) -> LabelQueue:
    store.add(tickets=[make.ticket(f"t{i}") for i in range(4)])
    return LabelQueue(store, clock, lease_s=60)


def taken(queue: LabelQueue, who: str, count: int = 1) -> list[str]:
    return [ticket.ticket_id for ticket in queue.next_tickets(who, count)]


def test_labellers_get_different_tickets_and_keep_theirs(queue: LabelQueue) -> None:
    assert taken(queue, "anna", 2) == ["t0", "t1"]
    assert taken(queue, "ben", 2) == ["t2", "t3"]
    assert taken(queue, "anna", 2) == ["t0", "t1"]
    assert queue.next_ticket("cleo") is None


def test_an_answered_ticket_makes_room_for_the_next(queue: LabelQueue, store: MemoryTruthStore, clock: Any) -> None:
    taken(queue, "anna", 2)
    LabelIntake(store, clock).submit({"ticket_id": "t0", "truth": "good", "labeller": "anna"})
    assert taken(queue, "anna", 2) == ["t1", "t2"]


def test_an_expired_lease_returns_the_ticket(queue: LabelQueue, clock: Any) -> None:
    taken(queue, "anna", 4)
    clock.forward(seconds=59)
    assert taken(queue, "ben") == []
    clock.forward(seconds=1)
    assert taken(queue, "ben") == ["t0"]


def test_asking_again_prolongs_the_lease(queue: LabelQueue, clock: Any) -> None:
    taken(queue, "anna", 4)
    clock.forward(seconds=40)
    taken(queue, "anna", 4)
    clock.forward(seconds=40)
    assert taken(queue, "ben") == []


def test_a_released_ticket_is_free_at_once(queue: LabelQueue) -> None:
    taken(queue, "anna", 4)
    queue.release("t2", "ben")
    assert taken(queue, "ben") == []
    queue.release("t2", "anna")
    assert taken(queue, "ben") == ["t2"]


def test_nobody_gets_nothing(queue: LabelQueue) -> None:
    with pytest.raises(LabelError) as error:
        queue.next_ticket(" ")
    assert error.value.code == "labeller_missing"


def test_a_crowd_labels_everything_once(store: MemoryTruthStore, clock: Any, make: Any) -> None:
    store.add(tickets=[make.ticket(f"t{i}") for i in range(120)])
    queue, intake = LabelQueue(store, clock), LabelIntake(store, clock)
    refused: list[str] = []

    def work(who: str) -> None:
        while ticket := queue.next_ticket(who):
            try:
                intake.submit({"ticket_id": ticket.ticket_id, "truth": "good", "labeller": who})
            except LabelError as error:
                refused.append(f"{who}: {error}")

    threads = [threading.Thread(target=work, args=(f"who{i}",)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert {answer.ticket.ticket_id for answer in store.answers()} >= {f"t{i}" for i in range(120)}
