"""Synthetic defects where no real ones exist: they tell whether the model reacts at all, not how well it detects real ones.

Patches of the part itself pasted elsewhere and thin scars (CutPaste, Li et al., CVPR 2021, arXiv 2104.04015).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

AREA = (0.005, 0.04)
SMALL_AREA = (0.0003, 0.003)
"""Share of the picture that a pasted patch covers: plainly visible, and as small as still matters (2 to 5 % of a side)."""


def with_defect(pixels: NDArray[np.uint8], seed: int, area: tuple[float, float] = AREA) -> NDArray[np.uint8]:
    """A copy of the (H, W, 3) picture with one pasted patch or, half of the time, one rotated scar of its own pixels."""
    generator = np.random.default_rng(seed)
    height, width = pixels.shape[:2]
    covered = float(generator.uniform(*area)) * height * width
    aspect = float(generator.uniform(0.4, 2.5)) if generator.random() < 0.5 else float(generator.uniform(6, 12))
    h = int(np.clip(round((covered / aspect) ** 0.5), 2, height // 2 or 1))
    w = int(np.clip(round((covered * aspect) ** 0.5), 2, width // 2 or 1))
    y0, y1 = (int(v) for v in generator.integers(0, max(1, height - h), 2))
    x0, x1 = (int(v) for v in generator.integers(0, max(1, width - w), 2))
    patch = pixels[y0 : y0 + h, x0 : x0 + w].astype(np.float32) * float(generator.uniform(0.6, 1.4))
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), float(generator.uniform(-45, 45)), 1.0)
    turned = cv2.warpAffine(np.clip(patch, 0, 255).astype(np.uint8), turn, (w, h), borderMode=cv2.BORDER_REFLECT)
    damaged = pixels.copy()
    damaged[y1 : y1 + h, x1 : x1 + w] = turned.reshape(h, w, 3)[: height - y1, : width - x1]
    return damaged
