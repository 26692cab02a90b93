"""Data sets at the gate: labelled parts for judging, and what a candidate was trained on."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from qc.domain.errors import DatasetError
from qc.release.evidence import LabelledPart, TrainingParts, pixel_hash
from qc.training.checks import check_dataset
from qc.training.checks.findings import sentence
from qc.training.dataset import Dataset, read_image
from qc.training.scan import scan_dataset


def labelled_split(dataset: Dataset, split: str) -> Dataset:
    """The samples of this split; all of them for an empty name. Raises DatasetError when there are none."""
    found = dataset.in_split(split) if split else dataset
    if not found.samples:
        splits = ", ".join(sorted({sample.split for sample in dataset if sample.split})) or "none"
        raise DatasetError(f"{dataset.root}: no labelled part in split {split!r}; its splits: {splits}")
    return found


def labelled_parts(dataset: Dataset, serves: Sequence[str]) -> list[LabelledPart]:
    """Every sample. A data set of one variant that goes by another name (that of its folder) is of the first served variant."""
    alias = len(dataset.variants) == 1 and dataset.variants[0] not in serves
    return [
        LabelledPart(
            partial(read_image, s), s.is_defect, serves[0] if alias or not s.variant else s.variant, s.environment, s.group
        )
        for s in dataset
    ]


def training_share(bundle: Path, dataset: Dataset) -> Dataset:
    """The samples that the bundle was trained on by its ``split.json``: by name, else by pixels (the folder was merged or renamed).

    All of them when the bundle does not say or knows none of these.
    """
    try:
        split = json.loads((bundle / "split.json").read_text("utf-8"))
        named, pixels = set(split["training"]), set(split.get("training_pixels", []))
    except FileNotFoundError:
        return dataset
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{bundle / 'split.json'}: cannot be read ({error}); copy the bundle again") from error
    share = dataset.where(lambda s: dataset.relative(s.image) in named)
    if not share.samples and pixels:
        share = dataset.where(lambda s: pixel_hash(read_image(s)) in pixels)
    return share if share.samples else dataset


def trained_on(datasets: Sequence[Dataset]) -> TrainingParts | None:
    """Pixel hashes and group names; None when no data set is given. Reads every picture."""
    if not datasets:
        return None
    pictures = frozenset(pixel_hash(read_image(sample)) for dataset in datasets for sample in dataset)
    return TrainingParts(pictures, frozenset(sample.group for dataset in datasets for sample in dataset if sample.group))


def data_errors(datasets: Sequence[Dataset]) -> list[str] | None:
    """What the data checks call errors, as sentences; None when no data set is given."""
    return [sentence(error) for dataset in datasets for error in check_dataset(dataset).errors] if datasets else None


def near_copies(training: Sequence[Dataset], data: Dataset, known: TrainingParts | None) -> int | None:
    """Labelled pictures that nearly repeat a training picture under another group's name; None without training data."""
    if not training or known is None:
        return None
    unknown = data.where(lambda s: s.group not in known.groups)
    # One variant for all: the same picture may stand under different names in two sets.
    samples = tuple(replace(s, variant="") for s in (*(s for dataset in training for s in dataset), *unknown))
    first_labelled = len(samples) - len(unknown)
    root = Path(os.path.commonpath([data.root, *(dataset.root for dataset in training)]))
    groups = [g.members for g in scan_dataset(Dataset(root, samples)).copies().groups if not g.exact]
    leaked = [g for g in groups if g[0] < first_labelled]
    return len({i for members in leaked for i in members if i >= first_labelled})
