"""The branches a model can be made of, and how each is fitted on some of the images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qc.training import distributed
from qc.training.features import FeatureStore, Taps
from qc.training.logistic import fit_logistic
from qc.training.mahalanobis import MIN_GOOD, fit_mahalanobis
from qc.training.patch_branch import fit_patch_branch

GOOD_ONLY = ("patch", "mahalanobis")
LABELLED = ("logistic", "cells", "finetune")

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that branches are fitted on.

    labels: (n,) 0 good, 1 defect. weights: (n,) importance of each image (new variants count more). channels: of the three
    taps. taps: how many of them the pooled branches may use (2 when fine-tuning replaces the last stage).
    """

    store: FeatureStore
    labels: Index
    weights: NDArray[np.float64]
    channels: tuple[int, ...]
    taps: int = 3
    seed: int = 0
    targets: NDArray[np.float16] | None = None
    """(n, h, w) on the low tap's grid: share of each cell that is defect; None without any mask."""
    known: NDArray[np.bool_] | None = None
    """(n,) whether the target is known: a good image, or a defect with a mask."""

    views: tuple[FeatureStore, ...] = ()
    """Features of every image under other light, in the same order; only branches trained by gradient use them."""

    def draw(self, index: Index, generator: np.random.Generator) -> Taps:
        """The taps of these images, all as they are or all in one of their views."""
        choice = int(generator.integers(len(self.views) + 1))
        return (self.store, *self.views)[choice].taps(index)

    def masks(self, index: Index) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, h, w) float targets and (N,) bool whether they are known."""
        if self.targets is None or self.known is None:
            height, width = self.store.maps[0].shape[2:]
            return torch.zeros(len(index), height, width), torch.zeros(len(index), dtype=torch.bool)
        return torch.from_numpy(self.targets[index].astype(np.float32)), torch.from_numpy(self.known[index])

    def good(self, index: Index) -> Index:
        return np.asarray(index[self.labels[index] == 0])


def available_branches(labels: Index) -> tuple[str, ...]:
    """Branches that these labels allow without fine-tuning."""
    good, defects = int((labels == 0).sum()), int(labels.sum())
    names = ["patch"]
    if good >= MIN_GOOD:
        names.append("mahalanobis")
    if defects >= 4 and good >= 4:
        names.append("logistic")
    return tuple(names)


def fit_branch(name: str, material: Material, index: Index) -> nn.Module:
    """Fit one branch on the images with these indices; good-only branches ignore the defects among them."""
    if name == "patch":
        return fit_patch_branch(material.store, material.good(index), material.seed)
    columns = 3 * sum(material.channels[: material.taps])
    if name == "mahalanobis":
        return fit_mahalanobis(material.store, material.good(index), columns)
    return fit_logistic(material.store, index, material.labels, columns, material.weights)


def score_branch(branch: nn.Module, store: FeatureStore, index: Index) -> NDArray[np.float64]:
    """(len(index),) raw scores."""
    with torch.inference_mode():
        placed = branch.to(distributed.device())
        return torch.cat([placed(taps) for taps in store.batches(index)]).double().cpu().numpy()
