"""Labelled parts, judged by both models: what the gate's checks look at."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import Pixels
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.release.index import Slot

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, int, int], None]
RecipeOf: TypeAlias = Callable[[str], Recipe]
"""Variant -> recipe, for its region and ignored areas."""


@dataclass(frozen=True, slots=True)
class LabelledPart:
    """One picture with its truth. group: the physical part or run; empty when unknown. read: the picture, decoded anew each time."""

    read: Callable[[], Pixels]
    defective: bool
    variant: str
    environment: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class TrainingParts:
    """What a model was trained on: pixel hashes (see ``pixel_hash``) and names of groups."""

    pictures: frozenset[str] = field(default_factory=frozenset)
    groups: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Contender:
    """A loaded model with the thresholds at which it would decide. Rejected: score >= slot.review_at (REVIEW counts as found)."""

    slot: Slot
    inspector: Inspector

    def score(self, pixels: Pixels, recipe: Recipe) -> float:
        return self.inspector.inspect(self.inspector.prepare(pixels, recipe)).score


@dataclass(frozen=True, slots=True)
class Evidence:
    """Arrays (n,) over the parts that count. excluded: parts left out because the candidate was trained on them."""

    parts: Sequence[LabelledPart]
    defective: Bools
    variant: NDArray[np.str_]
    environment: NDArray[np.str_]
    candidate: Bools
    incumbent: Bools
    candidate_scores: Floats
    excluded: int = 0

    @property
    def independent(self) -> Bools:
        """(n,) the first picture of each physical part: further pictures of it are no further evidence."""
        return self._first([part.group or str(i) for i, part in enumerate(self.parts)])

    @property
    def independent_in_environment(self) -> Bools:
        """(n,) the first picture of each part in each environment."""
        return self._first([(part.group or str(i), part.environment) for i, part in enumerate(self.parts)])

    def _first(self, keys: Sequence[object]) -> Bools:
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        return np.array([first[key] == i for i, key in enumerate(keys)], bool)

    def counts(self, of: Bools) -> tuple[int, int, int]:
        """(gained, lost, n) among the parts of a mask: right by the candidate only, by the incumbent only, all."""
        right, before = self.candidate == self.defective, self.incumbent == self.defective
        return int((right & ~before & of).sum()), int((before & ~right & of).sum()), int(of.sum())


def pixel_hash(pixels: Pixels) -> str:
    """SHA-256 (hex) over shape and pixels: the same picture under any file name and lossless format."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def judge_both(
    parts: Sequence[LabelledPart],
    candidate: Contender,
    incumbent: Contender,
    recipe_of: RecipeOf,
    *,
    trained_on: TrainingParts | None = None,
    progress: Progress = lambda _what, _done, _total: None,
) -> Evidence:
    """Both models on every part that the candidate was not trained on. Reads each picture once."""
    trained_on = trained_on or TrainingParts()
    kept: list[LabelledPart] = []
    scores: list[tuple[float, float]] = []
    for done, part in enumerate(parts, 1):
        progress("judging", done, len(parts))
        if part.group and part.group in trained_on.groups:
            continue
        pixels = part.read()
        if trained_on.pictures and pixel_hash(pixels) in trained_on.pictures:
            continue
        recipe = recipe_of(part.variant)
        kept.append(part)
        scores.append((candidate.score(pixels, recipe), incumbent.score(pixels, recipe)))
    table = np.array(scores, float).reshape(-1, 2)
    return Evidence(
        parts=kept,
        defective=np.array([part.defective for part in kept], bool),
        variant=np.array([part.variant for part in kept], str),
        environment=np.array([part.environment for part in kept], str),
        candidate=table[:, 0] >= candidate.slot.review_at,
        incumbent=table[:, 1] >= incumbent.slot.review_at,
        candidate_scores=table[:, 0],
        excluded=len(parts) - len(kept),
    )
