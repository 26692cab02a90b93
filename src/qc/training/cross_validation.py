"""Out-of-fold scores of the quick branches: what weights, calibration and thresholds are taken from."""

import numpy as np
import torch
from numpy.typing import NDArray

from qc.training import distributed
from qc.training.branches import Index, Material, available_branches, fit_branch, score_branch
from qc.training.features import Progress
from qc.training.patch_branch import PatchBranch

Scores = NDArray[np.float64]


def out_of_fold(name: str, material: Material, folds: Index) -> Scores:
    """(n,) raw score of each image by a branch that was fitted without its fold."""
    scores = np.zeros(len(folds))
    for number in np.unique(folds):
        train, held_out = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        scores[held_out] = score_branch(fit_branch(name, material, train), material.store, held_out)
    return scores


def patch_out_of_fold(material: Material, folds: Index) -> tuple[Scores, Scores]:
    """((n,) raw scores, (n,) highest distance of each image) of the patch branch, by a bank built without the image's fold.

    The highest distances calibrate the map: one good part in a hundred should have a cell of one half or more.
    """
    scores, peaks = np.zeros(len(folds)), np.zeros(len(folds))
    for number in np.unique(folds):
        branch = fit_branch("patch", material, np.flatnonzero(folds != number))
        assert isinstance(branch, PatchBranch)
        branch.to(distributed.device())
        held_out = np.flatnonzero(folds == number)
        with torch.inference_mode():
            distances = [branch.distances(taps) for taps in material.store.batches(held_out)]
            scores[held_out] = torch.cat([branch.score(d) for d in distances]).double().cpu().numpy()
            peaks[held_out] = torch.cat([d.amax((1, 2)) for d in distances]).double().cpu().numpy()
    return scores, peaks


def quick_branches(material: Material, folds: Index, progress: Progress) -> tuple[dict[str, Scores], Scores]:
    """(branch -> (n,) raw scores of every branch these labels allow, (n,) highest patch distances)."""
    patch, peaks = patch_out_of_fold(material, folds)
    progress("cross-validation", 1, len(available_branches(material.labels)))
    return {"patch": patch} | pooled_branches(material, folds, progress), peaks


def pooled_branches(material: Material, folds: Index, progress: Progress) -> dict[str, Scores]:
    """All quick branches but the patch branch, which does not depend on the last tap."""
    names = available_branches(material.labels)
    raw: dict[str, Scores] = {}
    for number, name in enumerate(names[1:]):
        raw[name] = out_of_fold(name, material, folds)
        progress("cross-validation", number + 2, len(names))
    return raw
