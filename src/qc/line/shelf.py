"""The setups that a line can change to, loaded and verified before they are needed."""

import threading
from collections.abc import Callable, Mapping

import structlog

from qc.domain.errors import BundleError, CommandError
from qc.domain.frame import Shot
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.line.setup import Setup

log = structlog.get_logger(__name__)


class Shelf:
    """Recipes by variant and, per model, one loaded inspector. Thread-safe.

    ``setup`` loads, warms and verifies a model on first use, in the caller's thread: the line goes on meanwhile.
    """

    def __init__(self, recipes: Mapping[str, Recipe], load: Callable[[str], Inspector]) -> None:
        """load: model id -> verified inspector; raises BundleError."""
        self._recipes = dict(recipes)
        self._load = load
        self._inspectors: dict[str, Inspector] = {}
        self._lock = threading.Lock()

    def put(self, recipe: Recipe) -> None:
        """Another version of a variant's recipe (another model, other thresholds) holds from now on. Load its model first."""
        self._recipes = {**self._recipes, recipe.variant: recipe}

    def inspector(self, model_id: str) -> Inspector:
        """The model, loaded, warmed and verified on first use. Raises CommandError: ``model_refused``."""
        found = self._inspectors.get(model_id)
        if found is not None:  # without the lock: a part must not wait while another model is loaded
            return found
        with self._lock:
            found = self._inspectors.get(model_id)
            if found is None:
                try:
                    found = self._load(model_id)
                except BundleError as error:
                    log.error("model_refused", model=model_id, error=str(error))
                    raise CommandError("model_refused", str(error)) from error
                self._inspectors = {**self._inspectors, model_id: found}
            return found

    def variants(self) -> list[str]:
        return sorted(self._recipes)

    def recipe(self, variant: str) -> Recipe | None:
        """What a changeover to the variant would bring; loads nothing."""
        return self._recipes.get(variant)

    def setup(self, variant: str) -> Setup:
        """Raises CommandError: ``unknown_variant``, or ``model_refused`` when the bundle does not pass its checks."""
        recipe = self._recipes.get(variant)
        if recipe is None:
            raise CommandError("unknown_variant", f"no recipe for {variant!r}; there are {', '.join(self.variants())}")
        return Setup(recipe, self.inspector(recipe.model_id))

    def with_part_id_rule(self) -> list[str]:
        """Variants that a part id may call for: load each with ``setup`` before the first part, so that none waits for it."""
        return [recipe.variant for recipe in self._with_prefixes()]

    def by_part_id(self, shot: Shot, active: Setup) -> Setup:
        """The setup whose recipe claims this part by its id's prefix (barcode); the active one when none does.

        Set up ``with_part_id_rule`` first: a model that is not loaded would be loaded here, while the part waits.
        """
        for recipe in self._with_prefixes():
            if shot.part_id.startswith(recipe.part_id_prefixes):
                return active if recipe.variant == active.recipe.variant else self.setup(recipe.variant)
        return active

    def _with_prefixes(self) -> list[Recipe]:
        return [recipe for recipe in self._recipes.values() if recipe.part_id_prefixes]
