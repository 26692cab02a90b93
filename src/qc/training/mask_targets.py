"""Masks on the grid of the feature maps: what the map head learns from."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.inspection.masks import roi_box
from qc.training.features import Roi
from qc.training.samples import Sample, read_mask

GAIN = 3.0
"""A cell of which a third is defect is a full target: thin cracks cover little of any cell."""


def mask_targets(
    samples: Sequence[Sample], grid: tuple[int, int], roi: Roi
) -> tuple[NDArray[np.float16], NDArray[np.bool_]] | tuple[None, None]:
    """((n, h, w) targets in [0, 1], (n,) known), or (None, None) when no defect has a mask or boxes."""
    if not any(s.is_defect and (s.mask or s.boxes) for s in samples):
        return None, None
    targets = np.zeros((len(samples), *grid), np.float16)
    known = np.array([not s.is_defect for s in samples])
    for number, sample in enumerate(samples):
        mask = read_mask(sample) if sample.is_defect else None
        if mask is None or not mask.any():
            continue
        targets[number] = np.minimum(GAIN * on_grid(mask, grid, roi), 1.0)
        known[number] = True
    return targets, known


def on_grid(mask: NDArray[np.bool_], grid: tuple[int, int], roi: Roi) -> NDArray[np.float32]:
    """(h, w): share of each cell of the model's view that the mask covers."""
    x0, y0, x1, y1 = roi_box(roi.roi, *mask.shape)
    crop = mask[y0:y1, x0:x1].astype(np.float32)
    return np.asarray(cv2.resize(crop, (grid[1], grid[0]), interpolation=cv2.INTER_AREA), np.float32)
