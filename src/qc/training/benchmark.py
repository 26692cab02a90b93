"""The table of docs/models.md: one row per question to the training, run as an engineer would run it.

A row is a data set with its splits rewritten; everything else is the default path: ``train`` and ``evaluate_bundle``. Results
are JSON files, one per row and seed, written as they come, so that an interrupted benchmark goes on where it stopped.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qc.training.dataset import read_dataset, write_manifest
from qc.training.features import Progress
from qc.training.judging import evaluate_bundle
from qc.training.pipeline import train
from qc.training.recipe import TrainingRecipe
from qc.training.rendered import write_product
from qc.training.samples import Dataset, Sample

Rewrite = Callable[[Dataset, int], Dataset]


@dataclass(frozen=True)
class Row:
    """name: file name and table row. source: folder below the data root. rewrite: (data set, seed) -> with splits filled in.

    render: writes the data set itself, from (folder, seed); source is then empty.
    """

    name: str
    source: str
    split: str
    rewrite: Rewrite | None = None
    render: Callable[[Path, int], None] | None = None


def rows() -> Iterator[Row]:
    """Every row of the table, cheap ones first."""
    yield Row("cookies", "cookies", "test")
    yield Row("juice-bottle", "juice-bottle", "test")
    for colour in ("blue", "green", "red", "yellow"):
        yield Row(f"cubes-{colour}-unseen", "cubes", "test", _unseen(f"cube-{colour}", 0, 0))
        yield Row(f"cubes-{colour}-5-good", "cubes", "test", _unseen(f"cube-{colour}", 5, 0))
    yield Row("rendered-fabric-60-good", "", "test", render=_rendered("fabric", 60, 0))
    yield Row("rendered-label-60-good-12-defects", "", "test", render=_rendered("label", 60, 12))
    yield Row("rendered-casting-50-good-50-defects", "", "test", render=_rendered("casting", 50, 50))
    yield Row("rendered-fabric-60-good-20-masks", "", "test", render=_rendered("fabric", 60, 20, masks=True))
    yield Row("magnetic-tile", "magnetic-tile", "val")
    yield Row("pcb-all", "pcb", "test")
    for board in ("00041", "12100", "44000", "50600", "92000"):
        yield Row(f"pcb-{board}-unseen", "pcb", "test", _unseen(f"board-{board}", 0, 0))
        yield Row(f"pcb-{board}-10-good-10-defects", "pcb", "test", _unseen(f"board-{board}", 10, 10))
    yield Row("elpv", "elpv", "test", None)
    for labelled in (0, 50, 100, 200, 400):
        yield Row(f"elpv-mono-to-poly-{labelled}", "elpv", "test", _poly(labelled))


def _rendered(product: str, good: int, defects: int, *, masks: bool = False) -> Callable[[Path, int], None]:
    def render(root: Path, seed: int) -> None:
        write_product(root / "train", product, good, defects, seed=seed, masks=masks)
        write_product(root / "test", product, 40, 40, seed=1000 + seed, masks=masks)

    return render


def run_row(row: Row, recipe: TrainingRecipe, data: Path, results: Path, progress: Progress) -> dict[str, Any]:
    """Train and judge one row with one recipe, whose seed names the run, or read the result that is already there."""
    seed = recipe.seed
    path = results / f"{row.name}-s{seed}.json"
    if path.exists():
        done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return done
    source = prepared_row(row, seed, data, results)
    bundle = results / "models" / f"{row.name}-s{seed}"
    shutil.rmtree(bundle, ignore_errors=True)
    started, cpu_started = time.monotonic(), time.process_time()
    card = train(source, bundle, recipe, progress, cache=results / "features")
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    report = evaluate_bundle(bundle, source, row.split, variants=(), html=None, progress=progress)
    report |= {
        "row": row.name,
        "seed": seed,
        "train_seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "finetune": recipe.finetune,
    }
    report |= {"promised": card.rates["promised"], "branches": card.training["branches"], "int8": card.training["int8"]}
    path.write_text(json.dumps(report, indent=1), encoding="utf-8")
    shutil.rmtree(bundle)
    return report


def prepared_row(row: Row, seed: int, data: Path, results: Path) -> Path:
    """The row's data set: as it is, rendered, or with its splits rewritten into a folder of links below ``results``."""
    source, made = data / row.source, results / f".{row.name}-s{seed}"
    if not row.render and not row.rewrite:
        return source
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    if row.render:
        row.render(made, seed)
    if row.rewrite:
        dataset = row.rewrite(read_dataset(source), seed)
        for folder in ("images", "masks"):
            if (dataset.root / folder).exists():
                (made / folder).symlink_to(dataset.root / folder)
        write_manifest(dataset, made / "manifest.csv")
    return made


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: one line per row, mean over its seeds."""
    lines = ["| row | seeds | AUROC | DR at FPR 8 % | DR at threshold | FPR at threshold | FPR promised | kept | chosen |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(r["row"] for r in results):
        runs = [r for r in results if r["row"] == name]
        promises = [r["promised"]["false_positive_rate"] for r in runs]
        kept = sum(_kept(r) for r in runs)
        low, high = _mean([p["low"] for p in promises]), _mean([p["high"] for p in promises])
        cells = [name, str(len(runs)), _auroc(runs), _share([r["dr_at_fpr_8"] for r in runs])]
        cells += [_share([r[key]["estimate"] for r in runs]) for key in ("detection_rate", "false_positive_rate")]
        cells += [f"{100 * low:.0f} to {100 * high:.0f} %", f"{kept} of {len(runs)}", runs[0]["branches"]["chosen"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def branch_table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: out-of-fold AUROC of every branch and of the choice, where defects were there to measure it."""
    names = ("patch", "mahalanobis", "logistic", "cells", "finetune", "good-only", "labelled", "all", "stack")
    lines = [f"| row | {' | '.join(names)} | chosen |", f"|{'---|' * (len(names) + 2)}"]
    for result in results:
        measured = result["branches"]["out_of_fold_auroc"]
        if measured:
            cells = [f"{measured[n]:.3f}" if n in measured else "" for n in names]
            lines.append(f"| {result['row']} s{result['seed']} | {' | '.join(cells)} | {result['branches']['chosen']} |")
    return "\n".join(lines) + "\n"


def _kept(result: dict[str, Any]) -> bool:
    promise, realised = result["promised"]["false_positive_rate"], result["false_positive_rate"]["estimate"]
    return realised is None or bool(promise["low"] <= realised <= promise["high"])


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([v for v in values if v is not None] or [np.nan]))


def _auroc(runs: Sequence[dict[str, Any]]) -> str:
    values = [r["auroc"] for r in runs]
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{_mean(values):.3f}{spread}"


def _share(values: Sequence[float | None]) -> str:
    return f"{100 * _mean(values):.1f} %"


def _unseen(variant: str, good: int, defects: int) -> Rewrite:
    """The variant is the test; so many of its images (whole groups) move into training."""

    def rewrite(dataset: Dataset, seed: int) -> Dataset:
        order = np.random.default_rng(seed).permutation(len(dataset))
        taken: dict[str, set[str]] = {"good": set(), "defect": set()}
        wanted = {"good": good, "defect": defects}
        groups: set[str] = set()
        for index in order:
            sample = dataset.samples[index]
            key = sample.group or str(sample.image)
            if sample.variant == variant and len(taken[sample.label]) < wanted[sample.label]:
                taken[sample.label].add(key)
                groups.add(key)
        return _with_splits(
            dataset, lambda s: "test" if s.variant == variant and (s.group or str(s.image)) not in groups else "train"
        )

    return rewrite


def _poly(labelled: int) -> Rewrite:
    """Mono cells and so many poly cells to learn from; the poly cells of the test split to judge."""

    def rewrite(dataset: Dataset, seed: int) -> Dataset:
        free = [s.image for s in dataset if s.variant == "solar-poly" and s.split == "train"]
        used = {free[i] for i in np.random.default_rng(seed).permutation(len(free))[:labelled]}
        keep = dataset.where(lambda s: s.variant == "solar-mono" or s.split == "test" or s.image in used)
        return _with_splits(keep, lambda s: "test" if s.variant == "solar-poly" and s.image not in used else "train")

    return rewrite


def _with_splits(dataset: Dataset, split: Callable[[Sample], str]) -> Dataset:
    return replace(dataset, samples=tuple(replace(s, split=split(s)) for s in dataset))
