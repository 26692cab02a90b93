"""The inspectors behind the broker: all that they know is what the label requests say and what they see, and they err at set rates."""

import threading
import time
from collections.abc import Callable

import numpy as np

from qc.domain.errors import CommandError
from qc.domain.record import Json
from qc.publish.client import EdgeWatcher
from stories.plant import Plant
from stories.scenario import Scenario

NAMES = ("anna", "ben", "carla")
_PATIENCE_S = 30.0


class Crew:
    """A context manager. ``answer`` gives the labels that were asked for so far, further looks included."""

    def __init__(self, plant: Plant, scenario: Scenario, rng: np.random.Generator) -> None:
        self.asked: dict[str, dict[str, Json]] = {}
        self.refused: list[str] = []
        self.unheard = 0
        """Tickets in the store whose request never arrived: counted, since losing one is a defect."""
        self._plant, self._scenario, self._rng = plant, scenario, rng
        self._answered: set[str] = set()
        self._looked: dict[str, set[str]] = {}
        self._watcher = EdgeWatcher(plant.options, plant.edge.name, keep=1_000_000)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> "Crew":
        self._watcher.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(5)
        self._watcher.__exit__(None, None, None)

    @property
    def answers(self) -> int:
        return len(self._answered)

    def answer(self) -> int:
        """Labels given. Returns when every ticket of the edge is answered; gives up on requests that do not come."""
        given = 0
        while self._wait_for(self._open):
            for ticket in self._open() & set(self.asked):
                given += self._answer(ticket)
        return given

    def _open(self) -> set[str]:
        edge = self._plant.edge
        return {ticket.ticket_id for ticket in edge.truth.open_tickets(self._plant.clock.now())} - self._answered

    def _wait_for(self, wanted: Callable[[], set[str]]) -> bool:
        """True when some of the open tickets were heard of."""
        until_s = time.monotonic() + _PATIENCE_S
        while waiting := wanted():
            if waiting & set(self.asked):
                return True
            if time.monotonic() > until_s:
                self.unheard += len(waiting)
                self._answered |= waiting
                return False
            time.sleep(0.02)
        return False

    def _answer(self, ticket: str) -> int:
        self._answered.add(ticket)
        part = str(self.asked[ticket]["part_id"])
        looked = self._looked.setdefault(part, set())
        name = next((who for who in NAMES if who not in looked), NAMES[0])
        looked.add(name)
        defective = self._plant.book.shown[part].defective
        right = self._rng.random() < (self._scenario.sensitivity if defective else self._scenario.specificity)
        truth = "defect" if defective == right else "good"
        try:
            seconds = self._scenario.seconds_per_label
            self._plant.send("label", ticket_id=ticket, truth=truth, labeller=name, seconds_spent=seconds)
        except CommandError as error:
            self.refused.append(str(error))
            return 0
        return 1

    def _listen(self) -> None:
        while not self._closing.is_set():
            message = self._watcher.next(0.2)
            if message is not None and message.leaf == "evt/label-request":
                self.asked[str(message.body["ticket_id"])] = dict(message.body)
