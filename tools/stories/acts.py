"""The story, act by act: commissioning, healthy weeks, decay, alarm, labels, retraining, gate, shadow, canary, promotion, healthy weeks.

What the plant's people do goes through the product's own doors: MQTT commands, ``qc dataset export``, the training, ``tools/gate.py``,
the recipe file with a restart, ``qc report``.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from qc.domain.alarm import Cause
from qc.domain.errors import CommandError, EvaluationError
from qc.record.shadow_store import ShadowStore
from qc.release.shadow import run_name
from qc.release.shadow_report import shadow_comparison
from stories import measure
from stories.book import SeenAlarm
from stories.crew import Crew
from stories.desk import Desk
from stories.home import Home
from stories.pictures import deal, read_pictures
from stories.plant import Plant
from stories.scenario import Scenario

ENGINEER = "emil"
START = datetime(2026, 11, 2, 5, tzinfo=UTC)
LONGEST_WAIT = 15
"""Shifts in which an alarm must come."""
Span = tuple[datetime, datetime]


@dataclass
class Round:
    """What happened from one arrival to the recovery; goes into the JSON as it is."""

    arrival: tuple[str, ...]
    onset: datetime
    alarm: dict[str, Any] = field(default_factory=dict)
    training: dict[str, object] = field(default_factory=dict)
    gate: list[dict[str, object]] = field(default_factory=list)
    override: str = ""
    shadow: dict[str, Any] = field(default_factory=dict)
    canary: dict[str, object] = field(default_factory=dict)
    recovery: dict[str, object] = field(default_factory=dict)
    periods: dict[str, dict[str, Any]] = field(default_factory=dict)


class Story:
    """One scenario with one seed. ``run`` returns what goes into the JSON."""

    def __init__(
        self, scenario: Scenario, seed: int, *, data: Path, out: Path, port: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """data: folder of the image sets. out: where everything is kept. port: of the broker."""
        self.scenario, self.seed, self.say = scenario, seed, say
        self.home = Home((out / f"{scenario.name}-{seed}").resolve())
        self.home.clear()
        self._port, self._rng = port, np.random.default_rng([seed, 2])
        pools = deal(read_pictures(scenario.data, data, out.resolve()), scenario.pools, scenario.known, seed)
        self._desk = Desk(self.home, scenario, seed, pools, out.resolve() / ".trained", self._rng, say)
        self._products = list(scenario.known)

    def run(self) -> dict[str, Any]:
        cpu_s, wall_s = time.process_time(), time.monotonic()
        self._model = self._desk.commission()
        self._hold_against_limits()
        card = self._desk.cards[self._model]
        self.say(
            f"commissioned {self._model}: review_at {card.review_at:.3f}, reject_at {card.reject_at:.3f}; held against {self._bounds}"
        )
        with Plant(self.home, self.scenario, self.seed, self._port, START) as self.plant:
            with Crew(self.plant, self.scenario, self._rng) as crew:
                self.plant.crew = crew.answer
                rounds = self._rounds()
            return {
                "scenario": self.scenario.name,
                "seed": self.seed,
                "rounds": [asdict(one) for one in rounds],
                "parts": self.plant.book.parts,
                "not_judged": self.plant.book.not_judged,
                "simulated_days": (self.plant.clock.now() - START).total_seconds() / 86400,
                "labels_given": crew.answers,
                "labels_refused": crew.refused,
                "requests_not_heard": crew.unheard,
                "inferences": self.plant.inferred(),
                "registry": [f"{step.action} {step.model} by {step.who}: {step.why}" for step in self._index().history],
                "cpu_s": round(time.process_time() - cpu_s, 1),
                "wall_s": round(time.monotonic() - wall_s, 1),
            }

    # --- acts -----------------------------------------------------------------------------------------------

    def _rounds(self) -> list[Round]:
        s, plant = self.scenario, self.plant
        plant.use_pool(self._desk.decks("before", s.known))
        plant.shifts(s.length.healthy)
        healthy = (START, plant.clock.now())
        self.say(f"healthy: {plant.book.parts} parts in {s.length.healthy} shifts; alarms: {self._alarms_in(*healthy) or 'none'}")
        rounds = []
        for number, arrival in enumerate(s.arrivals, 1):
            rounds.append(self._round(number, arrival, healthy))
            healthy = (self._promoted_at, plant.clock.now())
        return rounds

    def _round(self, number: int, arrival: tuple[str, ...], healthy: Span) -> Round:
        s, plant = self.scenario, self.plant
        this = Round(arrival, plant.clock.now())
        self._decay(number, this)
        self._wait_for_an_alarm(this)
        plant.shifts(s.length.answer)
        this.alarm |= self._causes_since(this.onset)
        candidate = self._next_model(number, this)
        decayed = (this.onset, plant.clock.now())
        self._restart(labels=s.labels)
        plant.use_pool(self._desk.decks("after", self._products))
        self._shadow(candidate, this)
        self._canary(candidate, this)
        self._promote(candidate, this)
        this.recovery = self._cost_of_the_road(this.onset)
        plant.shifts(s.length.after)
        self._report(number, this, {"healthy": healthy, "decayed": decayed, "recovered": (self._promoted_at, plant.clock.now())})
        return this

    def _next_model(self, number: int, this: Round) -> str:
        """Trained and taken to the gate; where the gate refuses it, more labels and another one, once."""
        since, candidate = this.onset, ""
        for again, suffix in ((False, ""), (True, "b")):
            candidate = f"{self.scenario.name}-{number + 1}{suffix}"
            this.training = self._desk.retrain(candidate, self._model, since, self._products, again=again)
            stretch = self._label_everything()
            this.gate += self._desk.pass_gate(candidate, self._model, since=stretch, products=self._products, again=again)
            if this.gate[-1]["outcome"] != "FAIL" or again:
                break
            self._restart(labels=self.scenario.labels)
            self._use_production(number)
            since = self.plant.clock.now()
            self.plant.shifts(self.scenario.length.answer)
        return candidate

    def _use_production(self, number: int) -> None:
        self.plant.use_pool(self._desk.decks("before" if number == 1 else f"before-{number}", self._products))

    def _decay(self, number: int, this: Round) -> None:
        """The new products mix in."""
        s = self.scenario
        known = list(self._products)
        self._products += this.arrival
        self.plant.mix = dict.fromkeys(known, (1 - s.share) / len(known)) | dict.fromkeys(
            this.arrival, s.share / len(this.arrival)
        )
        self._use_production(number)

    def _wait_for_an_alarm(self, this: Round) -> None:
        book = self.plant.book
        before, parts = set(book.alarms), book.parts

        def new() -> list[SeenAlarm]:
            return [seen for key, seen in book.alarms.items() if key not in before and seen.first.cause is not Cause.SYSTEM]

        if not self.plant.shifts(LONGEST_WAIT, until=lambda: bool(new())):
            this.alarm = {"quantity": "", "cause": "", "parts": None, "hours": None}
            self.say(f"no alarm within {LONGEST_WAIT} shifts after {', '.join(this.arrival)} appeared")
            return
        seen = min(new(), key=lambda seen: (seen.parts, seen.first.since))
        first, hours = seen.first, (book.judged[seen.parts - 1].at - this.onset).total_seconds() / 3600
        this.alarm = {
            "quantity": first.quantity,
            "cause": first.cause.value,
            "action": first.action.value,
            "message": first.message,
            "parts": seen.parts - parts,
            "hours": hours,
        }
        self.say(f"alarm {first.quantity} after {seen.parts - parts} parts, cause {first.cause.value}: {first.message}")

    def _causes_since(self, onset: datetime) -> dict[str, object]:
        """What the alarms say when the engineer comes to look. Named: what most of the monitor's alarms say; the halt policy's only if alone."""
        seen = [one.latest for one in self.plant.book.alarms.values() if one.latest.updated_at >= onset]
        causes = {alarm.quantity: alarm.cause.value for alarm in seen}
        said = [cause for quantity, cause in causes.items() if quantity != "halt_policy"] or list(causes.values())
        named = max(sorted(set(said)), key=said.count) if said else ""
        self.say(f"causes by alarm: {causes}")
        return {"causes": causes, "named": named, "right": named == self.scenario.expected_cause}

    def _label_everything(self) -> datetime:
        """A stretch from pictures that the candidate never saw; returns when it began."""
        s = self.scenario
        self._restart(labels=s.length.shift_parts)
        self.plant.use_pool(self._desk.decks("gate", self._products))
        since = self.plant.clock.now()
        self.plant.shifts(s.length.stretch)
        return since

    def _shadow(self, candidate: str, this: Round) -> None:
        s, plant = self.scenario, self.plant
        self._step("shadow", model=candidate, reason="gate done")
        plant.shifts(s.length.shadow, one_by_one=True)
        counts = asdict(plant.edge.rollout.shadows()[s.variant].counts)
        active = plant.edge.line.setup.inspector.card.sha256
        run = run_name(s.variant, active, plant.edge.registry.slot(candidate))
        cells = ShadowStore(plant.edge.database).cells(run)
        this.shadow = {**counts, "cells": cells}
        try:
            compared = shadow_comparison(run, cells, plant.edge.truth.answers())
            this.shadow |= {name: [d.estimate, d.low, d.high] for name, d in zip(("detection", "false"), compared, strict=True)}
        except EvaluationError as error:
            this.shadow["not_estimable"] = str(error)
        self._step("shadow", reason="seen enough")
        self.say(f"shadow: {this.shadow}")

    def _canary(self, candidate: str, this: Round) -> None:
        s, plant = self.scenario, self.plant
        self._step("canary", model=candidate, share=0.5, reason="gate done")
        before = len(plant.book.judged)
        plant.shifts(s.length.canary)
        decided = sum(judged.role == "canary" for judged in plant.book.judged[before:])
        still = self._index().recipes[s.variant].canary is not None
        this.canary = {"parts": decided, "withdrawn": "" if still else self._index().history[-1].why}
        self.say(f"canary: {decided} parts, {'no alarm' if still else 'WITHDRAWN: ' + str(this.canary['withdrawn'])}")

    def _promote(self, candidate: str, this: Round) -> None:
        """Past a gate that did not pass, or after a canary that was withdrawn, only by an override with name and reason."""
        try:
            self._step("promote", model=candidate, reason="gate passed")
        except CommandError as error:
            reason = (
                f"gate: {this.gate[-1]['outcome']}; the active model rejects the new product, shadow and canary were looked at"
            )
            self.say(f"promotion refused ({error}); {ENGINEER} overrides")
            this.override = f"{ENGINEER}: {reason}"
            self._step("promote", model=candidate, reason=reason, override=True)
        self._model, self._promoted_at = candidate, self.plant.clock.now()
        self._desk.accept()
        self.plant.acknowledge_all(f"{candidate} is promoted")
        self._hold_against_limits()
        self.plant.restart()
        self.say(f"promoted {candidate}; held against {self._bounds}")

    def _report(self, number: int, this: Round, periods: dict[str, Span]) -> None:
        """``qc report`` on each period; the last one as a page beside the decayed one."""
        for name, span in periods.items():
            last = name == "recovered"
            page = self.home.folder / f"report-{number}.html" if last else None
            found = measure.period(self.home, self.plant.book, *span, compare=periods["decayed"] if last else None, html=page)
            this.periods[name] = {**found, "alarms": self._alarms_in(*span)}
            self.say(f"{name}: {measure.sentence(this.periods[name])}")

    # --- what the acts are made of ----------------------------------------------------------------------------

    def _hold_against_limits(self) -> None:
        self._bounds = self._desk.bounds(self._model)
        self.home.write_line(self.scenario, self._bounds, self._port)
        self._desk.write_recipe(self._model, self._bounds, labels=self.scenario.labels)

    def _restart(self, *, labels: int) -> None:
        """Another sampling plan: edit the recipe and start the edge again."""
        self._desk.write_recipe(self._model, self._bounds, labels=labels)
        self.plant.restart()

    def _step(self, action: str, **body: object) -> None:
        self.plant.send("model", action=action, variant=self.scenario.variant, operator=ENGINEER, **body)

    def _index(self) -> Any:
        return self.plant.edge.registry.index()

    def _alarms_in(self, since: datetime, until: datetime) -> list[str]:
        first = [seen.first for seen in self.plant.book.alarms.values()]
        return [f"{a.quantity}/{a.slice}: {a.cause.value}, {a.action.value}" for a in first if since <= a.updated_at < until]

    def _cost_of_the_road(self, onset: datetime) -> dict[str, object]:
        """Parts, hours, labels and reviewer's minutes from the onset to the promotion."""
        now = self.plant.clock.now()
        answers = [a.label for a in self.plant.edge.truth.answers() if onset <= a.label.labelled_at <= now]
        at_desk, self._desk.looked_at = self._desk.looked_at, 0
        seconds = sum(label.seconds_spent or 0 for label in answers) + at_desk * self.scenario.seconds_per_label
        return {
            "parts": sum(judged.at >= onset for judged in self.plant.book.judged),
            "hours": (now - onset).total_seconds() / 3600,
            "labels": len(answers) + at_desk,
            "minutes": seconds / 60,
        }
