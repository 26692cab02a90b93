"""Vectors of pictures for the label and coverage checks: deep ones where the train extra is installed, else classical."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import DatasetError
from qc.domain.frame import Pixels
from qc.training.samples import Sample, read_image

Embed: TypeAlias = Callable[[Sequence[Pixels]], NDArray[np.float32]]
"""Pictures, (H, W, 3) uint8 BGR of any size, to (n, d) float32."""

BATCH: Final = 16
SIDE: Final = 224


def default_embedding() -> Embed | None:
    """Pooled EfficientNet-Lite0 features at 224 pixels; None when the train extra is not installed."""
    try:
        import cv2
        import torch

        from qc.training.backbone import load_backbone
        from qc.training.features import pool
    except ImportError:
        return None
    backbone = load_backbone()

    def embed(pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        batch = np.stack([cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures])
        with torch.inference_mode():
            return np.asarray(pool(backbone(torch.from_numpy(batch))).numpy(), dtype=np.float32)

    return embed


def embed_samples(samples: Sequence[Sample], embed: Embed) -> NDArray[np.float32]:
    """(n, d) float32; decodes BATCH pictures at a time. Unreadable pictures raise DatasetError: leave them out first."""
    if not samples:
        raise DatasetError("there is no readable picture to embed")
    return np.concatenate([embed(pictures) for pictures in _batches(samples)])


def _batches(samples: Sequence[Sample]) -> Iterator[list[Pixels]]:
    for start in range(0, len(samples), BATCH):
        yield [read_image(sample) for sample in samples[start : start + BATCH]]
