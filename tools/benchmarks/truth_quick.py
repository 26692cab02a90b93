"""The same plant without the edge around it: monitor, halt policy and labels only, so that a confusion table of causes can
rest on tens of seeds instead of five. Parts, model answers, plans and inspectors as in ``truth_world``; no line, store, queue or broker.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from benchmarks.truth_bank import LEVEL_SHARES, LEVELS, Bank, levels_of
from benchmarks.truth_decays import COMMISSIONING, LONGEST, Decay, Outcome, outcome
from benchmarks.truth_world import BOUNDS, LOT, START, VARIANT, Seen, Stage, World
from qc.decide.halt import HaltState, step
from qc.domain.alarm import Action, Alarm
from qc.domain.inspection import Inspection
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord
from qc.domain.truth import Answer, ChallengePass, Label, Purpose, SampleTicket, Truth
from qc.domain.verdict import Decision, Reason, Verdict
from qc.label.plan import LabelledParts, PlanBudget, SamplingPlan, replan, uniform_plan
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.input_watch import InputSettings
from qc.monitor.label_watch import RateBounds
from qc.monitor.watch import INPUTS, Monitor, MonitorSettings

SHIFT = timedelta(hours=8)
_FROZEN_AFTER = 5


@dataclass
class _Clock:
    moment: datetime = START

    def now(self) -> datetime:
        return self.moment

    def monotonic_ns(self) -> int:
        return int(self.moment.timestamp() * 1e9)


class _Forgetful:
    """AlarmStore for a book that lives as long as the run."""

    def save(self, alarm: Alarm) -> None: ...

    def current(self) -> list[Alarm]:
        return []


@dataclass
class QuickPlant:
    """One variant on one camera. ``shift`` makes a shift's parts and, in its middle, answers the labels of the shift before."""

    bank: Bank
    recipe: Recipe
    world: World
    seed: int
    stage: Stage = field(default_factory=Stage)

    def __post_init__(self) -> None:
        self.rng, self.clock = np.random.default_rng([self.seed, 0]), _Clock()
        self.book = StoredAlarmBook(_Forgetful(), self.clock, lambda _: None)
        bounds = RateBounds(BOUNDS.detection_floor, BOUNDS.false_positive_ceiling, BOUNDS.prevalence_ceiling)
        settings = MonitorSettings(default_bounds=bounds, inputs=InputSettings(streams=len(INPUTS)))
        self._plans: dict[str, SamplingPlan] = {}
        self.monitor = Monitor(self.book, settings, lambda _v, _r, window: self._plans.get(window))
        self.halt, self.parts, self.labels, self.asked = HaltState(), 0, 0, 0
        self.seen: dict[str, Seen] = {}
        self._number, self._shift = 0, 0
        self._drawn: list[tuple[SampleTicket, bool, bool]] = []
        self._history: list[tuple[float, bool]] = []
        self._settled: list[tuple[float, bool, float]] = []
        self._scores: dict[str, float] = {}
        self._lately: deque[int] = deque(maxlen=_FROZEN_AFTER)
        mono = np.flatnonzero(self.bank.defective & ~self.bank.poly)
        caught = self.bank.scores()[mono] >= self.recipe.review_at
        order = np.random.default_rng([self.seed, 11])
        self._known = [*order.permutation(mono[caught])[:11], *order.permutation(mono[~caught])[:1]]
        self._budget = PlanBudget(self.world.labels, self.world.parts, horizon_labels=21 * self.world.labels, seed=self.seed)
        self._plan = uniform_plan(VARIANT, self._budget)
        self._level = 0
        self._cells = {
            (defective, poly): np.flatnonzero((self.bank.defective == defective) & (self.bank.poly == poly))
            for defective in (False, True)
            for poly in (False, True)
        }

    def shift(self) -> None:
        window = f"day-{self._shift:03d}/shift"
        began = START + self._shift * SHIFT
        if self._history:
            self._replan()
        self._plans[window] = self._plan
        due, self._drawn = self._drawn, []
        for i in range(self.world.parts):
            self.clock.moment = began + SHIFT * (i + 0.5) / self.world.parts
            if i == self.world.parts // 2:
                self._answer(due)
            if i % (self.world.parts // self.world.challenges) == 250:
                self._challenge(window)
            self._part(window)
        self._shift += 1

    # --- parts --------------------------------------------------------------------------------------------

    def _part(self, window: str) -> None:
        self._number += 1
        stage, rng, bank = self.stage, self.rng, self.bank
        if self._number % LOT == 0:
            self._level = int(rng.choice(LEVELS, p=LEVEL_SHARES))
        prevalence = self.world.prevalence if stage.prevalence is None else stage.prevalence
        defective, poly = bool(rng.random() < prevalence), bool(rng.random() < stage.poly_share)
        cells = self._cells[defective, poly]
        cell = int(cells[rng.integers(len(cells))])
        level = 0 if bank.poly[cell] else min(max(self._level, min(levels_of(stage.condition))), max(levels_of(stage.condition)))
        frozen = stage.frozen and self._number > 0
        if frozen:
            cell, level = int(self._cells[False, False][0]), 0
        self._lately.append(cell if frozen else -self._number)
        faulty = frozen and len(set(self._lately)) == 1 and len(self._lately) == _FROZEN_AFTER
        key = (stage.condition, level)
        record = self._record(cell, bank.inspections[key][cell], window, faulty)
        record = replace(record, quality=bank.quality[key][cell])
        self.monitor.on_record(record)
        if not faulty:
            self._draw(record, bool(bank.defective[cell]))
        before = self.halt.level
        self.halt = step(self.halt, record.verdict.decision, self.recipe.halt, record.recipe_version)
        if self.halt.level is not before and self.halt.level is not Action.NONE:
            found = self.monitor.diagnosis(VARIANT)
            self.book.report(
                "halt_policy",
                VARIANT,
                cause=found.cause,
                action=self.halt.level,
                message=self.halt.reason,
                parts=[record.event_id],
                evidence_by_cause=found.evidence,
            )
        elif self.halt.level is Action.NONE and before is not Action.NONE:
            self.book.clear("halt_policy", VARIANT)
        self.parts += 1
        self._look()

    def _record(self, cell: int, said: Inspection, window: str, faulty: bool) -> InspectionRecord:
        recipe, score = self.recipe, said.score
        if faulty:
            verdict, score = Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT), None
        elif said.score >= recipe.reject_at:
            verdict = Verdict(Decision.NG, Reason.ABOVE_REJECT)
        elif said.score >= recipe.review_at:
            verdict = Verdict(Decision.REVIEW, Reason.BETWEEN_THRESHOLDS)
        else:
            verdict = Verdict(Decision.OK, Reason.BELOW_REVIEW)
        return InspectionRecord(
            event_id=f"e{self._number:07d}",
            part_id=f"part-{self._number:07d}-{cell}",
            camera_id="cam1",
            captured_at=self.clock.moment,
            decided_at=self.clock.moment,
            verdict=verdict,
            variant=VARIANT,
            recipe_version=recipe.version,
            model_id=recipe.model_id,
            model_sha256="0" * 64,
            review_at=recipe.review_at,
            reject_at=recipe.reject_at,
            score=score,
            embedding=None if faulty else said.embedding,
            shift=window,
            seq=self._number,
        )

    def _challenge(self, window: str) -> None:
        cell = int(self._known[self._challenges % len(self._known)])
        self._challenges += 1
        score = self.bank.inspections[self.stage.condition, 0][cell].score
        event = f"c{self._challenges:05d}"
        made = ChallengePass(event, f"known-{cell}", window, self.clock.moment, score >= self.recipe.review_at)
        self.monitor.on_pass(VARIANT, made)

    _challenges = 0

    def _look(self) -> None:
        for alarm in self.book.open_alarms():
            seen = self.seen.setdefault(alarm.alarm_id, Seen(alarm, alarm, self.parts, self.labels))
            seen.latest = alarm
            seen.causes.setdefault(alarm.cause.value, self.parts)

    # --- labels -------------------------------------------------------------------------------------------

    def _draw(self, record: InspectionRecord, defective: bool) -> None:
        assert record.score is not None
        rejected = record.verdict.decision is not Decision.OK
        self._history.append((record.score, rejected))
        stratum, q = self._plan.stratum(record.score, rejected)
        if self.rng.random() >= q:
            return
        self.asked += 1
        self._scores[record.event_id] = record.score
        at = record.decided_at
        ticket = SampleTicket(
            record.event_id, record.event_id, record.part_id, record.shift, stratum, q, "", Purpose.ESTIMATE, at, at + 9 * SHIFT
        )
        self._drawn.append((ticket, rejected, defective))

    def _answer(self, drawn: list[tuple[SampleTicket, bool, bool]]) -> None:
        for ticket, rejected, defective in drawn:
            looks = list(self._looks(rejected, defective))
            for number, truth in enumerate(looks, 1):
                one = replace(ticket, review_round=number)
                label = Label(
                    f"{ticket.ticket_id}-{number}",
                    ticket.ticket_id,
                    truth,
                    "",
                    f"who{number}",
                    self.clock.moment,
                    review_round=number,
                )
                self.monitor.on_answer(VARIANT, Answer(one, label))
                self.labels += 1
                self._look()
            self._settled.append((self._scores.pop(ticket.event_id), looks[-1] is Truth.DEFECT, ticket.inclusion_probability))

    def _looks(self, rejected: bool, defective: bool) -> Iterator[Truth]:
        """A second look at a defect on an accepted part, a third where two disagree."""

        def say() -> bool:
            right = self.rng.random() < (self.world.sensitivity if defective else self.world.specificity)
            return defective == bool(right)

        first = say()
        yield Truth.DEFECT if first else Truth.GOOD
        if first and not rejected:
            second = say()
            yield Truth.DEFECT if second else Truth.GOOD
            if second is not first:
                yield Truth.DEFECT if say() else Truth.GOOD

    def _replan(self) -> None:
        scores, rejected = (np.array(column) for column in zip(*self._history[-20_000:], strict=True))
        self._plan = replan(self._plan, scores, rejected, self._labelled(), self._budget)

    def _labelled(self) -> LabelledParts:
        if not self._settled:
            return LabelledParts(np.zeros(0), np.zeros(0, np.int64), np.zeros(0))
        scores, defective, q = (np.array(column) for column in zip(*self._settled, strict=True))
        return LabelledParts(scores, defective.astype(np.int64), q)

    def change_thresholds(self, review_at: float, reject_at: float) -> None:
        self.recipe = replace(self.recipe, review_at=review_at, reject_at=reject_at)
        self._history, self._settled = [], []
        self._plan = uniform_plan(VARIANT, self._budget)


def quick_decay(bank: Bank, recipe: Recipe, world: World, seed: int, one: Decay) -> Outcome:
    """As ``truth_decays.decay``."""
    plant = QuickPlant(bank, recipe, world, seed)
    for _ in range(COMMISSIONING):
        plant.shift()
    before, parts, labels = set(plant.seen), plant.parts, plant.labels
    plant.stage = one.stage
    if one.thresholds is not None:
        plant.change_thresholds(*one.thresholds)
    for _ in range(LONGEST):
        had = set(plant.seen) - before
        plant.shift()
        if had:
            break
    return outcome(
        one,
        seed,
        [seen for key, seen in plant.seen.items() if key not in before],
        plant.parts,
        plant.labels,
        began=(parts, labels),
    )
