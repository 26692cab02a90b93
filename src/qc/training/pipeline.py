"""From a data set to a bundle: the whole training, read from top to bottom."""

import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch

from qc.domain.errors import TrainingError
from qc.domain.model import ModelCard
from qc.domain.record import Json
from qc.inspection.session import OnnxInspector, Runtime, load_inspector, seal_bundle
from qc.training.backbone import load_backbone
from qc.training.card import data_facts, draft_card, training_facts
from qc.training.dataset import read_dataset
from qc.training.evaluation import judge, summary
from qc.training.export import check_parity, export_onnx
from qc.training.features import Progress, Roi, extract_features, load_tensor
from qc.training.fit import fit_model
from qc.training.input_size import choose_input
from qc.training.metrics import auroc
from qc.training.recipe import TrainingRecipe
from qc.training.samples import Dataset
from qc.training.splits import group_folds, part_groups, split_dataset

PARITY_IMAGES = 50
FRACTIONS = {"train": 0.75, "test": 0.25}
"""Cross-validation takes the place of a validation split."""


def train(source: Path, out: Path, recipe: TrainingRecipe, progress: Progress, *, variants: tuple[str, ...] = ()) -> ModelCard:
    """Train on everything in ``source`` that is not held out and write the bundle ``out``, whole or not at all.

    Held out is the test split, or the validation split where there is no test. Raises DatasetError, TrainingError, BundleError.
    """
    started = time.monotonic()
    if out.exists():
        raise TrainingError(f"{out} exists already and bundles are immutable: choose another name or remove it")
    torch.manual_seed(recipe.seed)
    dataset = read_dataset(source)
    if variants:
        dataset = dataset.where(lambda s: s.variant in variants)
    groups = part_groups(dataset)
    split = split_dataset(dataset, FRACTIONS, recipe.seed, groups=groups)
    training, held_out = partition(split.dataset)
    work = work_folder(out, training, recipe)
    roi = Roi(recipe.roi, recipe.ignore)
    spec = choose_input(training.samples, recipe.side, roi)
    backbone = load_backbone(recipe.backbone, Path(recipe.weights) if recipe.weights else None)
    store = extract_features(
        backbone,
        len(training),
        lambda i: load_tensor(training.samples[i], spec, roi),
        work,
        progress,
        f"{spec.height}x{spec.width}",
    )
    folds = group_folds(training, recipe.folds, recipe.seed)
    lots = (int((held_out.labels == 0).sum()), int(held_out.labels.sum())) if len(held_out) else None
    fitted = fit_model(backbone, store, training.labels, folds.fold, recipe, progress, lots)
    model = export_onnx(fitted.net, spec)
    card = draft_card(out.name, spec, fitted, training, None)
    examples = [load_tensor(s, spec, roi) for s in (*held_out, *training)[:PARITY_IMAGES]]
    parity = check_parity(fitted.net, model, card, examples)
    judged = judge(OnnxInspector(model, card, Runtime(intra_op_threads=1)), held_out.samples, roi, progress)
    card = replace(
        card,
        rates={
            "promised": {**fitted.thresholds.promise(), "out_of_fold_auroc": auroc(fitted.scores, training.labels)},
            "held_out": summary(judged, card.reject_at, card.review_at) if len(held_out) else {},
        },
        data=data_facts(recipe, training, held_out, [*split.notes, *folds.notes]),
        training={
            **training_facts(recipe, fitted, backbone.name, time.monotonic() - started),
            "parity": {"images": len(examples), "max_score_difference": parity},
        },
        limits=fitted.thresholds.warnings,
    )
    return write(out, work, model, card, training, held_out)


def partition(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """(what may be learnt from, what is held out)."""
    held = "test" if any(s.split == "test" for s in dataset) else "val"
    return dataset.where(lambda s: s.split != held), dataset.in_split(held)


def work_folder(out: Path, training: Dataset, recipe: TrainingRecipe) -> Path:
    """Beside the bundle, named after data and recipe, so that an interrupted training is taken up only by the same one."""
    key = json.dumps([[str(s.image), s.label, s.split] for s in training]) + repr(recipe)
    work = out.parent / f".{out.name}.training" / hashlib.sha256(key.encode()).hexdigest()[:12]
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{work}: cannot be written ({error.strerror})") from error
    return work


def write(out: Path, work: Path, model: bytes, card: ModelCard, training: Dataset, held_out: Dataset) -> ModelCard:
    """Seal the bundle beside its place, prove that it loads, move it there in one step, and remove the working files."""
    sealed = work / out.name
    shutil.rmtree(sealed, ignore_errors=True)
    card = seal_bundle(sealed, model, card)
    split: dict[str, Json] = {
        "training": [training.relative(s.image) for s in training],
        "held_out": [held_out.relative(s.image) for s in held_out],
    }
    (sealed / "split.json").write_text(json.dumps(split, indent=1), encoding="utf-8")
    load_inspector(sealed)
    sealed.rename(out)
    shutil.rmtree(work.parent, ignore_errors=True)
    return card
