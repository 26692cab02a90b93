"""A bundle and a data set in, the report out: what ``tools/evaluate.py`` does."""

import json
from pathlib import Path

from qc.domain.errors import DatasetError
from qc.domain.record import Json
from qc.inspection.session import Runtime, load_inspector
from qc.training.dataset import read_dataset
from qc.training.evaluation import judge, summary
from qc.training.features import Progress, Roi
from qc.training.report import write_report
from qc.training.samples import SPLITS, Dataset


def evaluate_bundle(
    model: Path, source: Path, split: str, *, variants: tuple[str, ...], html: Path | None, progress: Progress
) -> dict[str, Json]:
    """Raises BundleError, DatasetError, EvaluationError."""
    inspector = load_inspector(model, Runtime(intra_op_threads=1))
    dataset = read_dataset(source)
    learnt = _names(model, "training")
    chosen, notes = _choose(dataset, split, _names(model, "held_out"))
    if variants:
        chosen = chosen.where(lambda s: s.variant in variants)
    if not len(chosen):
        raise DatasetError(f"{source}: nothing to judge: no picture in split {split!r}" + (f" of {variants}" if variants else ""))
    known = sum(chosen.relative(s.image) in learnt for s in chosen)
    if known:
        notes.append(f"{known} of these {len(chosen)} pictures were used in training: the result is better than on new parts")
    roi = _roi(inspector.card.training)
    judged = judge(inspector, chosen.samples, roi, progress)
    report = summary(judged, inspector.card.reject_at, inspector.card.review_at)
    report |= {"model": inspector.card.model_id, "dataset": source.name, "split": split, "notes": [*notes]}
    if html:
        write_report(html, report, judged, inspector, roi)
    return report


def _choose(dataset: Dataset, split: str, held_out: set[str]) -> tuple[Dataset, list[str]]:
    """The wanted split. Where the data set names none, the pictures that the training held out stand for test."""
    if split == "all":
        return dataset, []
    if split not in SPLITS:
        raise DatasetError(f"split {split!r} must be one of {', '.join(SPLITS)}, all")
    if any(s.split for s in dataset):
        chosen = dataset.in_split(split)
        if len(chosen):
            return chosen, []
    kept = dataset.where(lambda s: dataset.relative(s.image) in held_out)
    if split == "test" and len(kept):
        return kept, ["the data set names no test split: judged on the pictures that the training held out"]
    if any(s.split for s in dataset):
        raise DatasetError(f"no picture has split {split!r}; the data set has {', '.join(sorted({s.split for s in dataset}))}")
    return dataset, ["the data set names no splits and the model does not know it: judged on all of its pictures"]


def _names(model: Path, key: str) -> set[str]:
    """Pictures named in the bundle's split.json; empty when it has none."""
    try:
        return set(json.loads((model / "split.json").read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError):
        return set()


def _roi(training: object) -> Roi:
    """The region that the model was trained on, from its card."""
    facts = training if isinstance(training, dict) else {}
    roi, ignore = facts.get("roi"), facts.get("ignore") or []
    polygon = tuple((float(x), float(y)) for x, y in roi) if roi else None
    return Roi(polygon, tuple(tuple((float(x), float(y)) for x, y in area) for area in ignore))
