"""One pass over the pictures of a data set: every file is decoded once, and only small facts about it are kept.

About 2 kB stay in memory for each picture (thumbnail, features, facts), whatever its size; as many pictures are decoded at
a time as there are threads.
"""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qc.domain.errors import BadImage, DatasetError
from qc.domain.frame import CameraFault, Pixels
from qc.ingest import decode
from qc.training.duplicates import THUMB, Copies, find_copies, thumbnail
from qc.training.picture_features import FEATURES, picture_features
from qc.training.samples import Dataset, Sample, read_mask

Progress: TypeAlias = Callable[[int, int], None]
"""Told (pictures done, pictures in all)."""

FOCUS_SIDE: Final = 512
_ORIENTATION: Final = 0x0112
_GPS: Final = 0x8825


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of one picture.

    problem: empty, or why it cannot be used; fault says which kind. width, height: pixels, upright. mode: as stored (L, RGB, RGBA,
    I;16, P ...). orientation: EXIF, 1 = upright. brightness, contrast: mean and standard deviation of grey in [0, 255].
    dark, bright: share of pixels <= 4 and >= 251. focus: variance of the Laplacian at a longest side of 512 pixels.
    mask_problem: empty, or what is wrong with the mask. mask_share: share of the picture that the mask covers.
    """

    problem: str = ""
    fault: CameraFault | None = None
    width: int = 0
    height: int = 0
    mode: str = ""
    kind: str = ""
    orientation: int = 1
    has_position: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    dark: float = 0.0
    bright: float = 0.0
    focus: float = 0.0
    pixel_hash: bytes = b""
    mask_problem: str = ""
    mask_share: float | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """Facts (n), thumbs (n, 32, 32) uint8 and features (n, FEATURES) float16, all in the order of the data set."""

    dataset: Dataset
    facts: tuple[Facts, ...]
    thumbs: NDArray[np.uint8] = field(repr=False)
    features: NDArray[np.float16] = field(repr=False)

    def copies(self) -> Copies:
        return find_copies(self.thumbs, [f.pixel_hash for f in self.facts], [s.variant for s in self.dataset])

    @property
    def readable(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return np.array([not f.problem for f in self.facts], dtype=np.bool_)


def scan_dataset(dataset: Dataset, *, workers: int | None = None, progress: Progress | None = None) -> Scan:
    """Decode and measure every picture; unreadable ones are facts, not errors."""
    total = len(dataset)
    thumbs = np.zeros((total, THUMB, THUMB), dtype=np.uint8)
    features = np.zeros((total, FEATURES), dtype=np.float16)
    facts: list[Facts] = []
    for index, (fact, pixels_left) in enumerate(_in_order(dataset, workers or os.cpu_count() or 1)):
        facts.append(fact)
        if pixels_left is not None:
            thumbs[index], features[index] = pixels_left
        if progress:
            progress(index + 1, total)
    return Scan(dataset, tuple(facts), thumbs, features)


_Small: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float16]]


def _in_order(dataset: Dataset, workers: int) -> Iterator[tuple[Facts, _Small | None]]:
    """Results in the order of the data set, with a bounded number under way."""
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[tuple[Facts, _Small | None]]] = deque()
        for sample in dataset:
            under_way.append(pool.submit(examine, sample))
            if len(under_way) > 4 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def examine(sample: Sample) -> tuple[Facts, _Small | None]:
    """Facts, thumbnail and features of one picture; None instead of the latter when it cannot be decoded."""
    name = sample.image.name
    try:
        data = sample.image.read_bytes()
        pixels = decode.decode(data, name=name)
    except FileNotFoundError:
        return Facts(problem="the file is missing"), None
    except OSError as error:
        return Facts(problem=f"cannot be read: {error.strerror}"), None
    except BadImage as error:
        return Facts(problem=str(error).removeprefix(f"{name}: "), fault=error.fault), None
    except MemoryError:
        return Facts(problem="too large for the memory of this machine", fault=CameraFault.UNREADABLE), None
    return _facts(sample, data, pixels), (thumbnail(pixels), picture_features(pixels))


def _facts(sample: Sample, data: bytes, pixels: Pixels) -> Facts:
    height, width = pixels.shape[:2]
    header = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "BMP", "TIFF"))
    exif = header.getexif()
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    levels = np.bincount(grey.ravel(), minlength=256) / grey.size
    mean, deviation = cv2.meanStdDev(grey)
    mask_problem, mask_share = _mask_facts(sample, height, width)
    return Facts(
        width=width,
        height=height,
        mode=header.mode,
        kind=header.format or "",
        orientation=int(exif.get(_ORIENTATION, 1) or 1),
        has_position=_GPS in exif,
        brightness=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        dark=float(levels[:5].sum()),
        bright=float(levels[251:].sum()),
        focus=_focus(np.asarray(grey, dtype=np.uint8)),
        pixel_hash=hashlib.blake2b(pixels.tobytes(), digest_size=16, salt=f"{width}x{height}".encode()).digest(),
        mask_problem=mask_problem,
        mask_share=mask_share,
    )


def _focus(grey: NDArray[np.uint8]) -> float:
    scale = FOCUS_SIDE / max(grey.shape)
    if scale < 1.0:
        grey = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    return float(deviation[0, 0]) ** 2


def _mask_facts(sample: Sample, height: int, width: int) -> tuple[str, float | None]:
    """(problem, share of the picture covered); the share is None without a usable mask."""
    for box in sample.boxes:
        if box.x < 0 or box.y < 0 or box.x + box.width > width or box.y + box.height > height:
            return f"box {box.x} {box.y} {box.width} {box.height} leaves the picture ({width} x {height} pixels)", None
    if sample.mask is None:
        return "", None
    try:
        mask = read_mask(sample)
    except (DatasetError, OSError):
        return "the mask cannot be decoded" if sample.mask.exists() else "the mask file is missing", None
    if mask is None or mask.shape != (height, width):
        size = f"{mask.shape[1]} x {mask.shape[0]}" if mask is not None else "no"
        return f"the mask has {size} pixels, the picture {width} x {height}", None
    return "", float(mask.mean())
