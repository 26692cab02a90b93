"""The defect map for people: a small picture for the archive and an overlay for the console."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import BadImage
from qc.domain.frame import Pixels
from qc.domain.inspection import Region
from qc.inspection.masks import View

MAX_ENCODED_SIDE = 128
"""Archived maps are reduced to this: finer detail than the map's own meaning is not needed, and it keeps a PNG near 5 kB."""

STRONGEST_BLEND = 0.65
"""Opacity where the map is 1: the defect stays visible under its own colour."""

BOX_BGR = (255, 255, 255)
BOX_EDGE_BGR = (0, 0, 0)
"""White on black stands out on any part and on every colour of the map."""


def encode_map(defect_map: NDArray[np.float32]) -> bytes:
    """(h, w) float32 in [0, 1] -> 8-bit grey PNG, 255 = 1, long side at most MAX_ENCODED_SIDE.

    When it must shrink, it keeps the highest value of each area: a small defect must not fade away.
    """
    grey = np.round(np.clip(defect_map, 0.0, 1.0) * 255).astype(np.uint8)
    step = -(-max(grey.shape) // MAX_ENCODED_SIDE)
    if step > 1:
        height, width = grey.shape
        padded = np.pad(grey, ((0, -height % step), (0, -width % step)))
        grey = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).max(axis=(1, 3))
    return cv2.imencode(".png", grey)[1].tobytes()


def decode_map(png: bytes) -> NDArray[np.float32]:
    """The inverse of encode_map, to 1/255. Raises BadImage."""
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE) if png else None
    if grey is None:
        raise BadImage("the archived heat map is not a PNG")
    return grey.astype(np.float32) / np.float32(255)


def render_overlay(pixels: Pixels, defect_map: NDArray[np.float32], view: View, regions: Iterable[Region] = ()) -> Pixels:
    """A copy of the frame (H, W, 3) uint8 BGR with the map laid over its view and boxes around the regions.

    The colours are cividis, which reads the same with and without colour vision deficiency (Nuñez, Anderton and Renslow 2018);
    opacity grows with the map, so that unsuspicious areas show the part itself.
    """
    picture = pixels.copy()
    frame_height, frame_width = pixels.shape[:2]
    x0, y0 = round(view[0] * frame_width), round(view[1] * frame_height)
    width, height = max(1, round(view[2] * frame_width)), max(1, round(view[3] * frame_height))
    area = picture[y0 : y0 + height, x0 : x0 + width]
    if area.size:
        strength = cv2.resize(np.clip(defect_map, 0.0, 1.0), (area.shape[1], area.shape[0]), interpolation=cv2.INTER_LINEAR)
        colours = cv2.applyColorMap(np.round(strength * 255).astype(np.uint8), cv2.COLORMAP_CIVIDIS)
        opacity = (strength * STRONGEST_BLEND)[..., np.newaxis]
        area[:] = np.round(area * (1 - opacity) + colours * opacity).astype(np.uint8)
    thickness = max(1, min(frame_height, frame_width) // 200)
    for region in regions:
        corner = (round(region.x * frame_width), round(region.y * frame_height))
        opposite = (
            round((region.x + region.width) * frame_width) - 1,
            round((region.y + region.height) * frame_height) - 1,
        )
        cv2.rectangle(picture, corner, opposite, BOX_EDGE_BGR, thickness + 2)
        cv2.rectangle(picture, corner, opposite, BOX_BGR, thickness)
    return picture
