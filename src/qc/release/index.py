"""The registry's index: per recipe which model is active, previous, shadow and canary, and every transition ever made.

State and history are one document in one file, replaced in one rename: a transition is there with its record or not at all.
"""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Action = Literal["register", "shadow", "shadow-stop", "canary", "canary-passed", "promote", "rollback", "fallback"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Slot(_Entry):
    """A model with the thresholds at which it decides."""

    model: str
    sha256: str
    review_at: float = Field(ge=0, le=1)
    reject_at: float = Field(ge=0, le=1)


class Shadow(_Entry):
    """share: of the parts that the candidate judges beside the active model."""

    slot: Slot
    share: float = Field(gt=0, le=1)
    since: AwareDatetime


class Canary(_Entry):
    """share of the parts that the candidate decides, until a time (None: until promoted or rolled back)."""

    slot: Slot
    share: float = Field(gt=0, le=1)
    since: AwareDatetime
    until: AwareDatetime | None = None

    def over(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until


class RecipeState(_Entry):
    active: Slot
    previous: Slot | None = None
    shadow: Shadow | None = None
    canary: Canary | None = None

    def slots(self) -> list[Slot]:
        candidates = [entry.slot for entry in (self.shadow, self.canary) if entry is not None]
        return [self.active, *candidates, *([self.previous] if self.previous else [])]


class Transition(_Entry):
    """One step: who did what, when, through which door, why, and on which gate report. override: the gate was passed over."""

    number: int
    at: AwareDatetime
    variant: str
    action: Action
    model: str
    former: str
    who: str
    via: str
    why: str
    gate: str = ""
    override: bool = False


class Seen(_Entry):
    """The newest signature seen for a model id."""

    sequence: int
    files: str
    """SHA-256 over the signed manifest."""


class Index(_Entry):
    format: Literal["qc.registry/1"] = "qc.registry/1"
    recipes: dict[str, RecipeState] = {}
    seen: dict[str, Seen] = {}
    newest: dict[str, int] = {}
    """Highest signed sequence taken in, by variant."""
    history: tuple[Transition, ...] = ()

    def named(self) -> set[str]:
        """Every model that a recipe's slots name."""
        return {slot.model for state in self.recipes.values() for slot in state.slots()}
