"""What the registry says, done on the running line: which model decides which part, who is in the shadow, what ends a canary.

The registry's index is the one source: a step (command, CLI, automatic rollback) is written there first and then followed, so that a
restart at any point goes on where the index stands. Everything is loaded and proven before a part can meet it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from qc.domain.alarm import Action, Alarm, Cause
from qc.domain.errors import CommandError, QcError, StoreError
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import Command
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord, Json
from qc.domain.truth import Answer
from qc.domain.verdict import Decision
from qc.line.loop import Line
from qc.line.ports import RolloutPorts
from qc.line.release_state import last_rollbacks, release_of
from qc.line.release_steps import ReleaseSteps, promoted, refusals, with_slot
from qc.line.setup import Setup
from qc.line.shelf import Shelf
from qc.line.trial import MODEL_ALARM, ROLLBACK_ALARM, CanaryTrial
from qc.record.shadow_store import CELLS
from qc.release.canary import CanaryGuard, CanaryLabels
from qc.release.index import Index, RecipeState
from qc.release.shadow import Shadow, drawn, run_name
from qc.release.transitions import By

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_RETRY_S = 30.0
"""Pause between attempts to follow a step that the line could not follow: loading a model costs seconds of processor time."""
_ENOUGH_PARTS = 200
"""Active parts from which their own reject rate is the canary's baseline."""


class Rollout:
    """Follows the registry for one line. ``choose`` and ``inspected`` are called for every part and return at once."""

    def __init__(self, recipes: Mapping[str, Recipe], shelf: Shelf, ports: RolloutPorts) -> None:
        """recipes: as the recipe files say; the registry's promotions go on top of them."""
        self._files = dict(recipes)
        self._shelf = shelf
        self._ports = ports
        self._steps = ReleaseSteps(self._files, shelf, ports.registry, ports.clock)
        self._line: Line | None = None
        self._canaries: dict[str, CanaryTrial] = {}
        self._shadows: dict[str, Shadow] = {}
        self._known_cells: dict[str, dict[str, int]] = {}
        self._rates: dict[str, list[int]] = {}
        """Per variant: active parts judged, rejected among them."""
        self._followed = Index()
        self._stuck: dict[str, str] = {}
        """Variants that the line cannot bring to where the registry stands, and why."""
        self._retry_at_s = 0.0
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="qc-rollout", daemon=True)

    # --- every part -----------------------------------------------------------------------------------------

    def choose(self, shot: Shot, setup: Setup) -> Setup:
        """The canary's setup for its share of the variant's parts, else the given one. A part id is always drawn alike."""
        trial = self._canaries.get(setup.recipe.variant)
        if trial is None or trial.withdrawn() or trial.canary.over(self._ports.clock.now()):
            return setup
        if not drawn(f"canary:{trial.canary.slot.model}:{shot.part_id}", trial.canary.share):
            return setup
        return replace(trial.setup, fallback=setup)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        """Observer of the line: keeps the reject rate of the active model and offers the part to the shadow."""
        if record.role == "active" and record.challenge_id is None and record.verdict.decision is not Decision.NOT_INSPECTED:
            counts = self._rates.setdefault(record.variant, [0, 0])
            counts[0] += 1
            counts[1] += record.score is not None and record.score >= record.review_at
        shadow = self._shadows.get(record.variant)
        if shadow is not None:
            shadow.offer(record, shot, inspection)

    def labelled(self, record: InspectionRecord, answer: Answer) -> None:
        """A label of a part that a canary decided."""
        trial = self._canaries.get(record.variant)
        if trial is not None:
            trial.labelled(record, answer)

    def heed(self, alarm: Alarm) -> None:
        """Any alarm about the canary's variant that asks for more than attention takes the decision back from it."""
        for trial in list(self._canaries.values()):
            trial.heed(alarm)

    # --- life -----------------------------------------------------------------------------------------------

    def start(self, line: Line) -> None:
        """Follow the registry from now on, in a thread of its own."""
        self._line = line
        self.follow()
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)
        for shadow in self._shadows.values():
            shadow.close()

    def fall_back(self, variant: str, why: str) -> bool:
        """The active model cannot be loaded: the previous one takes its place. False when there is none that can."""
        try:
            self._ports.registry.fallback(variant, By("qc", "line", why))
        except QcError as error:
            log.error("no_fallback", variant=variant, error=str(error))
            return False
        try:
            self._take_over(variant, self._ports.registry.index())
        except CommandError:
            return False
        self._say(MODEL_ALARM, variant, f"{why}; the previous model decides", Cause.SYSTEM)
        return True

    def shadows(self) -> Mapping[str, Shadow]:
        return dict(self._shadows)

    def status(self) -> list[dict[str, Json]]:
        """Every recipe's release, the running one's first: who decides, who is on trial with which results so far, the last rollback."""
        index, rollbacks = self._followed, last_rollbacks(self._followed)
        running = self._line.setup.recipe.variant if self._line else ""
        found = []
        for variant in sorted(self._files, key=lambda name: (name != running, name)):
            recipe, state, shadow = self._shelf.recipe(variant), index.recipes.get(variant), self._shadows.get(variant)
            assert recipe is not None
            watched = None
            if shadow is not None and state is not None:
                watched = shadow, self._cells(run_name(variant, state.active.sha256, shadow.slot))
            found.append(
                release_of(
                    variant,
                    recipe.model_id,
                    state,
                    shadow=watched,
                    canary=self._canaries.get(variant),
                    rollback=rollbacks.get(variant),
                    trouble=self._stuck.get(variant, ""),
                )
            )
        return found

    def _cells(self, run: str) -> Mapping[str, int]:
        """Joint decisions so far; the last known ones while the store cannot be read: a state without them would say less."""
        try:
            self._known_cells[run] = self._ports.shadow_link.store.cells(run)
        except StoreError:
            log.warning("shadow_cells_not_read", run=run)
        return self._known_cells.get(run, dict.fromkeys(CELLS, 0))

    def command(self, command: Command) -> Mapping[str, Json]:
        """The command ``model``. Raises CommandError; see ``ReleaseSteps.take``. trouble in the answer: the step is made, but the
        line could not follow it yet (an alarm says so too)."""
        with self._lock:
            variant = self._steps.take(command, self._running().setup.recipe.variant)
            with refusals():
                self.follow()
                state = self._ports.registry.state(variant)
        assert state is not None
        facts: dict[str, Json] = {
            "variant": variant,
            "active": state.active.model,
            "previous": state.previous.model if state.previous else None,
            "shadow": state.shadow.slot.model if state.shadow else None,
            "canary": state.canary.slot.model if state.canary else None,
        }
        return facts | ({"trouble": self._stuck[variant]} if variant in self._stuck else {})

    # --- following the registry -----------------------------------------------------------------------------

    def follow(self) -> None:
        """Bring the line to where the index stands. What cannot be followed is reported, changes nothing, and is tried again."""
        with self._lock:
            index = self._ports.registry.index()
            again = bool(self._stuck) and time.monotonic() >= self._retry_at_s
            if index == self._followed and not again:
                return
            news = index.history[len(self._followed.history) :] if self._followed.history else ()
            for variant in self._files:
                if index.recipes.get(variant) != self._followed.recipes.get(variant) or (again and variant in self._stuck):
                    self._follow_variant(variant, index)
            self._followed = index
            for step in news:
                facts: dict[str, Json] = {"variant": step.variant, "model": step.model, "former": step.former, "gate": step.gate}
                what = f"model_{step.action.replace('-', '_')}"
                self._ports.tell(what, By(step.who, step.via, step.why), step.why, {**facts, "override": step.override})

    def _follow_variant(self, variant: str, index: Index) -> None:
        state = index.recipes.get(variant)
        try:
            self._take_over(variant, index)
            setup = self._shelf.setup(variant)
            line = self._running()
            if line.setup.recipe.variant == variant and line.setup.recipe != setup.recipe:
                line.setup = setup
            self._follow_canary(variant, state)
            self._follow_shadow(variant, state)
        except QcError as error:
            log.error("registry_not_followed", variant=variant, error=str(error))
            self._stuck[variant] = str(error)
            self._retry_at_s = time.monotonic() + _RETRY_S
            self._say(MODEL_ALARM, variant, f"the registry's last step cannot be followed: {error}", Cause.SYSTEM)
            return
        if self._stuck.pop(variant, None) is not None:
            self._ports.alarms.clear(MODEL_ALARM, variant)

    def _take_over(self, variant: str, index: Index) -> None:
        recipe = promoted(self._files[variant], index)
        if recipe != self._shelf.recipe(variant):
            self._shelf.inspector(recipe.model_id)  # loaded before a part can be meant for it
            self._ports.use(recipe, True)
            self._shelf.put(recipe)

    def _follow_canary(self, variant: str, state: RecipeState | None) -> None:
        canary = state.canary if state else None
        known = self._canaries.get(variant)
        if canary is None:
            self._canaries.pop(variant, None)
        elif known is None or known.canary != canary:
            recipe = with_slot(self._files[variant], canary.slot)
            inspector = self._shelf.inspector(canary.slot.model)
            self._ports.use(recipe, False)
            judged, rejected = self._rates.get(variant, (0, 0))
            measured = judged >= _ENOUGH_PARTS
            baseline = rejected / judged if measured else recipe.halt.baseline_reject_rate
            watches = (
                CanaryGuard(baseline, recipe.deadline_ms, measured=measured),
                CanaryLabels(self._ports.bounds, self._ports.lowest_q),
            )
            alarms = self._ports.alarms.open_alarms()
            known_alarms = [alarm.alarm_id for alarm in alarms if alarm.since < canary.since]
            trial = CanaryTrial(Setup(recipe, inspector), canary, watches, self._wake.set, known_alarms)
            for alarm in alarms:  # after a restart: what was said before it still holds
                trial.heed(alarm)
            for record, answer in self._ports.answers(canary.since):
                trial.labelled(record, answer)
            self._canaries[variant] = trial

    def _follow_shadow(self, variant: str, state: RecipeState | None) -> None:
        wanted = state.shadow if state else None
        running = self._shadows.get(variant)
        if running is not None and (wanted is None or (wanted.slot, wanted.share) != (running.slot, running.share)):
            del self._shadows[variant]
            running.close()
            running = None
        if wanted is not None and running is None:
            recipe = with_slot(self._files[variant], wanted.slot)
            inspector = self._shelf.inspector(wanted.slot.model)
            self._shadows[variant] = Shadow(recipe, wanted.slot, inspector, self._ports.shadow_link, share=wanted.share)

    # --- the thread of its own --------------------------------------------------------------------------------

    def _work(self) -> None:
        said: dict[str, str] = {}
        while not self._stopping.is_set():
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            steps: list[tuple[str, Callable[[], None]]] = [
                (variant, partial(self._conclude, variant, trial)) for variant, trial in list(self._canaries.items())
            ]
            for name, step in [*steps, ("", self.follow)]:
                trouble = ""
                try:
                    step()
                except QcError as error:  # the line goes on as it is; the next look tries again
                    trouble = str(error)
                    if trouble != said.get(name):
                        log.error("registry_not_followed", error=trouble)
                except Exception:
                    log.exception("registry_not_followed")
                said[name] = trouble

    def _conclude(self, variant: str, trial: CanaryTrial) -> None:
        """A canary that was withdrawn, or whose time is over, ends in the registry too; once, unless somebody else has ended it."""
        registry, canary = self._ports.registry, trial.canary
        if not trial.withdrawn() and not canary.over(self._ports.clock.now()):
            return
        state = registry.state(variant)
        if state is None or state.canary != canary:
            return
        if not trial.withdrawn():
            registry.canary_passed(variant, By("qc", "line", f"{trial.guard.parts} parts without an alarm"))
            return
        try:
            registry.rollback(variant, By("qc", "line", trial.reason))
        finally:  # also when the registry cannot be written now: the line has taken the decision back already
            if not trial.told:
                trial.told = True
                log.error("canary_withdrawn", variant=variant, model=canary.slot.model, reason=trial.reason)
                message = f"{canary.slot.model} decides no further part: {trial.reason}"
                self._say(ROLLBACK_ALARM, variant, message, Cause.MODEL_DECAY)

    def _say(self, quantity: str, variant: str, message: str, cause: Cause) -> None:
        self._ports.alarms.report(quantity, variant, cause=cause, action=Action.ADVISE, message=f"{variant}: {message}")

    def _running(self) -> Line:
        assert self._line is not None, "start comes first"
        return self._line
