"""What the line asks once per part: is this one to be labelled? And which plan holds in the window."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import structlog
from numpy.typing import NDArray

from qc.domain.errors import SamplingError
from qc.domain.ports import Clock, TruthStore
from qc.domain.recipe import Recipe, SamplingPlanSettings
from qc.domain.record import InspectionRecord
from qc.domain.truth import PlanRecord, Purpose, SampleTicket
from qc.label.draw import Draw, draw_ticket
from qc.label.plan import LabelledParts, PlanBudget, SamplingPlan, replan, uniform_plan
from qc.label.strata import judged_rejected

log = structlog.get_logger(__name__)


def budget_of(settings: SamplingPlanSettings, horizon_windows: int = 1) -> PlanBudget | None:
    """None when the recipe asks for no labels."""
    if settings.labels_per_window == 0:
        return None
    return PlanBudget(
        labels=settings.labels_per_window,
        parts=max(settings.expected_parts_per_window, 1),
        exploration=settings.exploration,
        verify_all_rejects=settings.verify_all_rejects,
        horizon_labels=settings.labels_per_window * horizon_windows,
        seed=settings.seed,
    )


class Sampler:
    """Draws tickets by the plan of the record's window (``record.shift``) and recipe.

    The first part of a window fixes its plan in the store (one commit per recipe and window): the plan that ``plan_window``
    put there beforehand, else the recipe's latest, else a uniform one. After a restart in the middle of a window the stored
    plan goes on. Not thread-safe: one thread, the line's, calls ``ticket_for``.
    """

    def __init__(
        self, store: TruthStore, clock: Clock, recipes: Iterable[Recipe] = (), *, lifetime: timedelta = timedelta(hours=72)
    ):
        if lifetime <= timedelta(0):
            raise SamplingError(f"tickets must live longer than {lifetime}")
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        self._settings = {(recipe.variant, recipe.version): recipe.sampling for recipe in recipes}
        self._active: dict[tuple[str, str, str], tuple[SamplingPlan, Draw] | None] = {}

    def use(self, recipe: Recipe) -> None:
        """Make a recipe's sampling settings known; call it when a recipe is loaded, before its first part."""
        self._settings[recipe.variant, recipe.version] = recipe.sampling

    def ticket_for(self, record: InspectionRecord) -> SampleTicket | None:
        """The estimate ticket of a part that was drawn.

        None for the rest, and always for challenge parts (their truth is known) and for parts that no model judged.
        Raises StoreError when the plan of a new window cannot be stored.
        """
        rejected = judged_rejected(record)
        if rejected is None or record.score is None or record.challenge_id is not None:
            return None
        key = (record.variant, record.recipe_version, record.shift)
        if key not in self._active:
            self._active[key] = self._fix_plan(*key)
            self._active = {known: plan for known, plan in self._active.items() if known[2] == record.shift}
        active = self._active[key]
        if active is None:
            return None
        plan, draw = active
        return draw_ticket(record, draw, *plan.stratum(record.score, rejected), self._lifetime)

    def _fix_plan(self, variant: str, recipe_version: str, window: str) -> tuple[SamplingPlan, Draw] | None:
        stored = self._store.plan(variant, recipe_version, window)
        if stored is None:
            budget = budget_of(self._settings.get((variant, recipe_version), SamplingPlanSettings()))
            if budget is None:
                return None
            latest = self._store.latest_plan(variant, recipe_version)
            plan = uniform_plan(variant, budget) if latest is None else SamplingPlan.from_json(latest.body)
            stored = plan_window(self._store, self._clock, recipe_version, window, plan)
        plan = SamplingPlan.from_json(stored.body)
        log.info("sampling_plan_in_force", variant=variant, window=window, policy=plan.policy, strata=len(plan.names))
        return plan, Draw(plan.seed, plan.policy, Purpose.ESTIMATE)


@dataclass(frozen=True, slots=True)
class History:
    """What earlier windows of one recipe version (the same model) taught.

    scores, rejected: (N,) all judged parts, with ``judged_rejected``. labelled: the settled ones. parts_per_window: as it was lately.
    """

    scores: NDArray[np.float64]
    rejected: NDArray[np.bool_]
    labelled: LabelledParts
    parts_per_window: float


def plan_next_window(
    store: TruthStore,
    clock: Clock,
    recipe: Recipe,
    window: str,
    history: History,
    *,
    labels_factor: float = 1.0,
    horizon_windows: int = 1,
) -> PlanRecord | None:
    """Put the plan for a window that has not begun in force; None when the recipe asks for no labels.

    labels_factor: more than 1 when an alarm asked to raise sampling. horizon_windows: how many windows are pooled for a report;
    more of them afford finer strata. Not for the line's thread: 25 ms for 100,000 parts, and 2 s to load scipy the first time.
    """
    budget = budget_of(recipe.sampling, horizon_windows)
    if budget is None:
        return None
    budget = replace(budget, labels=budget.labels * labels_factor, parts=max(history.parts_per_window, 1.0))
    latest = store.latest_plan(recipe.variant, recipe.version)
    current = uniform_plan(recipe.variant, budget) if latest is None else SamplingPlan.from_json(latest.body)
    plan = replan(current, history.scores, history.rejected, history.labelled, budget)
    return plan_window(store, clock, recipe.version, window, plan)


def plan_window(store: TruthStore, clock: Clock, recipe_version: str, window: str, plan: SamplingPlan) -> PlanRecord:
    """Put a plan in force for a window that has not begun. The plan that is there already wins and is returned."""
    return store.add_plan(
        PlanRecord(
            variant=plan.variant,
            recipe_version=recipe_version,
            window=window,
            policy=plan.policy,
            created_at=clock.now(),
            body=plan.to_json(),
        )
    )
