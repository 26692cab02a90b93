"""Which cells of a grid over the part count: inside the region of interest and outside every ignored area."""

import math
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.recipe import Polygon

View: TypeAlias = tuple[float, float, float, float]
"""(x, y, width, height) relative to the frame, in [0, 1], origin top left."""

_FIXED_POINT_BITS = 8
"""cv2 takes corners as integers with this many fractional bits: 1/256 of a cell."""

_FIXED_POINT_LIMIT = 2**22
"""Corners far outside the grid are clipped (in cells) before they overflow cv2's 32-bit fixed point."""


def roi_box(roi: Polygon | None, height: int, width: int) -> tuple[int, int, int, int]:
    """Bounding box (x0, y0, x1, y1) in whole pixels around the polygon, at least 1 x 1, inside the frame; None: all of it."""
    if roi is None:
        return 0, 0, width, height
    x0, x1 = _span([x for x, _ in roi], width)
    y0, y1 = _span([y for _, y in roi], height)
    return x0, y0, x1, y1


def _span(corners: list[float], size: int) -> tuple[int, int]:
    # 1e-6 of a pixel forgives 0.1 + 0.2: a corner meant to lie on a pixel border must not add a row.
    first = min(max(math.floor(min(corners) * size + 1e-6), 0), size - 1)
    last = min(max(math.ceil(max(corners) * size - 1e-6), first + 1), size)
    return first, last


@lru_cache(maxsize=16)  # at 5 MP a mask takes 5 MB
def keep_mask(roi: Polygon | None, ignore: tuple[Polygon, ...], view: View, height: int, width: int) -> NDArray[np.uint8] | None:
    """(height, width) uint8, 255 where a cell of the grid over ``view`` counts and 0 elsewhere; None when all count.

    A cell that a polygon's outline touches belongs to the polygon: it is kept for the ROI, dropped for an ignored area.
    Cached per (polygons, view, grid): a recipe's masks are computed once per frame size. Treat the result as read-only.
    """
    keep = np.full((height, width), 255, np.uint8)
    if roi is not None:
        keep[:] = 0
        _fill(keep, roi, view, 255)
    for polygon in ignore:
        _fill(keep, polygon, view, 0)
    if keep.all():
        return None
    keep.flags.writeable = False
    return keep


def _fill(grid: NDArray[np.uint8], polygon: Polygon, view: View, value: int) -> None:
    height, width = grid.shape
    x, y, view_width, view_height = view
    corners = np.array(polygon, np.float64)
    # cv2 puts integer coordinates at cell centres; a relative coordinate is a border, hence the half cell.
    cells = (corners - (x, y)) / (view_width, view_height) * (width, height) - 0.5
    cells = np.clip(cells, -_FIXED_POINT_LIMIT, _FIXED_POINT_LIMIT)
    fixed = np.round(cells * (1 << _FIXED_POINT_BITS)).astype(np.int32)
    # An outline that runs exactly along a border between cells would be rounded into the cell beyond; pull it inwards.
    fixed += 2 * np.sign(fixed.min(axis=0) + fixed.max(axis=0) - 2 * fixed)
    cv2.fillPoly(grid, [fixed], [value], shift=_FIXED_POINT_BITS)
