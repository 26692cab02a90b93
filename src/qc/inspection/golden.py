"""Golden vectors: generated pictures whose scores travel with the model, to prove parity wherever it is loaded.

The pictures are made with integer arithmetic from PCG64's raw stream, which NumPy guarantees to stay the same in every
version and on every machine. They differ in size from the model's input, so that the resize is proven together with the graph.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import Pixels
from qc.domain.model import GoldenVector, InputSpec
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe

IntPicture = NDArray[np.int64]

MAX_SIDE = 1024
"""Generating larger pictures would cost hundreds of megabytes at every load; they are enlarged to the input instead."""


def golden_picture(kind: str, seed: int, spec: InputSpec) -> Pixels:
    """(H, W, 3) uint8 BGR with H = min(spec.height * 3 // 2 + 1, MAX_SIDE) and W likewise.

    kind: a key of KINDS (KeyError otherwise). All of this is part of the bundle format: changing a pixel voids every bundle.
    """
    raw = np.random.PCG64(seed)
    height, width = (min(side * 3 // 2 + 1, MAX_SIDE) for side in (spec.height, spec.width))
    picture = KINDS[kind](_gradient(raw, height, width), raw)
    return np.clip(picture, 0, 255).astype(np.uint8)


def golden_recipe(model_id: str) -> Recipe:
    """The whole frame, nothing ignored: what golden pictures are prepared with."""
    return Recipe(variant="golden", model_id=model_id, review_at=0.5, reject_at=0.5)


def make_golden(inspector: Inspector, seeds: tuple[int, ...] = (1, 2)) -> tuple[GoldenVector, ...]:
    """Score every kind of picture with every seed through prepare and inspect; what the exporter writes into the card."""
    return tuple(measure_golden(inspector, kind, seed) for kind in KINDS for seed in seeds)


def measure_golden(inspector: Inspector, kind: str, seed: int) -> GoldenVector:
    recipe = golden_recipe(inspector.card.model_id)
    inspection = inspector.inspect(inspector.prepare(golden_picture(kind, seed, inspector.card.input), recipe))
    return GoldenVector(
        kind=kind, seed=seed, score=inspection.score, map_mean=float(inspection.defect_map.mean(dtype=np.float64))
    )


def _integers(raw: np.random.PCG64, count: int, below: int) -> IntPicture:
    """Whole numbers in [0, below) as int64; the tiny modulo bias does not matter for a test picture."""
    return np.asarray(raw.random_raw(count) % np.uint64(below)).astype(np.int64)


def _gradient(raw: np.random.PCG64, height: int, width: int) -> IntPicture:
    """A plane between four random corner colours."""
    corners = _integers(raw, 12, 256).reshape(2, 2, 1, 1, 3)
    y = np.arange(height, dtype=np.int64).reshape(-1, 1, 1)
    x = np.arange(width, dtype=np.int64).reshape(1, -1, 1)
    top: IntPicture = corners[0, 0] * (width - x) + corners[0, 1] * x
    bottom: IntPicture = corners[1, 0] * (width - x) + corners[1, 1] * x
    return (top * (height - y) + bottom * y) // (width * height)


def _noisy(picture: IntPicture, raw: np.random.PCG64) -> IntPicture:
    return picture + _integers(raw, picture.size, 65).reshape(picture.shape) - 32


def _blobs(picture: IntPicture, raw: np.random.PCG64) -> IntPicture:
    """Six discs of random place, size and colour: edges and closed shapes, as defects have."""
    height, width = picture.shape[:2]
    y = np.arange(height, dtype=np.int64).reshape(-1, 1)
    x = np.arange(width, dtype=np.int64).reshape(1, -1)
    picture = picture.copy()
    for _ in range(6):
        at_y, at_x, size, blue, green, red = (int(value) for value in _integers(raw, 6, 1 << 16))
        radius = 2 + size * min(height, width) // (1 << 16) // 6
        inside = (y - at_y * height // (1 << 16)) ** 2 + (x - at_x * width // (1 << 16)) ** 2 <= radius**2
        picture[inside] = (blue % 256, green % 256, red % 256)
    return _noisy(picture, raw)


def _stripes(picture: IntPicture, raw: np.random.PCG64) -> IntPicture:
    """A periodic pattern of random period: the answer changes if a resize starts to alias."""
    period = 3 + int(_integers(raw, 1, 9)[0])
    columns = np.arange(picture.shape[1], dtype=np.int64)
    return picture + np.where(columns % period < (period + 1) // 2, 48, -48).reshape(1, -1, 1)


KINDS: dict[str, Callable[[IntPicture, np.random.PCG64], IntPicture]] = {
    "gradient": lambda picture, _: picture,
    "noise": _noisy,
    "blobs": _blobs,
    "stripes": _stripes,
}
"""Golden pictures by name; each is drawn over its own random gradient."""
