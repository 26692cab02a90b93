"""Who plans the next window's sample: shortly before it starts, from the last week, and never on the line's thread."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from qc.domain.alarm import Action, Alarm, AlarmState
from qc.domain.errors import SamplingError
from qc.domain.ports import Clock, TruthStore
from qc.domain.recipe import Recipe
from qc.label.plan import SamplingPlan, expected_draw
from qc.label.sampler import History, plan_next_window
from qc.label.windows import Shifts

log = structlog.get_logger(__name__)

LEAD = timedelta(minutes=10)
"""A window is planned this long before it starts: telemetry's upkeep comes by every minute."""
RAISED_FACTOR = 3.0
"""Labels asked for, as a multiple of the recipe's, while an alarm of the variant asks to raise sampling: DR's half-width shrinks by 1.7."""
POOLED_WINDOWS = 21
"""A week of three shifts is what rates are reported over; more pooled labels afford finer strata."""
_ASKS = (Action.RAISE_SAMPLING, Action.REVIEW_ALL, Action.HALT)


class WindowPlanner:
    """Puts the plan of each recipe's next window in force. A window that nobody planned goes on with the latest plan."""

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        *,
        truth: TruthStore,
        clock: Clock,
        shifts: Shifts,
        history: Callable[[Recipe], History],
        alarms: Callable[[], Sequence[Alarm]],
    ) -> None:
        self._recipes = dict(recipes)
        self._truth, self._clock, self._shifts = truth, clock, shifts
        self._history, self._alarms = history, alarms

    def use(self, recipe: Recipe) -> None:
        """The variant has another version of its recipe from now on."""
        self._recipes = {**self._recipes, recipe.variant: recipe}

    def upkeep(self) -> None:
        """Plan the window that starts within ``LEAD``, once; nothing at other times."""
        window = self._shifts.window_of(self._clock.now())
        if window.end - self._clock.now() > LEAD:
            return
        name = self._shifts.after(window).name
        for recipe in self._recipes.values():
            if self._truth.plan(recipe.variant, recipe.version, name) is None:
                self._plan(recipe, name)

    def _plan(self, recipe: Recipe, window: str) -> None:
        history = self._history(recipe)
        if history.scores.size == 0:
            return  # it did not run: its first part will find the latest plan, or a uniform one
        factor = RAISED_FACTOR if self._asked_for_more(recipe.variant) else 1.0
        try:
            plan = plan_next_window(
                self._truth, self._clock, recipe, window, history, labels_factor=factor, horizon_windows=POOLED_WINDOWS
            )
        except SamplingError as error:  # the latest plan goes on
            log.error("window_not_planned", variant=recipe.variant, window=window, error=str(error))
            return
        if plan is not None:
            expected, spread = expected_draw(
                SamplingPlan.from_json(plan.body), history.scores, history.rejected, history.parts_per_window
            )
            log.info(
                "window_planned",
                variant=recipe.variant,
                window=window,
                policy=plan.policy,
                labels_factor=factor,
                expected_labels=round(expected),
                spread=round(spread, 1),
            )

    def _asked_for_more(self, variant: str) -> bool:
        return any(
            alarm.state is AlarmState.OPEN and alarm.action in _ASKS and alarm.slice.split("/")[0] == variant
            for alarm in self._alarms()
        )
