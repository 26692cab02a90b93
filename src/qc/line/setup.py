"""Recipe and loaded model as one immutable unit: what a changeover replaces between two parts."""

from dataclasses import dataclass
from typing import Protocol

from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord


class Trial(Protocol):
    """Whoever watches a candidate that decides parts. Called by the line's stages: must return at once."""

    def withdrawn(self) -> bool:
        """True: the candidate decides no further part, not even those on their way to the model."""

    def judged(self, record: InspectionRecord) -> None:
        """The candidate decided this part; told before the next part is judged."""

    def failed(self, error: str) -> None:
        """The candidate could not judge a part; the fallback has done it."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Every part is judged by the setup under which it was captured, so that a changeover delays and mixes nothing.

    fallback, trial: of a candidate on trial (canary). Its parts go to the fallback when it fails or was withdrawn.
    """

    recipe: Recipe
    inspector: Inspector
    role: str = "active"
    fallback: "Setup | None" = None
    trial: Trial | None = None
