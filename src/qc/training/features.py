"""Feature maps of a data set, computed once, kept in files and shared by every branch and every fold."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from qc.domain.errors import TrainingError
from qc.domain.model import InputSpec
from qc.domain.recipe import Polygon
from qc.inspection.preprocess import prepare_pixels
from qc.training import distributed
from qc.training.backbone import Backbone
from qc.training.feature_cache import Arrays, FeatureCache
from qc.training.samples import Sample, read_image

Progress: TypeAlias = Callable[[str, int, int], None]
"""(stage, done, total), told now and then."""

BATCH = 16


class Taps(NamedTuple):
    """low, middle, high: (N, C, h, w) at strides 8, 16, 32. pooled: (N, P) mean, max and deviation of each tap in turn.

    A graph that skips the last stage has high None, and pooled then ends after the middle tap.
    """

    low: Tensor
    middle: Tensor
    high: Tensor | None
    pooled: Tensor


class Roi(NamedTuple):
    """What of the frame the model sees: as in a recipe. The default is all of it."""

    roi: Polygon | None = None
    ignore: tuple[Polygon, ...] = ()


class FeatureStore:
    """The taps of n images as float16 maps on disk (low, middle, high) and float32 pooled vectors in memory."""

    def __init__(self, maps: Sequence[NDArray[np.float16]], pooled: NDArray[np.float32]) -> None:
        self.maps = tuple(maps)
        self.pooled = pooled

    def __len__(self) -> int:
        return len(self.pooled)

    def taps(self, index: NDArray[np.int64]) -> Taps:
        """Tensors on the device that trains."""
        place = distributed.device()
        low, middle, high = (torch.from_numpy(np.asarray(m[index], np.float32)).to(place) for m in self.maps)
        return Taps(low, middle, high, torch.from_numpy(self.pooled[index]).to(place))

    def batches(self, index: NDArray[np.int64], size: int = BATCH) -> Iterator[Taps]:
        for start in range(0, len(index), size):
            yield self.taps(index[start : start + size])


def pool(taps: Iterable[Tensor]) -> Tensor:
    """Mean, maximum and standard deviation over the area of each tap, concatenated: (N, 3 * sum of channels)."""
    parts = []
    for tap in taps:
        mean = tap.mean((2, 3))
        variance = (tap - mean[:, :, None, None]).square().mean((2, 3))
        parts += [mean, tap.amax((2, 3)), (variance + 1e-8).sqrt()]
    return torch.cat(parts, 1)


def load_tensor(sample: Sample, spec: InputSpec, roi: Roi) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 BGR: read and prepared exactly as on the line."""
    tensor, _ = prepare_pixels(read_image(sample), spec, roi.roi, roi.ignore)
    return np.asarray(tensor[0])


def extract_features(
    backbone: Backbone,
    count: int,
    load: Callable[[int], NDArray[np.uint8]],
    *,
    folder: Path,
    progress: Progress,
    name: str = "features",
    cache: FeatureCache | None = None,
) -> FeatureStore:
    """Run the frozen backbone over ``load(0..count-1)``. Finished files in ``folder`` are used again: training resumes.

    cache: what other trainings have computed already.
    """
    done = folder / f"{name}.done"
    paths = [folder / f"{name}-{tap}.npy" for tap in ("low", "middle", "high", "pooled")]
    try:
        if not done.exists() and distributed.rank() == 0:
            _extract(backbone, count, load, paths, told=lambda now: progress(name, now, count), cache=cache)
            done.touch()
        distributed.barrier()
        maps = [np.load(path, mmap_mode="r") for path in paths[:3]]
        return FeatureStore(maps, np.load(paths[3]))
    except OSError as error:
        raise TrainingError(f"the feature files in {folder} cannot be written or read: {error}") from error


def _require_space(folder: Path, needed_bytes: int) -> None:
    """Writing to a mapped file on a full disk would kill the process without a word, so the room is counted before."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < 1.2 * needed_bytes:
        raise TrainingError(
            f"{folder}: {free_bytes / 1e9:.1f} GB are free, the feature maps need {1.2 * needed_bytes / 1e9:.1f} GB: "
            "make room, or put the bundle on another disk"
        )


def _extract(
    backbone: Backbone,
    count: int,
    load: Callable[[int], NDArray[np.uint8]],
    paths: list[Path],
    *,
    told: Callable[[int], None],
    cache: FeatureCache | None,
) -> None:
    files: list[NDArray[np.generic]] = []
    with ThreadPoolExecutor(2) as readers, torch.inference_mode():
        for start in range(0, count, BATCH):
            index = range(start, min(start + BATCH, count))
            rows = _compute(backbone, list(readers.map(load, index)), cache)
            if not files:
                _require_space(paths[0].parent, count * sum(array.nbytes for array in rows[0]))
                files = [
                    open_memmap(path, mode="w+", dtype=array.dtype, shape=(count, *array.shape))
                    for path, array in zip(paths, rows[0], strict=True)
                ]
            for offset, row in enumerate(rows):
                for file, array in zip(files, row, strict=True):
                    file[start + offset] = array
            told(start + len(index))
    for file in files:
        if isinstance(file, np.memmap):
            file.flush()


def _compute(backbone: Backbone, pictures: list[NDArray[np.uint8]], cache: FeatureCache | None) -> list[Arrays]:
    """For each picture: three float16 maps and the float32 pooled vector."""
    known = [cache.get(pixels) if cache else None for pixels in pictures]
    missing = [pixels for pixels, row in zip(pictures, known, strict=True) if row is None]
    if not missing:
        return [row for row in known if row is not None]
    place = distributed.device()
    taps = backbone.to(place)(torch.from_numpy(np.stack(missing)).to(place))
    outputs = [*(tap.half().cpu().numpy() for tap in taps), pool(taps).cpu().numpy()]
    fresh = iter([[output[i] for output in outputs] for i in range(len(missing))])
    rows = [next(fresh) if row is None else row for row in known]
    if cache:
        for pixels, before, row in zip(pictures, known, rows, strict=True):
            if before is None:
                cache.put(pixels, row)
    return rows
