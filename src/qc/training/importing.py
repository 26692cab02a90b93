"""Bring pictures into a clean manifest data set: without EXIF, upright, boxes as masks; and merge two sets into one."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from qc.domain.errors import BadImage, DatasetError
from qc.domain.frame import Pixels
from qc.ingest import decode
from qc.training.duplicates import CopyGroup
from qc.training.manifest import MANIFEST_NAME, write_manifest
from qc.training.samples import Dataset, Sample, read_mask
from qc.training.scan import Progress, scan_dataset

RESAVED_DISTANCE: Final = 0.002
"""1 - r below which two pictures are one capture, saved twice; up to ten times more it may be the part taken again."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The new data set. left_out: (file, reason) of each unusable picture; copies: (file, what it repeats)."""

    dataset: Dataset
    left_out: tuple[tuple[Path, str], ...] = ()
    copies: tuple[tuple[Path, str], ...] = ()


def import_dataset(dataset: Dataset, out: Path, *, progress: Progress | None = None) -> Imported:
    """Copy every picture to ``out`` (images/, masks/, manifest.csv). Raises DatasetError; then nothing is left behind.

    A JPEG that is already upright keeps its compressed data and loses only its metadata; every other picture becomes a PNG
    of the pixels that the line would see. Unreadable pictures are left out and listed. out must be new or empty.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out}: is there already; name a new folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    kept, left_out = [], []
    taken: set[str] = set()
    try:
        partial.mkdir(parents=True)
        for done, sample in enumerate(dataset, 1):
            try:
                kept.append(_copy(sample, partial, taken))
            except (BadImage, DatasetError) as error:
                left_out.append((sample.image, str(error)))
            if progress:
                progress(done, len(dataset))
        write_manifest(Dataset(partial, tuple(kept)), partial / MANIFEST_NAME)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written ({error.strerror or error}); nothing was imported") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Imported(Dataset(out, tuple(_moved(kept, partial, out))), tuple(left_out))


def merge_datasets(base: Dataset, extra: Dataset, out: Path, *, progress: Progress | None = None) -> Imported:
    """Both sets as one new set; pictures of ``extra`` that ``base`` has already (to the pixel, or saved again) are left out.

    Groups keep their names: one name in both sets is one part. Raises DatasetError when a picture carries different labels.
    """
    root = Path(os.path.commonpath([base.root, extra.root]))
    both = Dataset(root, (*base.samples, *extra.samples))
    scan = scan_dataset(both, progress=progress)
    dropped: dict[int, str] = {}
    for group in scan.copies().groups:
        if group.exact or group.distance <= RESAVED_DISTANCE:
            first, *copies = group.members
            _same_label(both, group)
            # Twins inside the base set stay as they are: the checks name them, and its split may rest on them.
            dropped.update({i: str(both.samples[first].image) for i in copies if i >= len(base)})
    keep = tuple(sample for i, sample in enumerate(both) if i not in dropped)
    imported = import_dataset(replace(both, samples=keep), out, progress=progress)
    return replace(imported, copies=tuple((both.samples[i].image, first) for i, first in sorted(dropped.items())))


def _same_label(both: Dataset, group: CopyGroup) -> None:
    samples = [both.samples[i] for i in group.members]
    if group.exact and len({s.label for s in samples}) > 1:
        told = ", ".join(f"{both.relative(s.image)} ({s.defect or s.label})" for s in samples)
        raise DatasetError(f"the same picture carries different labels: {told}; decide which is right before merging")


def _moved(samples: list[Sample], old: Path, new: Path) -> Iterator[Sample]:
    for s in samples:
        mask = new / s.mask.relative_to(old) if s.mask else None
        yield replace(s, image=new / s.image.relative_to(old), mask=mask)


def _copy(sample: Sample, out: Path, taken: set[str]) -> Sample:
    pixels = decode.read_image(sample.image)
    folder = Path(_safe(sample.variant) or "all") / _safe(sample.defect or sample.label)
    data = _without_metadata(sample.image, pixels)
    suffix = ".png" if data is None else ".jpg"
    name = _free_name(folder, sample.image.stem, taken)
    image = out / "images" / folder / f"{name}{suffix}"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(_png(pixels) if data is None else data)
    mask = read_mask(sample)
    if mask is None:
        return replace(sample, image=image, mask=None, boxes=())
    if mask.shape != pixels.shape[:2]:
        raise DatasetError(f"{sample.mask}: {mask.shape[1]} x {mask.shape[0]} pixels do not fit {sample.image.name}")
    mask_file = out / "masks" / folder / f"{name}.png"
    mask_file.parent.mkdir(parents=True, exist_ok=True)
    mask_file.write_bytes(_png(mask.astype(np.uint8) * 255))
    return replace(sample, image=image, mask=mask_file, boxes=())


def _png(pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".png", pixels)
    if not done:
        raise DatasetError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} pixels cannot be stored as PNG")
    return data.tobytes()


def _without_metadata(path: Path, pixels: Pixels) -> bytes | None:
    """The JPEG without its metadata, or None when that would change what is seen."""
    stripped = strip_jpeg_metadata(path.read_bytes())
    if stripped is None:
        return None
    try:
        same = np.array_equal(decode.decode(stripped, name=path.name), pixels)
    except BadImage:
        return None
    return stripped if same else None


def strip_jpeg_metadata(data: bytes) -> bytes | None:
    """Drop comments and all application segments but JFIF (APP0) and Adobe (APP14, it says how colours are coded).

    None when data is not a well-formed JPEG (ITU-T T.81, annex B: marker, two bytes of length, content).
    """
    if data[:2] != b"\xff\xd8":
        return None
    kept = [data[:2]]
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:  # start of scan: the compressed picture follows
            return b"".join([*kept, data[at:]])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept.append(data[at:end])
        at = end
    return None


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text).strip(".")


def _free_name(folder: Path, stem: str, taken: set[str]) -> str:
    name, number = _safe(stem) or "picture", 1
    while f"{folder}/{name}".lower() in taken:
        number += 1
        name = f"{_safe(stem)}-{number}"
    taken.add(f"{folder}/{name}".lower())
    return name
