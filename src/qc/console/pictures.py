"""Pictures as browsers want them: JPEGs no larger than a screen, heat maps as transparent layers; encoded once, then cached."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.console.live import LiveFeed
from qc.domain.errors import UnknownPart
from qc.domain.frame import Pixels
from qc.domain.record import InspectionRecord
from qc.inspection.heatmap import decode_map
from qc.inspection.masks import View
from qc.record.archive import DiskImageArchive
from qc.record.image_index import HEATMAP, PICTURE

Size = Literal["full", "screen", "thumb"]
_LONG_SIDE = {"screen": 1280, "thumb": 200}
_QUALITY = {"screen": 85, "thumb": 75}
_CACHE_BYTES = 32_000_000
_LAYER_SIDE = 256
"""Long side of a heat map layer: finer than the map itself, so that its edges stay smooth; the browser scales it up smoothly too."""


@dataclass(frozen=True, slots=True)
class Picture:
    content: bytes
    media_type: str


class Pictures:
    """From the live feed's memory, else from the archive. Thread-safe; encodes one picture at a time."""

    def __init__(self, feed: LiveFeed, archive: DiskImageArchive) -> None:
        self._feed = feed
        self._archive = archive
        self._encoding = threading.Lock()
        self._cache: OrderedDict[tuple[str, str, str], Picture] = OrderedDict()
        self._bytes = 0

    def picture(self, event_id: str, size: Size) -> Picture:
        """Raises UnknownPart when none is kept (any more)."""
        return self._cached((event_id, PICTURE, size), lambda: self._picture(event_id, size))

    def has(self, event_id: str) -> bool:
        """Whether there is a picture to show now."""
        if self._feed.picture(event_id) is not None:
            return True
        try:
            self._archive.load(event_id)
        except UnknownPart:
            return False
        return True

    def heatmap(self, record: InspectionRecord, view: View) -> Picture:
        """A transparent PNG to lay over the whole picture. view: where the archived map lies in the frame. Raises UnknownPart."""
        return self._cached((record.event_id, HEATMAP, ""), lambda: self._heatmap(record.event_id, view))

    def _picture(self, event_id: str, size: Size) -> Picture:
        live = self._feed.picture(event_id)
        if live is not None:
            return Picture(_jpeg(live.pixels, size), "image/jpeg")
        blob = self._archive.load(event_id)
        if size == "full":
            return Picture(blob.content, blob.media_type)
        pixels = cv2.imdecode(np.frombuffer(blob.content, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise UnknownPart(f"the archived picture of event {event_id!r} cannot be decoded")
        return Picture(_jpeg(pixels.astype(np.uint8, copy=False), size), "image/jpeg")

    def _heatmap(self, event_id: str, view: View) -> Picture:
        live = self._feed.picture(event_id)
        if live is not None and live.inspection is not None:
            height, width = live.pixels.shape[:2]
            return Picture(_layer(live.inspection.defect_map, live.inspection.view, width / height), "image/png")
        heat = decode_map(self._archive.load(event_id, HEATMAP).content)
        picture = cv2.imdecode(np.frombuffer(self._archive.load(event_id).content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        aspect = 1.0 if picture is None else picture.shape[1] / picture.shape[0]
        return Picture(_layer(heat, view, aspect), "image/png")

    def _cached(self, key: tuple[str, str, str], make: Callable[[], Picture]) -> Picture:
        with self._encoding:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
            made = make()
            self._cache[key] = made
            self._bytes += len(made.content)
            while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._bytes -= len(self._cache.popitem(last=False)[1].content)
            return made


def _jpeg(pixels: Pixels, size: Size) -> bytes:
    if size != "full":
        shrink = _LONG_SIDE[size] / max(pixels.shape[:2])
        if shrink < 1:
            target = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
            pixels = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY.get(size, 92)])[1].tobytes()


def _layer(heat: NDArray[np.float32], view: View, aspect: float) -> bytes:
    """(h, w) in [0, 1] -> PNG with alpha: invisible where the map is 0. aspect: frame width / height.

    Colours are cividis, which reads the same with and without colour vision deficiency (as in ``inspection/heatmap.py``).
    """
    width, height = (
        (_LAYER_SIDE, max(1, round(_LAYER_SIDE / aspect))) if aspect >= 1 else (max(1, round(_LAYER_SIDE * aspect)), _LAYER_SIDE)
    )
    layer = np.zeros((height, width, 4), np.uint8)
    x0, y0 = round(view[0] * width), round(view[1] * height)
    x1, y1 = min(width, x0 + max(1, round(view[2] * width))), min(height, y0 + max(1, round(view[3] * height)))
    if x1 > x0 and y1 > y0:
        strength = cv2.resize(np.clip(heat, 0, 1).astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        grey = np.round(strength * 255).astype(np.uint8)
        layer[y0:y1, x0:x1, :3] = cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS)
        layer[y0:y1, x0:x1, 3] = grey
    return cv2.imencode(".png", layer, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
