"""The plans that were in force, as reports look them up."""

from qc.domain.ports import TruthStore
from qc.label.plan import SamplingPlan


class PlanBook:
    """Reads each plan from the store once: a plan in force never changes. Not thread-safe."""

    def __init__(self, store: TruthStore) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str], SamplingPlan] = {}

    def plan(self, variant: str, recipe_version: str, window: str) -> SamplingPlan | None:
        """None when the window had none (yet)."""
        key = (variant, recipe_version, window)
        if key not in self._known:
            stored = self._store.plan(*key)
            if stored is None:
                return None
            self._known[key] = SamplingPlan.from_json(stored.body)
        return self._known[key]
