"""Real pictures for a story, dealt by group into pools that never meet, and the small differences between two captures of one part.

Pools: ``train`` (commissioning), ``before`` and ``before-2`` (production until the new model, or the second new one, is trained), ``gate``
(parts kept for the gate) and ``after`` (production that a new model decides). The many parts of a plant are captures of a few hundred
pictures: each capture is moved by up to two pixels and is up to 2 % brighter or darker.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from qc.domain.errors import ConfigError
from qc.domain.frame import Pixels
from qc.training.dataset import Dataset, Sample, read_dataset, read_image
from qc.training.elpv import write_elpv
from qc.training.scan import scan_dataset
from qc.training.splits import part_groups

POOLS = ("train", "before", "before-2", "gate", "after")
SHIFT_PX = 2
GAIN = 0.02
Pools = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Capture:
    """One picture as a camera sees it at one time. take: which of its small differences, from 0."""

    sample: Sample
    take: int

    @property
    def defective(self) -> bool:
        return self.sample.is_defect

    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 BGR. Take 0 is the picture itself."""
        picture = _read(self.sample)
        if self.take == 0:
            return picture
        rng = np.random.default_rng([self.take, zlib.crc32(self.sample.image.name.encode())])
        dx, dy = (int(v) for v in rng.integers(-SHIFT_PX, SHIFT_PX + 1, 2))
        height, width = picture.shape[:2]
        pad = SHIFT_PX
        wide = cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        moved = wide[pad + dy : pad + dy + height, pad + dx : pad + dx + width]
        return np.asarray(cv2.convertScaleAbs(moved, alpha=1 + float(rng.uniform(-GAIN, GAIN))), np.uint8)


@lru_cache(maxsize=512)
def _read(sample: Sample) -> Pixels:
    return read_image(sample)


def read_pictures(name: str, data: Path, work: Path) -> Dataset:
    """The data set ``data/name``, or the solar cells of the PyPI package elpv-dataset. Raises ConfigError, DatasetError."""
    if name == "elpv":
        return write_elpv(work / "elpv")
    folder = data / name
    if not folder.is_dir():
        raise ConfigError(f"{folder}: this scenario needs this data set; --data names the folder that holds it")
    return read_dataset(folder)


def deal(dataset: Dataset, shares: Mapping[str, Mapping[str, float]], known: Sequence[str], seed: int) -> dict[str, list[Sample]]:
    """Pool -> pictures. Groups are dealt as a whole, stratified by product (variant and light) and label.

    shares: "known", "new" or a product by name -> pool -> share of its groups. known: products that the first model is trained on. Where
    groups hold several products (one tile in six lights), the shares of "known" hold for all of them.
    """
    rng = np.random.default_rng([seed, 5])
    groups: dict[str, list[Sample]] = {}
    for name, sample in zip(_group_names(dataset), dataset, strict=True):
        groups.setdefault(name, []).append(sample)
    strata: dict[tuple[object, ...], list[str]] = {}
    for name, samples in groups.items():
        variants = {s.variant for s in samples}
        products = sorted({product_of(s) for s in samples})
        kind = "known" if len(products) > 1 or products[0] in known else products[0] if products[0] in shares else "new"
        strata.setdefault((kind, *sorted(variants), tuple(sorted({s.label for s in samples}))), []).append(name)
    pools: dict[str, list[Sample]] = {pool: [] for pool in POOLS}
    for (kind, *_), names in sorted(strata.items(), key=str):
        order = [names[int(i)] for i in rng.permutation(len(names))]
        part = np.array([shares[str(kind)].get(pool, 0.0) for pool in POOLS])
        edges = np.round(np.cumsum(part) * len(order)).astype(int)
        for pool, start, end in zip(POOLS, (0, *edges[:-1]), edges, strict=True):
            pools[pool] += [sample for name in order[start:end] for sample in groups[name]]
    return pools


def _group_names(dataset: Dataset) -> list[str]:
    """The named groups; a set that names none has its near copies found, so that none of them stand on two sides."""
    if any(sample.group for sample in dataset):
        return [sample.group or sample.image.stem for sample in dataset]
    return [str(i) for i in part_groups(dataset, scan_dataset(dataset).copies()).ids]


def product_of(sample: Sample) -> str:
    """What a plant would call a product or a light of its own: the environment where the set names one, else the variant."""
    return sample.environment or sample.variant


class Deck:
    """Captures of some pictures in random order: every picture once with its first take, then with its next, ... then from the start."""

    def __init__(self, samples: Sequence[Sample], takes: int, rng: np.random.Generator) -> None:
        if not samples:
            raise ConfigError("a pool holds no picture of a product and label that the story needs; change the shares")
        self._captures = self._deal(samples, takes, rng)

    def next(self) -> Capture:
        return next(self._captures)

    @staticmethod
    def _deal(samples: Sequence[Sample], takes: int, rng: np.random.Generator) -> Iterator[Capture]:
        while True:
            for take in range(takes):
                for index in rng.permutation(len(samples)):
                    yield Capture(samples[int(index)], take)
