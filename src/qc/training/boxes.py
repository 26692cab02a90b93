"""Boxes around defects: their text form in a manifest, and the mask that they stand for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Box:
    """A defect's bounding box in pixels of the decoded image, origin top left; width and height are at least 1."""

    x: int
    y: int
    width: int
    height: int


def parse_boxes(text: str) -> tuple[Box, ...]:
    """Read ``"x y width height; x y width height"`` (pixels; commas are allowed inside a box). Raises DatasetError."""
    return tuple(_parse_box(part) for part in text.split(";") if part.strip())


def format_boxes(boxes: Sequence[Box]) -> str:
    return "; ".join(f"{b.x} {b.y} {b.width} {b.height}" for b in boxes)


def boxes_to_mask(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool, True inside any box; parts of a box outside the image are cut off."""
    mask = np.zeros((height, width), dtype=np.bool_)
    for box in boxes:
        mask[max(box.y, 0) : max(box.y + box.height, 0), max(box.x, 0) : max(box.x + box.width, 0)] = True
    return mask


def _parse_box(text: str) -> Box:
    try:
        x, y, width, height = (round(float(number)) for number in re.split(r"[\s,]+", text.strip()))
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"box {text.strip()!r} is not 'x y width height' in pixels") from error
    if width < 1 or height < 1:
        raise DatasetError(f"box {text.strip()!r} has no area: width and height are pixels and at least 1")
    return Box(x, y, width, height)
