"""Out-of-fold scores: what weights, calibration and thresholds are taken from."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from qc.training.branches import Index, Material, score_branch


def out_of_fold(
    fit: Callable[[Material, Index], nn.Module],
    material: Material,
    folds: Index,
    score: Callable[[nn.Module, Index], NDArray[np.float64]] | None = None,
) -> NDArray[np.float64]:
    """(n,) raw score of each image by a branch that was fitted without its fold."""
    scores = np.zeros(len(folds))
    for number in np.unique(folds):
        train, held_out = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        branch = fit(material, train)
        scores[held_out] = score(branch, held_out) if score else score_branch(branch, material.store, held_out)
    return scores
