"""From a data set to a bundle: the whole training, read from top to bottom."""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qc.domain.errors import DatasetError, TrainingError
from qc.domain.model import InputSpec, ModelCard
from qc.domain.record import Json
from qc.inspection.bundle import load_card
from qc.inspection.card import MODEL_ID
from qc.inspection.session import OnnxInspector, Runtime, load_inspector, seal_bundle
from qc.release.evidence import pixel_hash
from qc.training import distributed, plots
from qc.training.augment import other_light
from qc.training.backbone import Backbone, load_backbone
from qc.training.branches import Material
from qc.training.card import data_facts, draft_card, render_card, training_facts
from qc.training.checks import CheckReport, check_dataset
from qc.training.checks.findings import sentence
from qc.training.dataset import read_dataset
from qc.training.evaluation import Judged, judge, summary
from qc.training.export import check_parity, export_onnx, inspector_scores
from qc.training.feature_cache import FeatureCache
from qc.training.features import FeatureStore, Progress, Roi, extract_features, load_tensor
from qc.training.fit import Fitted, Folds, fit_model
from qc.training.input_size import choose_input
from qc.training.mask_targets import mask_targets
from qc.training.memory import out_of_memory_told
from qc.training.metrics import auroc, wilson
from qc.training.parent import compare_with_parent
from qc.training.quantise import Attempt, try_int8
from qc.training.recipe import TrainingRecipe
from qc.training.resolution import finer_input
from qc.training.samples import Dataset, read_image
from qc.training.splits import Groups, group_folds, split_dataset
from qc.training.synthetic import with_defect
from qc.training.variant_rates import rates_by_variant

PARITY_IMAGES = 50
CALIBRATION_IMAGES = 32
SYNTHETIC_IMAGES = 40
COARSE_FOLDS = 3
NEW_VARIANT_WEIGHT = 5.0
FRACTIONS = {"train": 0.75, "test": 0.25}
"""Cross-validation takes the place of a validation split."""


@dataclass(frozen=True)
class Task:
    """What is trained on, what is held out, and what was noticed on the way."""

    training: Dataset
    held_out: Dataset
    report: CheckReport
    notes: tuple[str, ...]
    spec: InputSpec
    roi: Roi
    work: Path
    parent: ModelCard | None
    groups: Groups
    """Of the training pictures: named groups, joined where the checks found copies."""


def train(
    source: Path,
    out: Path,
    recipe: TrainingRecipe,
    progress: Progress,
    *,
    variants: tuple[str, ...] = (),
    parent: Path | None = None,
    cache: Path | None = None,
) -> ModelCard:
    """Train on everything in ``source`` that is not held out and write the bundle ``out``, whole or not at all.

    Held out is the test split, or the validation split where there is no test. parent: an existing bundle to which this data set
    adds variants; it must hold the parent's variants too. cache: folder of features that several trainings share. Raises
    DatasetError, TrainingError, BundleError.
    """
    if out.exists():
        raise TrainingError(f"{out} exists already and bundles are immutable: choose another name or remove it")
    if not MODEL_ID.fullmatch(out.name):
        raise TrainingError(
            f"{out}: {out.name!r} cannot be a model's name: use up to 64 letters, digits, '_', '-' and single dots"
        )
    torch.manual_seed(recipe.seed)
    distributed.use_free_cores()
    started = time.monotonic()
    with out_of_memory_told():
        task = prepare(source, out, recipe, variants=variants, parent=parent, progress=progress)
        return train_prepared(task, out, recipe, progress, parent=parent, cache=cache, started=started)


def train_prepared(
    task: Task, out: Path, recipe: TrainingRecipe, progress: Progress, *, parent: Path | None, cache: Path | None, started: float
) -> ModelCard:
    """Features, branches, export, evaluation, bundle. started: on the monotonic clock."""
    backbone = load_backbone(recipe.backbone, Path(recipe.weights) if recipe.weights else None)
    shared = FeatureCache(cache, backbone) if cache else None
    if not recipe.side:
        task = sharpen(task, backbone, shared, recipe.seed, progress)
    fitted = fit(task, backbone, recipe, progress, shared)
    if distributed.rank() != 0:
        return draft_card(out.name, task.spec, fitted, task.training, None)
    model, card, facts = export(task, fitted, backbone, recipe, out.name)
    inspector = OnnxInspector(model, card, Runtime(intra_op_threads=1))
    judged = judge(inspector, task.held_out.samples, task.roi, progress)
    if not task.training.labels.any():
        facts["synthetic_defects"] = react_to_synthetic(inspector, task)
    card = describe(task, fitted, card, judged, recipe=recipe, backbone=backbone.name)
    card = replace(card, training={**card.training, **facts, "seconds": round(time.monotonic() - started, 1)})
    if parent:
        card = compare_with_parent(card, parent, judged, task.roi, progress)
    return write(out, task, model, card, fitted)


def prepare(
    source: Path, out: Path, recipe: TrainingRecipe, *, variants: tuple[str, ...], parent: Path | None, progress: Progress
) -> Task:
    """Read, check, split, and choose the input size."""
    dataset = read_dataset(source, allow_missing=True)
    if variants:
        dataset = dataset.where(lambda s: s.variant in variants)
        if not len(dataset):
            raise DatasetError(f"{source}: no picture of the variants {', '.join(variants)}")
    report = check_dataset(dataset, progress=lambda done, total: progress("checks", done, total), seed=recipe.seed)
    report.raise_for_errors()
    split = split_dataset(dataset, FRACTIONS, recipe.seed, groups=report.groups)
    training, held_out = partition(split.dataset)
    learnt = {s.image for s in training}
    groups = Groups(report.groups.ids[[s.image in learnt for s in split.dataset]])
    parent_card = load_card(parent / "card.json") if parent else None
    if parent_card and (lost := set(parent_card.variants) - set(training.variants)):
        raise DatasetError(
            f"{source}: no training pictures of {', '.join(sorted(lost))}, which the parent model knows: "
            "add them (a few dozen will do), or train a model of its own for the new variant"
        )
    roi = Roi(recipe.roi, recipe.ignore)
    spec = choose_input(training.samples, recipe.side, roi)
    return Task(training, held_out, report, split.notes, spec, roi, work_folder(out, training, spec, recipe), parent_card, groups)


def sharpen(task: Task, backbone: Backbone, cache: FeatureCache | None, seed: int, progress: Progress) -> Task:
    """With a finer input where labels without masks show that it tells the defects better."""
    spec, told = finer_input(
        task.training,
        task.groups,
        task.spec,
        roi=task.roi,
        backbone=backbone,
        cache=cache,
        work=task.work,
        seed=seed,
        progress=progress,
    )
    return replace(task, spec=spec, notes=(*task.notes, told) if told else task.notes)


def partition(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """(what may be learnt from, what is held out)."""
    held = "test" if any(s.split == "test" for s in dataset) else "val"
    return dataset.where(lambda s: s.split != held), dataset.in_split(held)


def fit(task: Task, backbone: Backbone, recipe: TrainingRecipe, progress: Progress, cache: FeatureCache | None = None) -> Fitted:
    """Features once, then every branch on them."""
    samples, spec = task.training.samples, task.spec
    good = sum(not s.is_defect for s in samples)
    if good < 4:
        raise DatasetError(f"{task.training.root}: {good} good training pictures; at least 4 are needed, 40 are wanted")
    store = extract_features(
        backbone,
        len(samples),
        lambda i: load_tensor(samples[i], spec, task.roi),
        folder=task.work,
        progress=progress,
        cache=cache,
    )
    height, width = store.maps[0].shape[2:]
    targets, known = mask_targets(samples, (height, width), task.roi)
    old = set(task.parent.variants) if task.parent else set(task.training.variants)
    weights = np.array([1.0 if s.variant in old else NEW_VARIANT_WEIGHT for s in samples])
    material = Material(store, task.training.labels, weights, backbone.channels, seed=recipe.seed, targets=targets, known=known)

    def make_views() -> tuple[FeatureStore, ...]:
        return tuple(view_features(view) for view in range(recipe.views))

    def view_features(view: int) -> FeatureStore:
        def load(i: int) -> NDArray[np.uint8]:
            return other_light(load_tensor(samples[i], spec, task.roi), recipe.seed + i * 97 + view)

        name = f"other light {view + 1}"
        return extract_features(backbone, len(samples), load, folder=task.work, progress=progress, name=name, cache=cache)

    fine, coarse = (group_folds(task.training, k, recipe.seed, groups=task.groups) for k in (recipe.folds, COARSE_FOLDS))
    folds = Folds(fine.fold, coarse.fold, task.groups.ids, tuple(s.variant for s in samples))
    held = task.held_out.labels
    lots = (int((held == 0).sum()), int(held.sum())) if len(held) else None
    fitted = fit_model(backbone, material, folds, recipe, work=task.work, make_views=make_views, progress=progress, lots=lots)
    return replace(fitted, notes=(*fitted.notes, *fine.notes))


def export(
    task: Task, fitted: Fitted, backbone: Backbone, recipe: TrainingRecipe, model_id: str
) -> tuple[bytes, ModelCard, dict[str, Json]]:
    """The graph, a card to run it with, and the facts about parity and INT8."""
    model = export_onnx(fitted.net, task.spec)
    card = draft_card(model_id, task.spec, fitted, task.training, task.parent.model_id if task.parent else None)
    samples = (*task.held_out, *task.training)
    examples = [load_tensor(s, task.spec, task.roi) for s in samples[:: max(1, len(samples) // PARITY_IMAGES)]]
    parity = check_parity(fitted.net, model, card, examples)
    attempt = Attempt(None, "not tried: switched off in the recipe", {})
    if recipe.quantise:
        good = [s for s in task.training if not s.is_defect][:CALIBRATION_IMAGES]
        judged = [load_tensor(s, task.spec, task.roi) for s in task.held_out.samples]
        convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in backbone.modules())
        tensors = [load_tensor(s, task.spec, task.roi) for s in good]
        attempt = try_int8(model, card, tensors, judged, task.held_out.labels, convolutions=convolutions)
    facts: dict[str, Json] = {
        "parity": {"images": len(examples), "max_score_difference": parity},
        "int8": attempt.as_json(),
    }
    return attempt.model or model, card, facts


def describe(task: Task, fitted: Fitted, card: ModelCard, judged: Judged, *, recipe: TrainingRecipe, backbone: str) -> ModelCard:
    """Everything that is known about the model."""
    labels, variants = task.training.labels, [s.variant for s in task.training]
    by_variant, uneven = rates_by_variant(fitted.scores, labels, variants, card.reject_at, recipe.aim)
    promised: dict[str, Json] = {**fitted.thresholds.promise(), "out_of_fold_auroc": auroc(fitted.scores, labels)}
    return replace(
        card,
        rates={
            "promised": {**promised, "by_variant": by_variant} if by_variant else promised,
            "held_out": summary(judged, card.reject_at, card.review_at) if len(judged.samples) else {},
        },
        data=data_facts(recipe, task.training, task.held_out, task.notes),
        training=training_facts(recipe, fitted, backbone),
        limits=(*fitted.thresholds.warnings, *uneven, *fitted.notes, *(sentence(found)[:400] for found in task.report.warnings)),
    )


def react_to_synthetic(inspector: OnnxInspector, task: Task) -> dict[str, Json]:
    """Share of synthetic defects, on good pictures that were not learnt from where there are some, that would be rejected."""
    good = [s for s in task.held_out if not s.is_defect] or list(task.training)
    tensors = [with_defect(load_tensor(s, task.spec, task.roi), i) for i, s in enumerate(good[:SYNTHETIC_IMAGES])]
    scores = inspector_scores(inspector, tensors)
    rate = wilson(int((scores >= inspector.card.reject_at).sum()), len(scores))
    return {**rate.as_json(), "meaning": "share of pasted patches and scars that is rejected; real defects may differ"}


def work_folder(out: Path, training: Dataset, spec: InputSpec, recipe: TrainingRecipe) -> Path:
    """Beside the bundle, named after data and recipe, so that an interrupted training is taken up only by the same one."""
    rows = [[str(s.image), s.image.stat().st_mtime_ns, s.label, s.split, str(s.mask)] for s in training]
    key = json.dumps(rows) + repr(recipe) + repr(spec)
    work = out.parent / f".{out.name}.training" / hashlib.sha256(key.encode()).hexdigest()[:12]
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{work}: cannot be written ({error.strerror})") from error
    return work


def write(out: Path, task: Task, model: bytes, card: ModelCard, fitted: Fitted) -> ModelCard:
    """Seal the bundle beside its place, prove that it loads, move it there in one step, and remove the working files."""
    sealed = task.work / out.name
    shutil.rmtree(sealed, ignore_errors=True)
    card = seal_bundle(sealed, model, card)
    split: dict[str, Json] = {
        "training": [task.training.relative(s.image) for s in task.training],
        "held_out": [task.held_out.relative(s.image) for s in task.held_out],
        "training_groups": [*sorted({s.group for s in task.training if s.group})],
        "training_pixels": [pixel_hash(read_image(s)) for s in task.training],
    }
    try:
        (sealed / "split.json").write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
        (sealed / "card.md").write_text(render_card(card), encoding="utf-8")
        if fitted.curves:
            (sealed / "curves.png").write_bytes(plots.learning_curves(fitted.curves))
        load_inspector(sealed)
        sealed.rename(out)
    except OSError as error:
        raise TrainingError(f"{out}: cannot be written ({error.strerror}); nothing was left there") from error
    shutil.rmtree(task.work.parent, ignore_errors=True)
    return card
