"""Cheap features of a whole picture, for finding odd labels and gaps in coverage without a network."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import Pixels

CELLS: Final = 4
BINS: Final = 9
SCALES: Final = (1.0, 2.0, 4.0)
FEATURES: Final = CELLS * CELLS * BINS + CELLS * CELLS * 3 + 3 * len(SCALES)
"""144 gradient histograms (HOG, Dalal and Triggs 2005), 48 cell colours, 9 detail strengths."""

_SIDE: Final = 64
_rows, _columns = np.indices((_SIDE, _SIDE)) * CELLS // _SIDE
_CELL: Final = (_rows * CELLS + _columns).ravel()


def picture_features(pixels: Pixels) -> NDArray[np.float16]:
    """(FEATURES,) float16, about in [0, 3]; pixels: (H, W, 3) uint8 BGR."""
    return np.concatenate([_gradients(pixels), _colours(pixels), _details(pixels)]).astype(np.float16)


def _gradients(pixels: Pixels) -> NDArray[np.float64]:
    grey = cv2.cvtColor(cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)
    size, angle = cv2.cartToPolar(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    # Opposite directions count as one: a dark line on bright ground and its negative are the same edge.
    bins = (angle.ravel() * (BINS / np.pi)).astype(np.int64) % BINS
    histogram = np.bincount(_CELL * BINS + bins, weights=size.ravel(), minlength=CELLS * CELLS * BINS)
    return np.asarray(np.sqrt(histogram / (histogram.sum() + 1e-6)) * CELLS, dtype=np.float64)


def _colours(pixels: Pixels) -> NDArray[np.float64]:
    return np.asarray(cv2.resize(pixels, (CELLS, CELLS), interpolation=cv2.INTER_AREA), dtype=np.float64).ravel() / 255.0


def _details(pixels: Pixels) -> NDArray[np.float64]:
    """Mean, spread and peak of the difference of Gaussians at three scales, on a 256-pixel copy, as logarithms."""
    grey = cv2.cvtColor(cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)
    strengths: list[float] = []
    for sigma in SCALES:
        smooth = np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), dtype=np.float32)
        detail = np.abs(grey - smooth)
        strengths += [float(detail.mean()), float(detail.std()), float(detail.max())]
        grey = smooth
    return np.asarray(np.log1p(strengths) / 2.0, dtype=np.float64)
