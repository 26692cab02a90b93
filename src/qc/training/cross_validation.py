"""Out-of-fold scores of the quick branches: what weights, calibration and thresholds are taken from."""

import numpy as np
import torch
from numpy.typing import NDArray

from qc.training.branches import Index, Material, fit_branch, score_branch
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
        held_out = np.flatnonzero(folds == number)
        with torch.inference_mode():
            distances = [branch.distances(taps) for taps in material.store.batches(held_out)]
            scores[held_out] = torch.cat([branch.score(d) for d in distances]).double().numpy()
            peaks[held_out] = torch.cat([d.amax((1, 2)) for d in distances]).double().numpy()
    return scores, peaks
