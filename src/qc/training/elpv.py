"""The public solar cells of the PyPI package elpv-dataset as a data set of ours.

Electroluminescence pictures with a defect probability by experts (Deitsch et al., Solar Energy 2019 and arXiv 1807.02894;
CC BY-NC-SA 4.0). A cell is a defect when the probability is above one half, as in the published comparisons.
"""

import os
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import DatasetError
from qc.training.dataset import Dataset, Label, Sample, write_manifest


def write_elpv(out: Path, *, variant: str = "both", seed: int = 0, test_share: float = 0.25, clear_only: bool = False) -> Dataset:
    """Write ``out/manifest.csv`` and links to the pictures; split by a seeded draw within kind x probability.

    variant: mono, poly or both. clear_only: without the cells of probability 1/3 and 2/3. Raises DatasetError.
    """
    try:
        source = Path(str(files("elpv_dataset"))) / "data"
    except ModuleNotFoundError as error:
        raise DatasetError("the package elpv-dataset is not installed: pip install 'qc-edge[demo]'") from error
    names, probabilities, kinds = [], [], []
    for line in (source / "labels.csv").read_text(encoding="ascii").splitlines():
        name, probability, kind = line.split()
        if variant in {"both", kind} and (not clear_only or float(probability) in {0.0, 1.0}):
            names.append(name)
            probabilities.append(float(probability))
            kinds.append(kind)
    splits = _split(np.array([f"{k}{p:.2f}" for k, p in zip(kinds, probabilities, strict=True)]), seed, test_share)
    (out / "images").mkdir(parents=True, exist_ok=True)
    samples = []
    for name, chance, kind, split in zip(names, probabilities, kinds, splits, strict=True):
        link = out / name
        if not link.exists():
            os.symlink(source / name, link)
        label: Label = "defect" if chance > 0.5 else "good"
        defect = "defective cell" if chance > 0.5 else ""
        samples.append(Sample(image=link, label=label, defect=defect, variant=f"solar-{kind}", group=link.stem, split=split))
    dataset = Dataset(out, tuple(samples))
    write_manifest(dataset, out / "manifest.csv")
    return dataset


def _split(strata: NDArray[np.str_], seed: int, test_share: float) -> list[str]:
    generator = np.random.default_rng(seed)
    splits = np.full(len(strata), "train", dtype=object)
    for stratum in np.unique(strata):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        splits[members[: round(test_share * len(members))]] = "test"
    return [str(s) for s in splits]
