"""Which input size the data asks for: aspect from the pictures, resolution from the size of the defects."""

from collections.abc import Sequence
from statistics import median

import numpy as np

from qc.domain.model import InputSpec
from qc.inspection.masks import roi_box
from qc.training.features import Roi
from qc.training.samples import Sample, read_image, read_mask

BASE_SIDE = 224
MULTIPLE = 32
FINER_SIDES = (320, 448, 640)
MIN_DEFECT_PIXELS = 16
"""Defects should span two cells of the finest tap (stride 8) at the model's input."""

SHARP_SHARE = 0.75
"""Pictures whose shorter side is less than this share of the model's hold nothing that so fine an input could show."""

LOOK_AT = 40
SQUARE_UP_TO, MAX_ASPECT = 2.1, 4.0


def input_spec(height: int, width: int, side: int = BASE_SIDE) -> InputSpec:
    """side x side, or about as many pixels in the shape of height x width where a square would squash them by more than 2.

    Measured: bottles of 2 : 1 lose .003 AUROC in their own shape (the pretrained filters see fewer pixels across).

    >>> input_spec(800, 400), input_spec(250, 1000)
    (InputSpec(height=224, width=224, interpolation='area'), InputSpec(height=128, width=448, interpolation='area'))
    """
    aspect = height / width
    if 1 / SQUARE_UP_TO <= aspect <= SQUARE_UP_TO:
        return InputSpec(height=side, width=side)
    factor = float(np.clip(aspect, 1 / MAX_ASPECT, MAX_ASPECT)) ** 0.5
    sides = [max(MULTIPLE, round(side * f / MULTIPLE) * MULTIPLE) for f in (factor, 1 / factor)]
    return InputSpec(height=sides[0], width=sides[1])


def typical_size(samples: Sequence[Sample], roi: Roi) -> tuple[int, int]:
    """Median (height, width) in pixels of the region that the model sees, over a spread of the images."""
    sizes = []
    for sample in samples[:: max(1, len(samples) // LOOK_AT)]:
        height, width = read_image(sample).shape[:2]
        x0, y0, x1, y1 = roi_box(roi.roi, height, width)
        sizes.append((y1 - y0, x1 - x0))
    return round(median(h for h, _ in sizes)), round(median(w for _, w in sizes))


def defect_share(samples: Sequence[Sample], roi: Roi) -> float | None:
    """Typical extent of a defect relative to the model's view (square root of the areas' ratio); None without masks.

    The lower quartile over masks of the square root of (area of the largest region / area of the view).
    """
    import cv2

    shares = []
    with_masks = [s for s in samples if s.is_defect and (s.mask or s.boxes)]
    for sample in with_masks[:: max(1, len(with_masks) // LOOK_AT)]:
        mask = read_mask(sample)
        if mask is None:
            continue
        x0, y0, x1, y1 = roi_box(roi.roi, *mask.shape)
        view = mask[y0:y1, x0:x1]
        if view.any():
            _, _, stats, _ = cv2.connectedComponentsWithStats(view.astype(np.uint8))
            shares.append(float(np.sqrt(stats[1:, cv2.CC_STAT_AREA].max() / view.size)))
    return float(np.quantile(shares, 0.25)) if shares else None


def choose_input(samples: Sequence[Sample], side: int, roi: Roi) -> InputSpec:
    """side: wanted by the recipe, or 0: large enough for the defects, as far as masks tell their size."""
    height, width = typical_size(samples, roi)
    if not side:
        share = defect_share(samples, roi)
        sides = [BASE_SIDE, *finer_sides(height, width)]
        side = next((s for s in sides if share is None or share * s >= MIN_DEFECT_PIXELS), sides[-1])
    return input_spec(height, width, side)


def finer_sides(height: int, width: int) -> list[int]:
    """Sides above the base for which pictures of height x width have the pixels.

    >>> finer_sides(400, 480), finer_sides(224, 224)
    ([320, 448], [])
    """
    return [side for side in FINER_SIDES if min(height, width) >= SHARP_SHARE * side]
