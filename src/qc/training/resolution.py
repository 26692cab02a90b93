"""Would a finer input tell the defects better? Tried out of fold where defects are known and no mask tells their size."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qc.domain.model import InputSpec
from qc.training.backbone import Backbone
from qc.training.branches import Material
from qc.training.cross_validation import quick_branches
from qc.training.feature_cache import FeatureCache
from qc.training.features import Progress, Roi, extract_features, load_tensor
from qc.training.fusion import MIN_DEFECTS_TO_CHOOSE, fuse
from qc.training.input_size import BASE_SIDE, finer_sides, input_spec, typical_size
from qc.training.metrics import auroc
from qc.training.samples import Dataset
from qc.training.splits import Groups, group_folds

TRIED_PER_CLASS = 120
FOLDS = 3
ENOUGH, GAIN = 0.99, 0.01
"""Out-of-fold AUROC from which the base size is good enough, and what the finer one must add: it costs four times the time."""

MAX_FINE_SIDE = 448


def finer_input(
    dataset: Dataset,
    groups: Groups,
    base: InputSpec,
    *,
    roi: Roi,
    backbone: Backbone,
    cache: FeatureCache | None,
    work: Path,
    seed: int,
    progress: Progress,
) -> tuple[InputSpec, str]:
    """(the input size to use, a sentence for the card; empty when nothing was tried).

    The quick branches are compared on up to 120 pictures of each class, groups kept apart.
    """
    sides = [side for side in finer_sides(*typical_size(dataset.samples, roi)) if side <= MAX_FINE_SIDE]
    defects = [s for s in dataset if s.is_defect]
    masked = any(s.mask or s.boxes for s in defects)
    if masked or not sides or len(defects) < MIN_DEFECTS_TO_CHOOSE or base.height * base.width > 1.2 * BASE_SIDE**2:
        return base, ""
    chosen = np.sort(np.concatenate([_spread(np.flatnonzero(dataset.labels == label)) for label in (0, 1)]))
    tried = Dataset(dataset.root, tuple(dataset.samples[i] for i in chosen))
    folds = group_folds(tried, FOLDS, seed, groups=Groups(groups.ids[chosen])).fold

    def reached(spec: InputSpec) -> float:
        def load(i: int) -> NDArray[np.uint8]:
            return load_tensor(tried.samples[i], spec, roi)

        name = f"trial at {spec.height} x {spec.width}"
        store = extract_features(backbone, len(tried), load, folder=work, progress=progress, name=name, cache=cache)
        material = Material(store, tried.labels, np.ones(len(tried)), backbone.channels, seed=seed)
        scores, _ = quick_branches(material, folds, _silent)
        return auroc(fuse(scores, tried.labels, folds).raw(scores), tried.labels) or 0.0

    fine = input_spec(base.height, base.width, sides[-1])
    plain = reached(base)
    if plain >= ENOUGH:
        return base, ""
    finer = reached(fine)
    names = [f"{spec.height} x {spec.width}" for spec in (base, fine)]
    told = f"input size tried on {len(tried)} pictures, out-of-fold AUROC: {plain:.3f} at {names[0]}, {finer:.3f} at {names[1]}"
    return (fine if finer >= plain + GAIN else base), told


def _spread(index: NDArray[np.int64]) -> NDArray[np.int64]:
    return index[:: max(1, -(-len(index) // TRIED_PER_CLASS))]


def _silent(_stage: str, _done: int, _total: int) -> None:
    """The trial tells of its features only."""
