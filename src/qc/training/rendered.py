"""Rendered products that no recipe was tuned on: woven fabric, printed labels, cast metal. A guard, not a claim about real parts.

Every part differs in place, grain and light; defects are small, faint and of several sizes, so that the rows do not saturate.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import DatasetError

Picture = NDArray[np.float32]
Generator = np.random.Generator
SIDE: Final = 384


def fabric(rng: Generator) -> Picture:
    """Plain weave, slightly turned and stretched, with uneven threads."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    angle, pitch = rng.normal(0, 0.02), rng.normal(7.0, 0.1)
    u, v = x + angle * y, y - angle * x
    weave = np.sin(2 * np.pi * u / pitch + rng.uniform(0, 6)) * np.sin(2 * np.pi * v / pitch + rng.uniform(0, 6))
    threads = _smooth_noise(rng, (SIDE, 1), 2) + _smooth_noise(rng, (1, SIDE), 2)
    return _coloured(120 + 26 * weave + 6 * threads, (1.0, 0.95, 0.8))


def label(rng: Generator) -> Picture:
    """Text and a bar code on a white label on a grey part, printed with a little shift."""
    picture = np.full((SIDE, SIDE), 110, np.uint8)
    dx, dy = (int(v) for v in rng.integers(-6, 7, 2))
    cv2.rectangle(picture, (40 + dx, 60 + dy), (344 + dx, 324 + dy), 225, -1)
    for row, text in enumerate(("PUMP 24 V", "IP67 4.2 A", f"LOT {rng.integers(1000, 9999)}")):
        cv2.putText(picture, text, (60 + dx, 115 + 48 * row + dy), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 40, 3, cv2.LINE_AA)
    for bar in range(40):
        if (bar * 7919) % 5 < 3:
            cv2.rectangle(picture, (60 + 6 * bar + dx, 240 + dy), (63 + 6 * bar + dx, 300 + dy), 35, -1)
    printed = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.float32)
    return _coloured(printed, (0.97, 1.0, 1.0))


def casting(rng: Generator) -> Picture:
    """A turned ring of rough metal: grain of two sizes, a bright rim, a bore."""
    rough = 9 * _smooth_noise(rng, (SIDE, SIDE), 3) + 7 * _smooth_noise(rng, (SIDE, SIDE), 12)
    picture = np.full((SIDE, SIDE), 60, np.float32)
    centre = (SIDE // 2 + int(rng.integers(-5, 6)), SIDE // 2 + int(rng.integers(-5, 6)))
    cv2.circle(picture, centre, 165, 150, -1, cv2.LINE_AA)
    cv2.circle(picture, centre, 150, 180, 5, cv2.LINE_AA)
    cv2.circle(picture, centre, 55, 40, -1, cv2.LINE_AA)
    return _coloured(picture + rough, (1.0, 1.0, 1.02))


def scratch(rng: Generator, picture: Picture) -> NDArray[np.uint8]:
    """A thin, faint, bent line; returns where."""
    start, angle, length = rng.uniform(90, 290, 2), rng.uniform(0, np.pi), rng.uniform(25, 80)
    bend = rng.normal(0, 6, (4, 2))
    points = start + np.linspace(0, length, 4)[:, None] * np.array([np.cos(angle), np.sin(angle)]) + bend
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(mask, [points.astype(np.int32)], False, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    picture += (float(rng.choice([-1, 1])) * rng.uniform(25, 60) / 255) * mask[:, :, None]
    return np.where(mask > 100, 255, 0).astype(np.uint8)


def misprint(rng: Generator, picture: Picture) -> NDArray[np.uint8]:
    """A piece of the print missing, smeared or inked over."""
    x, y = (int(v) for v in rng.integers((60, 85), (290, 280)))
    w, h = (int(v) for v in rng.integers(12, 36, 2))
    area = picture[y : y + h, x : x + w]
    kind = rng.integers(3)
    area[:] = (225.0, 45.0)[kind] if kind < 2 else cv2.GaussianBlur(area, (0, 0), 5.0)
    return _rectangle(x, y, w, h)


def pore(rng: Generator, picture: Picture) -> NDArray[np.uint8]:
    """One to three dark pits on the ring."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(70, 135)
        at = (int(SIDE / 2 + radius * np.cos(angle)), int(SIDE / 2 + radius * np.sin(angle)))
        cv2.ellipse(mask, at, (int(rng.integers(2, 7)), int(rng.integers(2, 7))), 0, 0, 360, 255, -1, cv2.LINE_AA)
    picture -= rng.uniform(35, 80) * cv2.GaussianBlur(mask, (0, 0), 1.0)[:, :, None] / 255
    return mask


PRODUCTS: Final[dict[str, tuple[Callable[[Generator], Picture], Callable[[Generator, Picture], NDArray[np.uint8]]]]] = {
    "fabric": (fabric, scratch),
    "label": (label, misprint),
    "casting": (casting, pore),
}


def write_product(root: Path, product: str, good: int, defects: int, *, seed: int, masks: bool = False) -> Path:
    """Folders ``good/`` and ``defect/`` (and ``masks/defect/``) of a product of PRODUCTS; returns the root. Raises DatasetError."""
    draw, damage = PRODUCTS[product]
    rng = np.random.default_rng([seed, *product.encode()])
    for number in range(good + defects):
        picture = draw(rng)
        defective = number >= good
        mask = damage(rng, picture) if defective else None
        folder = "defect" if defective else "good"
        _save(root / folder / f"{number:04}.png", _lit(rng, picture))
        if masks and mask is not None:
            _save(root / "masks" / folder / f"{number:04}.png", mask)
    return root


def _lit(rng: Generator, picture: Picture) -> NDArray[np.uint8]:
    """Another exposure, a gradient of light, sensor noise."""
    slope = rng.normal(0, 0.08, 2)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = rng.uniform(0.8, 1.15) * (1 + slope[0] * x + slope[1] * y)
    noisy = picture * light[:, :, None].astype(np.float32) + rng.normal(0, 2.5, picture.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _save(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise DatasetError(f"{path}: cannot be written")


def _rectangle(x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[y : y + h, x : x + w] = 255
    return mask


def _smooth_noise(rng: Generator, shape: tuple[int, int], grain: int) -> Picture:
    """Normal noise of about unit deviation, correlated over ``grain`` pixels."""
    coarse = rng.normal(size=tuple(max(1, side // grain) for side in shape)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).reshape(shape), np.float32)


def _coloured(grey: NDArray[np.floating], tint: tuple[float, float, float]) -> Picture:
    return np.asarray(grey[:, :, None] * np.array(tint), np.float32)
