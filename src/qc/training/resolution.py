"""Would a finer input tell the defects better? Tried out of fold where no mask tells how small they are.

Where enough defects are known they are the test. Where not, small scars and patches pasted on good pictures stand for them: they
say nothing about the detection of real defects, but whether this product's grain hides small things at the base size.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import Pixels
from qc.domain.model import InputSpec
from qc.inspection.masks import roi_box
from qc.inspection.preprocess import prepare_pixels
from qc.training.backbone import Backbone
from qc.training.branches import Material
from qc.training.cross_validation import quick_branches
from qc.training.feature_cache import FeatureCache
from qc.training.features import Progress, Roi, extract_features
from qc.training.fusion import MIN_DEFECTS_TO_CHOOSE, fuse
from qc.training.input_size import BASE_SIDE, finer_sides, input_spec, typical_size
from qc.training.metrics import auroc
from qc.training.samples import Dataset, read_image
from qc.training.splits import Groups, group_folds
from qc.training.synthetic import SMALL_AREA, with_defect

TRIED_PER_CLASS, TRIED_SYNTHETIC = 120, 60
FOLDS = 3
ENOUGH = 0.99
GAIN, SYNTHETIC_GAIN = 0.01, 0.03
"""Out-of-fold AUROC at which no finer size is tried, and what a finer one must add: twice the side costs four times the time."""

MIN_GOOD = 12
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

    Each size's quick branches are judged on a spread of the pictures, groups kept apart; the smallest that comes close to the best wins.
    """
    size = typical_size(dataset.samples, roi)
    sides = [side for side in finer_sides(*size) if side <= min(MAX_FINE_SIDE, *size)]
    defects = [s for s in dataset if s.is_defect]
    masked = any(s.mask or s.boxes for s in defects)
    if masked or not sides or len(dataset) - len(defects) < MIN_GOOD or base.height * base.width > 1.2 * BASE_SIDE**2:
        return base, ""
    known = len(defects) >= MIN_DEFECTS_TO_CHOOSE
    picked = [_spread(np.flatnonzero(dataset.labels == 0), TRIED_PER_CLASS if known else TRIED_SYNTHETIC)]
    picked.append(_spread(np.flatnonzero(dataset.labels == 1), TRIED_PER_CLASS) if known else picked[0])
    index, labels = np.concatenate(picked), np.repeat([0, 1], [len(part) for part in picked])
    tried = Dataset(dataset.root, tuple(dataset.samples[i] for i in index))
    folds = group_folds(tried, FOLDS, seed, groups=Groups(groups.ids[index])).fold

    def reached(spec: InputSpec) -> float:
        def load(i: int) -> NDArray[np.uint8]:
            pixels = read_image(tried.samples[i])
            if labels[i] and not known:
                pixels = _damaged(pixels, roi, seed + i)
            return np.asarray(prepare_pixels(pixels, spec, roi.roi, roi.ignore)[0][0])

        name = f"trial at {spec.height} x {spec.width}"
        store = extract_features(backbone, len(tried), load, folder=work, progress=progress, name=name, cache=cache)
        material = Material(store, labels, np.ones(len(tried)), backbone.channels, seed=seed)
        scores, _ = quick_branches(material, folds, _silent)
        if not known:  # the labelled branch would learn what a pasted patch looks like
            scores.pop("logistic", None)
        return auroc(fuse(scores, labels, folds).raw(scores), labels) or 0.0

    measured: dict[InputSpec, float] = {}
    for spec in (base, *(input_spec(base.height, base.width, side) for side in sides)):
        measured[spec] = reached(spec)
        if measured[spec] >= ENOUGH:
            break
    least = max(measured.values()) - (GAIN if known else SYNTHETIC_GAIN)
    chosen = next(spec for spec, value in measured.items() if value >= least)
    told = ", ".join(f"{value:.3f} at {spec.height} x {spec.width}" for spec, value in measured.items())
    kind = "known defects" if known else "small defects pasted on good pictures"
    return (
        chosen,
        f"input size tried on {len(tried)} pictures with {kind}, out-of-fold AUROC {told}: {chosen.height} x {chosen.width} is used",
    )


def _damaged(pixels: Pixels, roi: Roi, seed: int) -> Pixels:
    """With a small pasted defect inside the region that the model sees."""
    x0, y0, x1, y1 = roi_box(roi.roi, *pixels.shape[:2])
    damaged = pixels.copy()
    damaged[y0:y1, x0:x1] = with_defect(pixels[y0:y1, x0:x1], seed, SMALL_AREA)
    return damaged


def _spread(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return index[:: max(1, -(-len(index) // count))]


def _silent(_stage: str, _done: int, _total: int) -> None:
    """The trial tells of its features only."""
