"""A simulated plant around a real edge: production at a planned speed, an operator at the line, and inspectors after each shift.

Nothing in qc looks at the truth: a part's id tells its product (as a barcode does) and its number.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import numpy as np
from simulations.leaping_clock import LeapingClock

from qc.domain.alarm import Action, Alarm
from qc.domain.errors import PublishError
from qc.domain.ports import Inspector
from qc.inspection.session import Runtime, load_inspector
from qc.publish.client import CommandClient
from qc.publish.link import MqttOptions
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge
from stories.book import Book, SeenAlarm, TrueCapture, TrueHalt
from stories.camera import PlantCamera
from stories.home import Home
from stories.memo import RememberingInspector
from stories.pictures import Deck
from stories.scenario import Scenario

CHUNK = 10
"""Parts between two looks of the operator."""
OPERATOR = "olga"
Mix = Mapping[str, float]
"""Product -> its share of production."""


class Plant:
    """The edge in ``home``, running; a context manager. ``use_pool`` says from which pictures the parts come."""

    def __init__(self, home: Home, scenario: Scenario, seed: int, mqtt_port: int, start: datetime) -> None:
        self.scenario, self.home = scenario, home
        self.clock, self.book = LeapingClock(start), Book()
        self.mix: Mix = {product: 1 / len(scenario.known) for product in scenario.known}
        self.options = MqttOptions("127.0.0.1", mqtt_port)
        self.inferences = 0
        self._rng = np.random.default_rng([seed, 1])
        self._decks: dict[tuple[str, bool], Deck] = {}
        self._number = 0
        self._handled: set[str] = set()
        self._inspectors: dict[str, RememberingInspector] = {}
        self.crew: Callable[[], int] = lambda: 0
        """Called at the end of each shift: the inspectors answer what was asked."""

    def __enter__(self) -> "Plant":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """As ``qc run`` would, from the files in home."""
        self.camera = PlantCamera(self.clock)
        settings = load_line(self.home.line_toml, {})
        recipes = load_recipes(settings.recipes.directory)
        self.edge: Edge = build_edge(
            settings, recipes, clock=self.clock, cameras=[self.camera], observers=[self.book], load=self._load
        )
        self.edge.start()
        self.client = CommandClient(self.options, self.edge.name)
        self.client.__enter__()
        self._wait_until_served()

    def stop(self) -> None:
        self.client.__exit__(None, None, None)
        self.edge.stop()
        self.edge.database.close()

    def restart(self) -> None:
        """After a change of the recipe file."""
        self.stop()
        self.start()

    def use_pool(self, pools: Mapping[tuple[str, bool], Deck]) -> None:
        """pools: (product, defective) -> captures."""
        self._decks = dict(pools)

    # --- production -----------------------------------------------------------------------------------------

    def shifts(self, count: int, *, one_by_one: bool = False, until: Callable[[], bool] = lambda: False) -> bool:
        """Work so many shifts; true as soon as ``until`` is (looked at after each shift)."""
        for _ in range(count):
            self.shift(one_by_one=one_by_one)
            if until():
                return True
        return False

    def shift(self, *, one_by_one: bool = False) -> None:
        """Eight hours: parts at the planned speed, but none while the line stands; then the inspectors' answers and upkeep."""
        window = self.edge.street.shifts.window_of(self.clock.now() + timedelta(minutes=1))
        cycle = (window.end - window.start) / self.scenario.length.shift_parts
        at = window.start + cycle / 2
        while at < window.end:
            goal = self.book.parts
            for _ in range(1 if one_by_one else CHUNK):
                if at >= window.end:
                    break
                self._hand(at)
                at, goal = at + cycle, goal + 1
            self._wait_for(goal)
            if one_by_one:
                self._wait_for_shadow()
            if self._look():
                at += timedelta(minutes=self.scenario.halt_minutes)
        self.clock.moment = max(self.clock.moment, window.end - timedelta(minutes=5))
        self.crew()
        self._look()
        self._acknowledge(lambda alarm: alarm.quantity == "halt_policy", "seen at the end of the shift")
        self.edge.street.upkeep()
        self.edge.store.maintain()
        self.clock.moment = window.end

    def _hand(self, at: datetime) -> None:
        self._number += 1
        products = sorted(self.mix)
        product = products[int(self._rng.choice(len(products), p=[self.mix[name] for name in products]))]
        defective = bool(self._rng.random() < self.scenario.prevalence)
        capture = self._decks[product, defective].next()
        part_id = f"{capture.sample.variant}-{self._number:06d}"
        self.book.shown[part_id] = TrueCapture(product, defective, capture.sample.image.name, at)
        self.camera.hand(part_id, at, capture)

    def _wait_for(self, parts: int) -> None:
        until_s = time.monotonic() + 300
        while self.book.parts < parts:
            if time.monotonic() > until_s:
                raise TimeoutError(f"the line judged {self.book.parts} of {parts} parts in five minutes")
            time.sleep(0.002)

    def _wait_for_shadow(self) -> None:
        """The simulated line is faster than any real one: the shadow gets the time that it would have."""
        for shadow in self.edge.rollout.shadows().values():
            until_s = time.monotonic() + 5
            while time.monotonic() < until_s:
                counts = shadow.counts
                if counts.judged + counts.shed + counts.skipped + counts.failed >= counts.offered:
                    break
                time.sleep(0.002)

    def _load(self, model_id: str) -> Inspector:
        found = self._inspectors.get(model_id)
        if found is None:
            found = RememberingInspector(load_inspector(self.home.models / model_id, Runtime(intra_op_threads=1)))
            self._inspectors[model_id] = found
        return found

    def inferred(self) -> int:
        """How many different pictures the models were really asked about."""
        return sum(one.asked for one in self._inspectors.values())

    # --- the operator ---------------------------------------------------------------------------------------

    def _look(self) -> bool:
        """Note new alarms; true when one asks for a halt: the operator looks at the last rejects and acknowledges."""
        halted = False
        for alarm in self.edge.alarms.open_alarms():
            seen = self.book.alarms.setdefault(alarm.alarm_id, SeenAlarm(alarm, alarm, self.book.parts))
            seen.latest = alarm
            if alarm.action is Action.HALT and alarm.alarm_id not in self._handled:
                self._handled.add(alarm.alarm_id)
                needless = self._needless()
                self.book.halts.append(TrueHalt(self.clock.now(), alarm.quantity, needless))
                note = "needless: most of the rejected parts are good" if needless else "rejected parts are defective"
                self.send("ack-alarm", alarm_id=alarm.alarm_id, operator=OPERATOR, note=note)
                halted = True
        return halted

    def _needless(self) -> bool:
        rejects = [j for j in self.book.judged[-60:] if j.score >= j.review_at][-10:]
        return sum(not self.book.shown[j.part_id].defective for j in rejects) > len(rejects) / 2

    def _acknowledge(self, which: Callable[[Alarm], bool], note: str) -> None:
        for alarm in self.edge.alarms.open_alarms():
            if which(alarm) and alarm.acknowledged_by in (None, ""):
                self.send("ack-alarm", alarm_id=alarm.alarm_id, operator=OPERATOR, note=note)

    def acknowledge_all(self, note: str) -> None:
        self._look()
        self._acknowledge(lambda _: True, note)

    def send(self, name: str, **body: object) -> dict[str, object]:
        """A command over MQTT. Raises CommandError, PublishError."""
        return dict(self.client.send(name, body, timeout_s=60))

    def _wait_until_served(self) -> None:
        """After a start it takes a moment until the edge listens for commands."""
        until_s = time.monotonic() + 60
        while True:
            try:
                self.client.send("resume", timeout_s=5)
                return
            except PublishError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.1)
