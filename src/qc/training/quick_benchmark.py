"""The quick branches alone on cached features: seconds per row and seed instead of minutes, to compare many rows and seeds.

The same functions as in a training, in the same order, without the branches trained by gradient, the choice of the input size, export
and the line's inspector. So the numbers are those of a lower floor, and latency, INT8 and the map are not in them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from qc.training.backbone import load_backbone
from qc.training.benchmark import Row, prepared_row
from qc.training.branches import Material, fit_branch, score_branch
from qc.training.calibrate import fit_calibration
from qc.training.cross_validation import quick_branches
from qc.training.dataset import read_dataset
from qc.training.feature_cache import FeatureCache
from qc.training.features import Progress, Roi, extract_features, load_tensor
from qc.training.fit import Folds
from qc.training.fusion import fuse
from qc.training.input_size import BASE_SIDE, input_spec, typical_size
from qc.training.metrics import auroc, dr_at_fpr, rates_at
from qc.training.recipe import TrainingRecipe
from qc.training.splits import group_folds, part_groups
from qc.training.thresholds import choose_thresholds


def run_quick(row: Row, recipe: TrainingRecipe, data: Path, results: Path, progress: Progress) -> dict[str, Any]:
    """Fit on what is not in the row's split, judge on it; the keys that the tables need. Kept as ``<row>-quick-s<seed>.json``."""
    path = results / f"{row.name}-quick-s{recipe.seed}.json"
    if path.exists():
        done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return done
    dataset = read_dataset(prepared_row(row, recipe.seed, data, results))
    training, judged = dataset.where(lambda s: s.split != row.split), dataset.in_split(row.split)
    backbone = load_backbone(recipe.backbone)
    spec = input_spec(*typical_size(training.samples, Roi()), recipe.side or BASE_SIDE)
    samples = (*training, *judged)
    work = results / f".{row.name}-quick"
    work.mkdir(parents=True, exist_ok=True)
    for old in work.iterdir():
        old.unlink()
    cache = FeatureCache(results / "features", backbone)
    store = extract_features(
        backbone, len(samples), lambda i: load_tensor(samples[i], spec, Roi()), folder=work, progress=progress, cache=cache
    )
    labels = np.array([int(s.is_defect) for s in samples], np.int64)
    learnt, new = np.arange(len(training)), np.arange(len(training), len(samples))
    material = Material(store, labels[learnt], np.ones(len(training)), backbone.channels, seed=recipe.seed)
    folds = group_folds(training, recipe.folds, recipe.seed).fold
    raw, _ = quick_branches(material, folds, progress)
    fusion = fuse(raw, material.labels, folds)
    fused = fusion.raw(raw)
    calibration = fit_calibration(fused[material.labels == 0])
    scores = calibration.score(fused)
    groups = Folds(folds, folds, part_groups(training).ids, tuple(s.variant for s in training))
    lots = int((labels[new] == 0).sum()), int(labels[new].sum())
    independent = groups.independent(material.labels == 0), groups.independent(material.labels == 1)
    thresholds = choose_thresholds(
        scores[material.labels == 0],
        scores[material.labels == 1],
        recipe.aim,
        lots,
        independent,
        variants=groups.variants_by_label(material.labels),
    )
    single = {name: score_branch(fit_branch(name, material, learnt), store, new) for name in raw}
    final = calibration.score(fusion.raw(single))
    detection, false_positive = rates_at(final, labels[new], thresholds.reject_at)
    report: dict[str, Any] = {
        "row": f"{row.name} (quick)",
        "seed": recipe.seed,
        "auroc": auroc(final, labels[new]),
        "dr_at_fpr_8": dr_at_fpr(final, labels[new]),
        "detection_rate": detection.as_json(),
        "false_positive_rate": false_positive.as_json(),
        "promised": thresholds.promise(),
        "branches": fusion.as_json(),
        "test_auroc": {name: auroc(values, labels[new]) for name, values in single.items()},
    }
    path.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report
