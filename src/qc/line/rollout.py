"""What the registry says, done on the running line: which model decides which part, who is in the shadow, what ends a canary.

The registry's index is the one source: a step (command, CLI, automatic rollback) is written there first and then followed, so that a
restart at any point goes on where the index stands. Everything is loaded and proven before a part can meet it.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

import structlog

from qc.domain.alarm import Action, Alarm, Cause
from qc.domain.errors import CommandError, QcError, ReleaseError
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import AlarmBook, Clock, Command
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord, Json
from qc.domain.truth import Answer
from qc.domain.verdict import Decision
from qc.line.loop import Line
from qc.line.setup import Setup
from qc.line.shelf import Shelf
from qc.monitor.label_watch import RateBounds
from qc.release.canary import CanaryGuard, CanaryLabels, LowestQ
from qc.release.index import Canary, Index, RecipeState, Slot
from qc.release.registry import Registry
from qc.release.shadow import Shadow, ShadowLink, drawn
from qc.release.transitions import By

log = structlog.get_logger(__name__)

ROLLBACK_ALARM = "canary"
"""Quantity of the alarm that an automatic rollback raises."""
MODEL_ALARM = "model"
"""Quantity of the alarm that a model which cannot run raises."""
_LOOK_S = 1.0
_ENOUGH_PARTS = 200
"""Active parts from which their own reject rate is the canary's baseline."""


@dataclass(frozen=True, slots=True)
class RolloutPorts:
    """use: makes a recipe known to the sampler (and, where it is active, to the planner). tell: an event of the line (what, who did it, message, facts).
    bounds, lowest_q: see CanaryLabels."""

    registry: Registry
    alarms: AlarmBook
    clock: Clock
    shadow_link: ShadowLink
    bounds: RateBounds
    lowest_q: LowestQ
    use: Callable[[Recipe, bool], None]
    tell: Callable[[str, By, str, Mapping[str, Json]], None]


class _CanaryTrial:
    """The guard of one canary, as the line asks it. The decision to withdraw holds at once; the registry hears of it right after."""

    def __init__(
        self,
        variant: str,
        canary: Canary,
        watches: "tuple[CanaryGuard, CanaryLabels]",
        withdraw: Callable[[str, str], None],
        known_alarms: set[str],
    ) -> None:
        """known_alarms: those that were open before it began; they speak about the model that it is to replace."""
        self.variant = variant
        self.canary = canary
        self.guard, self.labels = watches
        self.known_alarms = known_alarms
        self._withdraw = withdraw
        self._ended = threading.Event()

    def withdrawn(self) -> bool:
        return self._ended.is_set()

    def judged(self, record: InspectionRecord) -> None:
        self.end(self.guard.judged(record))

    def failed(self, error: str) -> None:
        if reason := self.guard.failed():
            self.end(f"{reason} ({error})")

    def end(self, reason: str) -> None:
        """Empty: nothing ends."""
        if reason and not self._ended.is_set():
            self._ended.set()
            self._withdraw(self.variant, reason)


class Rollout:
    """Follows the registry for one line. ``choose`` and ``inspected`` are called for every part and return at once."""

    def __init__(self, recipes: Mapping[str, Recipe], shelf: Shelf, ports: RolloutPorts) -> None:
        """recipes: as the recipe files say; the registry's promotions go on top of them."""
        self._files = dict(recipes)
        self._shelf = shelf
        self._ports = ports
        self._line: Line | None = None
        self._canaries: dict[str, tuple[_CanaryTrial, Setup]] = {}
        self._shadows: dict[str, Shadow] = {}
        self._rates: dict[str, list[int]] = {}
        """Per variant: active parts judged, rejected among them."""
        self._followed = Index()
        self._trouble = ""
        self._stuck: set[str] = set()
        """Variants whose registered models cannot run now."""
        self._lock = threading.RLock()
        self._withdrawals: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="qc-rollout", daemon=True)

    # --- every part -----------------------------------------------------------------------------------------

    def choose(self, shot: Shot, setup: Setup) -> Setup:
        """The canary's setup for its share of the variant's parts, else the given one. A part id is always drawn alike."""
        found = self._canaries.get(setup.recipe.variant)
        if found is None:
            return setup
        trial, canary = found
        over = trial.withdrawn() or trial.canary.over(self._ports.clock.now())
        if over or not drawn(f"canary:{trial.canary.slot.model}:{shot.part_id}", trial.canary.share):
            return setup
        return replace(canary, fallback=setup)

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
        found = self._canaries.get(record.variant)
        if found is not None and record.model_sha256 == found[0].canary.slot.sha256:
            found[0].end(found[0].labels.take(record, answer))

    def heed(self, alarm: Alarm) -> None:
        """Any alarm about the canary's variant that asks for more than attention takes the decision back from it."""
        for variant, (trial, _) in list(self._canaries.items()):
            about = alarm.slice == variant or alarm.slice.startswith(f"{variant}/")
            new = alarm.alarm_id not in trial.known_alarms and alarm.quantity not in (ROLLBACK_ALARM, MODEL_ALARM)
            if about and new and alarm.action is not Action.NONE:
                trial.end(f"alarm {alarm.quantity}: {alarm.message}")

    # --- life -----------------------------------------------------------------------------------------------

    def start(self, line: Line) -> None:
        """Follow the registry from now on, in a thread of its own."""
        self._line = line
        self.follow()
        self._thread.start()

    def close(self) -> None:
        self._withdrawals.put(None)
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
        message = f"{variant}: {why}; the previous model decides"
        self._ports.alarms.report(MODEL_ALARM, variant, cause=Cause.SYSTEM, action=Action.ADVISE, message=message)
        return True

    def shadows(self) -> Mapping[str, Shadow]:
        return dict(self._shadows)

    def status(self) -> dict[str, Json]:
        """The running variant's release for the console: phase (none, shadow, canary), candidate, share and results so far."""
        if self._line is None:
            return {}
        variant = self._line.setup.recipe.variant
        state, shadow, canary = self._followed.recipes.get(variant), self._shadows.get(variant), self._canaries.get(variant)
        facts: dict[str, Json] = {"variant": variant, "active": self._line.setup.recipe.model_id, "phase": "none"}
        if state is not None:
            facts |= _facts(variant, state)
        if shadow is not None:
            facts |= {"phase": "shadow", "candidate": shadow.slot.model, "share": shadow.share, "results": asdict(shadow.counts)}
        if canary is not None and state is not None and state.canary is not None:
            trial = canary[0]
            until = trial.canary.until.isoformat() if trial.canary.until else None
            facts |= {"phase": "canary", "candidate": trial.canary.slot.model, "share": trial.canary.share, "until": until}
            facts["results"] = {"parts": trial.guard.parts, "withdrawn": trial.withdrawn()}
        return facts

    # --- steps ----------------------------------------------------------------------------------------------

    def command(self, command: Command) -> Mapping[str, Json]:
        """The command ``model``: shadow (without a model: end it), canary, promote, rollback. Raises CommandError."""
        body = command.body
        variant = str(body.get("variant") or self._running().setup.recipe.variant)
        if variant not in self._files:
            raise CommandError("unknown_variant", f"no recipe for {variant!r}; there are {', '.join(sorted(self._files))}")
        by = By(str(body.get("operator") or command.who), command.via, str(body.get("reason") or ""))
        try:
            with self._lock:
                self._step(str(body["action"]), variant, by, body)
                self.follow()
        except ReleaseError as error:
            raise CommandError("release_refused", str(error)) from error
        except QcError as error:
            if isinstance(error, CommandError):
                raise
            raise CommandError("model_refused", str(error)) from error
        state = self._ports.registry.state(variant)
        assert state is not None
        return _facts(variant, state)

    def _step(self, action: str, variant: str, by: By, body: Mapping[str, Json]) -> None:
        registry = self._ports.registry
        model = body.get("model")
        slot = None if model is None else self._proven(str(model))
        share, minutes = body.get("share"), body.get("minutes")
        self._ensure_registered(variant)
        match action:
            case "shadow":
                registry.shadow(variant, slot, by, share=_number(share, 1.0))
            case "canary":
                until = None if minutes is None else self._ports.clock.now() + timedelta(minutes=_number(minutes, 0.0))
                part = _number(share, 0.1 if minutes is None else 1.0)
                registry.canary(variant, slot or self._candidate(variant), by, share=part, until=until)
            case "promote":
                registry.promote(variant, slot or self._candidate(variant), by, override=body.get("override") is True)
            case "rollback":
                registry.rollback(variant, by)
            case _:
                raise CommandError("invalid_argument", f"action {action!r}: one of shadow, canary, promote, rollback")

    def _proven(self, model_id: str) -> Slot:
        """Loaded and warmed before the step, so that no part waits for it."""
        self._ports.registry.path(model_id)
        self._shelf.inspector(model_id)
        return self._ports.registry.slot(model_id)

    def _candidate(self, variant: str) -> Slot:
        state = self._ports.registry.state(variant)
        trial = (state.canary or state.shadow) if state else None
        if trial is None:
            raise CommandError("invalid_argument", f"model: say which one; {variant} has no candidate in canary or shadow")
        return trial.slot

    def _ensure_registered(self, variant: str) -> None:
        if self._ports.registry.state(variant) is None:
            recipe = self._files[variant]
            slot = self._ports.registry.slot(recipe.model_id, recipe.review_at, recipe.reject_at)
            self._ports.registry.register(variant, slot, By("qc", "line", "as the recipe file says"))

    # --- following the registry -----------------------------------------------------------------------------

    def follow(self) -> None:
        """Bring the line to where the index stands. What cannot be loaded is reported and changes nothing."""
        with self._lock:
            index = self._ports.registry.index()
            if index == self._followed:
                return
            news = index.history[len(self._followed.history) :] if self._followed.history else ()
            for variant in self._files:
                if index.recipes.get(variant) != self._followed.recipes.get(variant):
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
            if variant in self._stuck:
                self._stuck.discard(variant)
                self._ports.alarms.clear(MODEL_ALARM, variant)
        except QcError as error:
            log.error("registry_not_followed", variant=variant, error=str(error))
            self._stuck.add(variant)
            message = f"{variant}: the registry names a model that cannot run: {error}"
            self._ports.alarms.report(MODEL_ALARM, variant, cause=Cause.SYSTEM, action=Action.ADVISE, message=message)

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
        elif known is None or known[0].canary != canary:
            recipe = _with(self._files[variant], canary.slot)
            self._ports.use(recipe, False)
            judged, rejected = self._rates.get(variant, (0, 0))
            measured = judged >= _ENOUGH_PARTS
            baseline = rejected / judged if measured else recipe.halt.baseline_reject_rate
            watches = (
                CanaryGuard(baseline, recipe.deadline_ms, measured=measured),
                CanaryLabels(self._ports.bounds, self._ports.lowest_q),
            )
            known_alarms = {alarm.alarm_id for alarm in self._ports.alarms.open_alarms()}
            trial = _CanaryTrial(variant, canary, watches, self._withdraw, known_alarms)
            self._canaries[variant] = (trial, Setup(recipe, self._shelf.inspector(canary.slot.model), "canary", trial=trial))

    def _follow_shadow(self, variant: str, state: RecipeState | None) -> None:
        wanted = state.shadow if state else None
        running = self._shadows.get(variant)
        if running is not None and (wanted is None or (wanted.slot, wanted.share) != (running.slot, running.share)):
            del self._shadows[variant]
            running.close()
            running = None
        if wanted is not None and running is None:
            recipe = _with(self._files[variant], wanted.slot)
            inspector = self._shelf.inspector(wanted.slot.model)
            self._shadows[variant] = Shadow(recipe, wanted.slot, inspector, self._ports.shadow_link, share=wanted.share)

    def _withdraw(self, variant: str, reason: str) -> None:
        self._withdrawals.put((variant, reason))

    def _work(self) -> None:
        while True:
            try:
                item = self._withdrawals.get(timeout=_LOOK_S)
            except queue.Empty:
                item = ("", "")
            if item is None:
                return
            try:
                if item[0]:
                    self._roll_back(*item)
                self._end_canaries_in_time()
                self.follow()
            except QcError as error:  # the line goes on as it is; the next look tries again
                if str(error) != self._trouble:
                    log.error("registry_not_followed", error=str(error))
                self._trouble = str(error)
            except Exception:
                log.exception("registry_not_followed")

    def _roll_back(self, variant: str, reason: str) -> None:
        log.error("canary_withdrawn", variant=variant, reason=reason)
        message = f"{variant}: the candidate decides no further part: {reason}"
        self._ports.alarms.report(ROLLBACK_ALARM, variant, cause=Cause.MODEL_DECAY, action=Action.ADVISE, message=message)
        state = self._ports.registry.state(variant)
        if state is not None and state.canary is not None:
            self._ports.registry.rollback(variant, By("qc", "line", reason))

    def _end_canaries_in_time(self) -> None:
        for variant, (trial, _) in list(self._canaries.items()):
            if trial.canary.over(self._ports.clock.now()) and not trial.withdrawn():
                why = f"{trial.guard.parts} parts without an alarm"
                self._ports.registry.canary_passed(variant, By("qc", "line", why))

    def _running(self) -> Line:
        assert self._line is not None, "start comes first"
        return self._line


def promoted(recipe: Recipe, index: Index) -> Recipe:
    """The recipe file with the registry's active model on top, unless the file names that very model: then its thresholds hold."""
    state = index.recipes.get(recipe.variant)
    return recipe if state is None or state.active.model == recipe.model_id else _with(recipe, state.active)


def _with(recipe: Recipe, slot: Slot) -> Recipe:
    return replace(recipe, model_id=slot.model, review_at=slot.review_at, reject_at=slot.reject_at)


def _number(value: Json, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _facts(variant: str, state: RecipeState) -> dict[str, Json]:
    return {
        "variant": variant,
        "active": state.active.model,
        "previous": state.previous.model if state.previous else None,
        "shadow": state.shadow.slot.model if state.shadow else None,
        "canary": state.canary.slot.model if state.canary else None,
    }
