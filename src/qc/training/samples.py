"""One row of a data set, the whole of it, and how its pictures and masks are read."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import BadImage, DatasetError
from qc.domain.frame import Pixels
from qc.ingest import decode
from qc.training.boxes import Box, boxes_to_mask, format_boxes

Label: TypeAlias = Literal["good", "defect"]
SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = decode.SUFFIXES | {".webp", ".pgm", ".ppm", ".gif"}
"""What folders are searched for: also kinds that the line cannot decode, so that they are reported and not skipped."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    image, mask: absolute paths. defect: type of the defect, empty for good. group: physical part or capture run, whose
    pictures must stay on one side of a split; empty when unknown. split: train, val, test or empty. boxes: defects in
    pixels, used where there is no mask. purpose: why a production part was labelled (``estimate``: it also judges the
    running model), empty for other pictures.
    """

    image: Path
    label: Label
    defect: str = ""
    mask: Path | None = None
    variant: str = ""
    environment: str = ""
    group: str = ""
    split: str = ""
    boxes: tuple[Box, ...] = ()
    purpose: str = ""

    @property
    def is_defect(self) -> bool:
        return self.label == "defect"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples below one root folder, in a stable order."""

    root: Path
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(sorted({s.variant for s in self.samples}))

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) int64: 1 for defect, 0 for good."""
        return np.array([int(s.is_defect) for s in self.samples], dtype=np.int64)

    def where(self, keep: Callable[[Sample], bool]) -> "Dataset":
        return replace(self, samples=tuple(s for s in self.samples if keep(s)))

    def in_split(self, name: str) -> "Dataset":
        return self.where(lambda s: s.split == name)

    def relative(self, path: Path) -> str:
        """The path as it stands in a manifest: relative to the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def content_hash(self) -> str:
        """SHA-256 (hex) over every row and the bytes of every picture and mask, in the order of the picture's path.

        Two data sets with the same hash train the same model; reads every file once.
        """
        digest = hashlib.sha256()
        for sample in sorted(self.samples, key=lambda s: s.image):
            row = (self.relative(sample.image), sample.label, sample.defect, sample.variant, sample.environment)
            digest.update("\0".join((*row, sample.group, sample.split, format_boxes(sample.boxes))).encode())
            for path in mask_files(sample) if sample.mask else ():
                digest.update(_file_hash(path))
            digest.update(_file_hash(sample.image))
        return digest.hexdigest()


def read_image(sample: Sample) -> Pixels:
    """The picture as the line would see it: (H, W, 3) uint8, BGR, upright. Raises DatasetError naming the file."""
    try:
        return decode.read_image(sample.image)
    except BadImage as error:
        raise DatasetError(f"{sample.image.parent}/{error}; remove it or save it again") from error


def read_mask(sample: Sample) -> NDArray[np.bool_] | None:
    """(H, W) bool, True on the defect; None when neither a mask nor boxes are recorded. Raises DatasetError.

    Lossless masks: every value above 0 is defect. JPEG masks: above 127, because compression smears the edges. A folder
    of masks (one per defect, as in MVTec LOCO) is joined.
    """
    if sample.mask is None:
        return boxes_to_mask(sample.boxes, *read_image(sample).shape[:2]) if sample.boxes else None
    masks = [_read_mask_file(path) for path in mask_files(sample)]
    if not masks or any(mask.shape != masks[0].shape for mask in masks):
        raise DatasetError(f"{sample.mask}: this folder must hold at least one mask, all of the same size")
    return np.asarray(np.logical_or.reduce(masks), dtype=np.bool_)


def mask_files(sample: Sample) -> list[Path]:
    """The mask file, or the files of a mask folder, sorted."""
    if sample.mask is None:
        return []
    return sorted(_images_in(sample.mask.iterdir())) if sample.mask.is_dir() else [sample.mask]


def _read_mask_file(path: Path) -> NDArray[np.bool_]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise DatasetError(f"{path}: the mask cannot be decoded; save it as an 8-bit grey PNG (255 = defect)")
    return np.asarray(grey > (127 if path.suffix.lower() in {".jpg", ".jpeg"} else 0))


def _images_in(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]


def _file_hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
