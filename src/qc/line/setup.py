"""Recipe and loaded model as one immutable unit: what a changeover replaces between two parts."""

from dataclasses import dataclass

from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Setup:
    """Every part is judged by the setup under which it was captured, so that a changeover delays and mixes nothing."""

    recipe: Recipe
    inspector: Inspector
    role: str = "active"
