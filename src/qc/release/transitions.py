"""The steps of a release as pure functions: an index and a step give the next index, or a refusal."""

from dataclasses import dataclass
from datetime import datetime

from qc.domain.errors import ReleaseError
from qc.release.index import Action, Canary, Index, RecipeState, Shadow, Slot, Transition


@dataclass(frozen=True, slots=True)
class By:
    """Who makes the step, through which door (mqtt, http, cli, qc), and why."""

    who: str
    via: str
    why: str = ""


def register(index: Index, variant: str, slot: Slot, by: By, at: datetime) -> Index:
    """The first active model of a recipe."""
    if variant in index.recipes:
        raise ReleaseError(f"{variant}: is registered already; change its model with promote or rollback")
    return _step(index, at, (variant, RecipeState(active=slot)), "register", by, slot=slot)


def shadow(index: Index, variant: str, slot: Slot | None, by: By, at: datetime, *, share: float) -> Index:
    """slot None ends the shadow."""
    state = state_of(index, variant)
    if slot is None:
        if state.shadow is None:
            raise ReleaseError(f"{variant}: no model runs in the shadow")
        return _step(index, at, (variant, state.model_copy(update={"shadow": None})), "shadow-stop", by, slot=state.shadow.slot)
    other_than_active(variant, state.active, slot)
    entry = Shadow(slot=slot, share=share, since=at)
    return _step(index, at, (variant, state.model_copy(update={"shadow": entry})), "shadow", by, slot=slot)


def canary(index: Index, variant: str, slot: Slot, by: By, at: datetime, *, share: float, until: datetime | None) -> Index:
    state = state_of(index, variant)
    other_than_active(variant, state.active, slot)
    entry = Canary(slot=slot, share=share, since=at, until=until)
    return _step(index, at, (variant, state.model_copy(update={"canary": entry})), "canary", by, slot=slot)


def canary_passed(index: Index, variant: str, by: By, at: datetime) -> Index:
    """The stretch of time is over without an alarm: the active model decides every part again, until the promotion."""
    state = state_of(index, variant)
    if state.canary is None:
        raise ReleaseError(f"{variant}: no canary runs")
    return _step(index, at, (variant, state.model_copy(update={"canary": None})), "canary-passed", by, slot=state.canary.slot)


def promote(index: Index, variant: str, slot: Slot, by: By, at: datetime, *, gate: str, override: bool) -> Index:
    """The candidate becomes active, the active one previous; its shadow and canary end."""
    state = state_of(index, variant)
    other_than_active(variant, state.active, slot)
    keep_shadow = state.shadow if state.shadow and state.shadow.slot.model != slot.model else None
    new = RecipeState(active=slot, previous=state.active, shadow=keep_shadow)
    return _step(index, at, (variant, new), "promote", by, slot=slot, gate=gate, override=override)


def rollback(index: Index, variant: str, by: By, at: datetime) -> Index:
    """A running canary ends; without one the previous model is active again."""
    state = state_of(index, variant)
    if state.canary is not None:
        ended = state.model_copy(update={"canary": None})
        return _step(index, at, (variant, ended), "rollback", by, slot=state.active, former=state.canary.slot.model)
    if state.previous is None:
        raise ReleaseError(f"{variant}: there is no canary and no previous model to go back to")
    new = RecipeState(
        active=state.previous, shadow=state.shadow if state.shadow and state.shadow.slot != state.previous else None
    )
    return _step(index, at, (variant, new), "rollback", by, slot=state.previous)


def fallback(index: Index, variant: str, by: By, at: datetime) -> Index:
    """The active model cannot be loaded any more: the previous one takes its place."""
    state = state_of(index, variant)
    if state.previous is None:
        raise ReleaseError(f"{variant}: model {state.active.model} cannot be loaded and there is no previous one")
    return _step(index, at, (variant, RecipeState(active=state.previous)), "fallback", by, slot=state.previous)


def state_of(index: Index, variant: str) -> RecipeState:
    state = index.recipes.get(variant)
    if state is None:
        known = ", ".join(sorted(index.recipes)) or "none"
        raise ReleaseError(f"{variant}: nothing has been released for this recipe yet (recipes in the registry: {known})")
    return state


def other_than_active(variant: str, active: Slot, slot: Slot) -> None:
    """Raises ReleaseError for a step to where the recipe is already."""
    if slot == active:
        raise ReleaseError(f"{variant}: model {slot.model} is active already, with these thresholds")


def _step(
    index: Index,
    at: datetime,
    change: tuple[str, RecipeState],
    action: Action,
    by: By,
    *,
    slot: Slot,
    gate: str = "",
    override: bool = False,
    former: str = "",
) -> Index:
    """former: who loses the decision; default: the active model before the step."""
    variant, state = change
    before = index.recipes.get(variant)
    entry = Transition(
        number=len(index.history) + 1,
        at=at,
        variant=variant,
        action=action,
        model=slot.model,
        former=former or (before.active.model if before else ""),
        who=by.who,
        via=by.via,
        why=by.why,
        gate=gate,
        override=override,
    )
    return index.model_copy(update={"recipes": {**index.recipes, variant: state}, "history": (*index.history, entry)})
