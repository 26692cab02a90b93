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
        self._by_prefix = [recipe for recipe in recipes.values() if recipe.part_id_prefixes]
        self._load = load
        self._inspectors: dict[str, Inspector] = {}
        self._lock = threading.Lock()

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
        with self._lock:
            inspector = self._inspectors.get(recipe.model_id)
            if inspector is None:
                try:
                    inspector = self._load(recipe.model_id)
                except BundleError as error:
                    log.error("model_refused", model=recipe.model_id, error=str(error))
                    raise CommandError("model_refused", str(error)) from error
                self._inspectors[recipe.model_id] = inspector
        return Setup(recipe, inspector)

    def prepare_by_part_id(self) -> None:
        """Load every model that a part id may call for, so that no part waits for it. Raises CommandError."""
        for recipe in self._by_prefix:
            self.setup(recipe.variant)

    def by_part_id(self, shot: Shot, active: Setup) -> Setup:
        """The setup whose recipe claims this part by its id's prefix (barcode); the active one when none does.

        Call ``prepare_by_part_id`` first: a model that is not loaded would be loaded here, while the part waits.
        """
        for recipe in self._by_prefix:
            if shot.part_id.startswith(recipe.part_id_prefixes):
                return active if recipe.variant == active.recipe.variant else self.setup(recipe.variant)
        return active
