"""Fit a model: out-of-fold scores first, from them weights, calibration and thresholds, then every branch on all images."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qc.domain.record import Json
from qc.training.backbone import Backbone
from qc.training.branches import Index, Material, fit_branch, score_branch
from qc.training.calibrate import Calibration, fit_calibration
from qc.training.cross_validation import pooled_branches, quick_branches
from qc.training.features import FeatureStore, Progress
from qc.training.fusion import Fusion, fuse
from qc.training.lessons import Learnt, learn, lessons_for
from qc.training.metrics import auroc
from qc.training.net import Embedding, InspectionNet
from qc.training.recipe import TrainingRecipe
from qc.training.thresholds import Thresholds, choose_thresholds

Scores = NDArray[np.float64]

GAIN_TO_FINETUNE = 0.003
"""AUROC that fine-tuning must add out of fold: it costs the pooled branches their last level."""

GAP_LIMIT = 0.10

ENOUGH = 0.995
"""Out-of-fold AUROC from which a slower branch has nothing left to gain and is not trained."""


@dataclass(frozen=True)
class Fitted:
    """The net, and what is known about it from images that its parts had not seen.

    scores: (n,) out-of-fold calibrated scores of the training images. branch_auroc: of every branch and candidate sum.
    gap: AUROC on the training images minus out of fold; None without defects.
    """

    net: InspectionNet
    fusion: Fusion
    calibration: Calibration
    thresholds: Thresholds
    scores: Scores
    gap: float | None
    curves: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        return {
            **self.fusion.as_json(),
            "epochs": {name: len(curve[0]) for name, curve in self.curves.items()},
            "train_minus_out_of_fold_auroc": None if self.gap is None else round(self.gap, 4),
        }


@dataclass(frozen=True)
class Folds:
    """fine: (n,) folds for the quick branches. coarse: (n,) fewer folds for the branches trained by gradient.

    groups: (n,) images with the same number show the same part or belong to one run. variants: of each image, or none.
    """

    fine: Index
    coarse: Index
    groups: Index
    variants: tuple[str, ...] = ()

    def variants_by_label(self, labels: Index) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of the good and of the defective images; empty when no variants are known."""
        pairs = list(zip(self.variants, labels, strict=True)) if self.variants else []
        return tuple(v for v, label in pairs if label == 0), tuple(v for v, label in pairs if label == 1)

    def independent(self, chosen: NDArray[np.bool_]) -> float:
        """Groups per image among the chosen images."""
        return len(np.unique(self.groups[chosen])) / max(int(chosen.sum()), 1)


def fit_model(
    backbone: Backbone,
    material: Material,
    folds: Folds,
    recipe: TrainingRecipe,
    *,
    work: Path,
    make_views: Callable[[], tuple[FeatureStore, ...]],
    progress: Progress,
    lots: tuple[int, int] | None = None,
) -> Fitted:
    """material, folds: of the training images, in one order. make_views: features under other light, when needed. lots: (good, defect) parts that the promised rates are for."""
    labels = material.labels
    quick, peaks = quick_branches(material, folds.fine, progress)
    learnt: dict[str, Learnt] = {}
    for lesson in lessons_for(backbone, material, cells=recipe.cells, finetune=recipe.finetune):
        so_far = quick | {name: result.scores for name, result in learnt.items()}
        if (auroc(fuse(so_far, labels, folds.fine).raw(so_far), labels) or 0.0) < ENOUGH:
            material = material if material.views else replace(material, views=make_views())
            learnt[lesson.name] = learn(
                lesson, material, folds.coarse, flips=recipe.flips, seed=recipe.seed, work=work, progress=progress
            )
    material, fusion, raw = _choose(material, folds, quick, learnt, progress)
    fused = fusion.raw(raw)
    calibration = fit_calibration(fused[labels == 0])
    scores = calibration.score(fused)
    independent = folds.independent(labels == 0), folds.independent(labels == 1)
    thresholds = choose_thresholds(
        scores[labels == 0], scores[labels == 1], recipe.aim, lots, independent, variants=folds.variants_by_label(labels)
    )
    everything = np.arange(len(labels))
    branches: dict[str, nn.Module] = {}
    for number, name in enumerate(dict.fromkeys(("patch", *fusion.branches))):
        branches[name] = learnt[name].branch if name in learnt else fit_branch(name, material, everything)
        progress("final fit", number + 1, len(fusion.branches) + ("patch" not in fusion.branches))
    maps = {"patch": fit_calibration(peaks[labels == 0])}
    if "cells" in branches and material.targets is not None:
        maps["cells"] = fit_calibration(learnt["cells"].scores[labels == 0])
    columns = 3 * sum(material.channels[: material.taps])
    embedding = Embedding(torch.from_numpy(material.store.pooled[labels == 0]), columns, recipe.seed)
    net = InspectionNet(
        backbone,
        branches,
        fusion,
        score_calibration=calibration,
        map_calibrations=maps,
        embedding=embedding,
        high=material.taps == 3,
    )
    gap = _gap(fusion, branches, material, scores)
    notes = []
    if gap is not None and gap > GAP_LIMIT:
        notes.append(
            f"overfitting: AUROC is {gap:.2f} higher on training images than out of fold; more labelled parts are needed"
        )
    curves = {name: result.curves for name, result in learnt.items()}
    return Fitted(net.cpu(), fusion, calibration, thresholds, scores, gap, curves, tuple(notes))


def _choose(
    material: Material, folds: Folds, quick: dict[str, Scores], learnt: dict[str, Learnt], progress: Progress
) -> tuple[Material, Fusion, dict[str, Scores]]:
    """With the frozen last stage, or with the fine-tuned one in its place: whichever separates better out of fold."""
    labels = material.labels
    raw = quick | {name: result.scores for name, result in learnt.items() if name != "finetune"}
    fusion = fuse(raw, labels, folds.fine)
    if "finetune" not in learnt:
        return material, fusion, raw
    reduced = replace(material, taps=2)
    raw_reduced = raw | {"finetune": learnt["finetune"].scores} | pooled_branches(reduced, folds.fine, progress)
    fusion_reduced = fuse(raw_reduced, labels, folds.fine)
    gain = (auroc(fusion_reduced.raw(raw_reduced), labels) or 0) - (auroc(fusion.raw(raw), labels) or 0)
    if "finetune" in fusion_reduced.branches and gain >= GAIN_TO_FINETUNE:
        return reduced, fusion_reduced, raw_reduced
    measured = fusion.measured | {"finetune": fusion_reduced.measured.get("finetune", 0.0)}
    return material, replace(fusion, measured=measured), raw


def _gap(fusion: Fusion, branches: dict[str, nn.Module], material: Material, scores: Scores) -> float | None:
    out_of_fold_auroc = auroc(scores, material.labels)
    if out_of_fold_auroc is None:
        return None
    everything = np.arange(len(scores))
    seen = fusion.raw({name: score_branch(branches[name], material.store, everything) for name in fusion.branches})
    return (auroc(seen, material.labels) or 0.0) - out_of_fold_auroc
