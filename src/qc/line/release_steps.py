"""The command ``model`` on a running line: a step of a release, written into the registry after the model is loaded and proven."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from qc.domain.errors import CommandError, QcError, ReleaseError
from qc.domain.ports import Clock, Command
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.line.shelf import Shelf
from qc.release.index import Index, Slot
from qc.release.registry import Registry
from qc.release.transitions import By


class ReleaseSteps:
    """recipes: as the recipe files say."""

    def __init__(self, recipes: Mapping[str, Recipe], shelf: Shelf, registry: Registry, clock: Clock) -> None:
        self._files = recipes
        self._shelf = shelf
        self._registry = registry
        self._clock = clock

    def take(self, command: Command, running: str) -> str:
        """Shadow (without a model: end it), canary, promote or rollback; returns the variant (default: the running one).

        Raises CommandError: ``unknown_variant``, ``invalid_argument``, ``release_refused``, ``model_refused``.
        """
        body = command.body
        variant = str(body.get("variant") or running)
        if variant not in self._files:
            raise CommandError("unknown_variant", f"no recipe for {variant!r}; there are {', '.join(sorted(self._files))}")
        by = By(str(body.get("operator") or command.who), command.via, str(body.get("reason") or ""))
        with refusals():
            self._take(str(body["action"]), variant, by, body)
        return variant

    def _take(self, action: str, variant: str, by: By, body: Mapping[str, Json]) -> None:
        registry = self._registry
        model = body.get("model")
        slot = None if model is None else self._proven(str(model), self._files[variant])
        share, minutes = body.get("share"), body.get("minutes")
        self._ensure_registered(variant)
        match action:
            case "shadow":
                registry.shadow(variant, slot, by, share=_share(share, 1.0))
            case "canary":
                until = None if minutes is None else self._clock.now() + timedelta(minutes=_number(minutes, 0.0))
                part = _share(share, 0.1 if minutes is None else 1.0)
                registry.canary(variant, slot or self._candidate(variant), by, share=part, until=until)
            case "promote":
                registry.promote(variant, slot or self._candidate(variant), by, override=body.get("override") is True)
            case "rollback":
                registry.rollback(variant, by)
            case _:
                raise CommandError("invalid_argument", f"action {action!r}: one of shadow, canary, promote, rollback")

    def _proven(self, model_id: str, recipe: Recipe) -> Slot:
        """Loaded and warmed before the step, so that no part waits for it."""
        self._registry.path(model_id)
        self._shelf.inspector(model_id)
        return slot_for(self._registry, recipe, model_id)

    def _candidate(self, variant: str) -> Slot:
        state = self._registry.state(variant)
        trial = (state.canary or state.shadow) if state else None
        if trial is None:
            raise CommandError("invalid_argument", f"model: say which one; {variant} has no candidate in canary or shadow")
        return trial.slot

    def _ensure_registered(self, variant: str) -> None:
        if self._registry.state(variant) is None:
            recipe = self._files[variant]
            slot = slot_for(self._registry, recipe, recipe.model_id)
            self._registry.register(variant, slot, By("qc", "line", "as the recipe file says"))


@contextmanager
def refusals() -> Iterator[None]:
    """Whatever refuses a step, as the code that the command reference documents."""
    try:
        yield
    except CommandError:
        raise
    except ReleaseError as error:
        raise CommandError("release_refused", str(error)) from error
    except QcError as error:
        raise CommandError("model_refused", str(error)) from error


def promoted(recipe: Recipe, index: Index) -> Recipe:
    """The recipe file with the registry's active model on top, unless the file names that very model: then its thresholds hold."""
    state = index.recipes.get(recipe.variant)
    return recipe if state is None or state.active.model == recipe.model_id else with_slot(recipe, state.active)


def slot_for(registry: Registry, recipe: Recipe, model_id: str) -> Slot:
    """The model at the thresholds at which it would decide: its card's, unless the recipe file names this very model. Raises BundleError."""
    if model_id == recipe.model_id:
        return registry.slot(model_id, recipe.review_at, recipe.reject_at)
    return registry.slot(model_id)


def with_slot(recipe: Recipe, slot: Slot) -> Recipe:
    return replace(recipe, model_id=slot.model, review_at=slot.review_at, reject_at=slot.reject_at)


def _number(value: Json, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _share(value: Json, default: float) -> float:
    share = _number(value, default)
    if not 0 < share <= 1:
        raise CommandError("invalid_argument", f"share {share:g}: above 0, at most 1")
    return share
