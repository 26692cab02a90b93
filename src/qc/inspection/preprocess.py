"""From a camera's frame to the model's input. Training calls the same function, so both see the same pixels.

Colour order stays BGR, values stay uint8: normalisation is inside the graph.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import InspectionError
from qc.domain.frame import Pixels
from qc.domain.model import InputSpec
from qc.domain.recipe import Polygon
from qc.inspection.masks import View, keep_mask, roi_box

NEUTRAL_BGR = (104, 116, 124)
"""Colour of blanked pixels: the ImageNet mean. After the graph's usual normalisation it is zero, the value that
convolutions pad with, so a blanked area looks to the backbone like the outside of the picture."""

INTERPOLATIONS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


def prepare_pixels(
    pixels: Pixels, spec: InputSpec, roi: Polygon | None = None, ignore: tuple[Polygon, ...] = ()
) -> tuple[NDArray[np.uint8], View]:
    """Crop to the ROI's bounding box, blank what does not count, resize.

    pixels: (H, W, 3) uint8 BGR of any size from 1 x 1; never written to. Returns the tensor (1, spec.height,
    spec.width, 3) uint8 BGR, always a fresh array, and the view: the bounding box in whole pixels, relative to the frame.

    Blanking (NEUTRAL_BGR outside the polygon and inside ignored areas) happens before resizing, so that an ignored pixel
    can never bleed into one that counts. The aspect ratio is not kept: choose an input size near that of the ROI.
    Raises InspectionError when pixels are not such an array.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise InspectionError(f"the frame must be (H, W, 3) uint8 BGR, not {pixels.shape} {pixels.dtype}")
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = roi_box(roi, height, width)
    view = (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
    crop = pixels[y0:y1, x0:x1]
    if roi is not None or ignore:
        keep = keep_mask(roi, ignore, view, y1 - y0, x1 - x0)
        if keep is not None:
            crop = _blank(crop, keep)
    if crop.shape[:2] == (spec.height, spec.width):
        return crop[np.newaxis].copy(), view
    size = (spec.width, spec.height)
    resized = cv2.resize(np.ascontiguousarray(crop), size, interpolation=INTERPOLATIONS[spec.interpolation])
    return np.asarray(resized, np.uint8)[np.newaxis], view


def _blank(crop: Pixels, keep: NDArray[np.uint8]) -> Pixels:
    height, width = crop.shape[:2]
    blanked = np.empty((height, width, 3), np.uint8)
    # Whole rows at a time: 40 times faster than broadcasting three bytes.
    blanked.reshape(height, width * 3)[:] = np.tile(np.array(NEUTRAL_BGR, np.uint8), width)
    cv2.copyTo(crop, keep, blanked)
    return blanked
