"""Fit a model: out-of-fold scores first, from them weights, calibration and thresholds, then every branch on all images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qc.training.backbone import Backbone
from qc.training.branches import Index, Material, available_branches, fit_branch
from qc.training.calibrate import Calibration, fit_calibration
from qc.training.cross_validation import out_of_fold
from qc.training.features import FeatureStore, Progress
from qc.training.fusion import Fusion, fuse
from qc.training.net import Embedding, InspectionNet
from qc.training.patch_branch import PatchBranch
from qc.training.recipe import TrainingRecipe
from qc.training.thresholds import Thresholds, choose_thresholds


@dataclass(frozen=True)
class Fitted:
    """The net, and what is known about it from images that its parts had not seen."""

    net: InspectionNet
    fusion: Fusion
    calibration: Calibration
    thresholds: Thresholds
    folds: Index
    scores: NDArray[np.float64]
    """(n,) out-of-fold calibrated scores of the training images."""


def fit_model(
    backbone: Backbone,
    store: FeatureStore,
    labels: Index,
    folds: Index,
    recipe: TrainingRecipe,
    progress: Progress,
    lots: tuple[int, int] | None = None,
) -> Fitted:
    """store, labels, folds: of the training images, in one order. lots: held-out (good, defect) images the promise will be checked on."""
    material = Material(store, labels, np.ones(len(labels)), backbone.channels, seed=recipe.seed)
    raw, peaks = _cross_validate(material, folds, progress)
    fusion = fuse(raw, labels, folds)
    fused = fusion.raw(raw)
    calibration = fit_calibration(fused[labels == 0])
    scores = calibration.score(fused)
    thresholds = choose_thresholds(scores[labels == 0], scores[labels == 1], recipe.aim, lots)
    everything = np.arange(len(labels))
    branches: dict[str, nn.Module] = {}
    for number, name in enumerate(dict.fromkeys(("patch", *fusion.branches))):
        branches[name] = fit_branch(name, material, everything)
        progress("final fit", number + 1, len(fusion.branches) + 1)
    embedding = Embedding(torch.from_numpy(store.pooled[labels == 0]), store.pooled.shape[1], recipe.seed)
    map_calibration = fit_calibration(peaks[labels == 0])
    net = InspectionNet(backbone, branches, fusion, calibration, map_calibration, embedding, high=True)
    return Fitted(net, fusion, calibration, thresholds, folds, scores)


def _cross_validate(
    material: Material, folds: Index, progress: Progress
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Out-of-fold raw scores by branch, and the highest patch distance of each image."""
    names = available_branches(material.labels)
    raw: dict[str, NDArray[np.float64]] = {}
    peaks = np.zeros(len(folds))

    def score_patch(branch: nn.Module, index: Index) -> NDArray[np.float64]:
        assert isinstance(branch, PatchBranch)
        scores = []
        with torch.inference_mode():
            for start, taps in zip(range(0, len(index), 16), material.store.batches(index, 16), strict=True):
                distances = branch.distances(taps)
                peaks[index[start : start + 16]] = distances.amax((1, 2)).numpy()
                scores.append(branch.score(distances))
        return torch.cat(scores).double().numpy()

    for number, name in enumerate(names):
        score = score_patch if name == "patch" else None
        raw[name] = out_of_fold(lambda m, index, name=name: fit_branch(name, m, index), material, folds, score)
        progress("cross-validation", number + 1, len(names))
    return raw, peaks
