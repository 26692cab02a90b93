"""Good-only branch without a place: Mahalanobis distance of the pooled features to those of good parts.

After Rippel et al. (ICPR 2020, arXiv 2005.14140), with the Ledoit-Wolf shrunk covariance (J. Multivariate Analysis 2004).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor, nn

from qc.training.features import FeatureStore, Taps

MIN_GOOD = 16
"""Below this many good images the distance says nothing (measured: it needs more than 15)."""

RANK = 512
"""Directions with a variance of their own; the rest share one. Fewer good images than this span no more anyway."""


class MahalanobisBranch(nn.Module):
    """centre, scale: (P,) of the first P pooled features; directions: (P, r); precision: (r,) above that of the rest."""

    centre: Tensor
    scale: Tensor
    directions: Tensor
    precision: Tensor

    def __init__(self, centre: Tensor, scale: Tensor, directions: Tensor, precision: Tensor, rest: float) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        self.register_buffer("directions", directions)
        self.register_buffer("precision", precision)
        self.rest = rest

    def forward(self, taps: Taps) -> Tensor:
        """(N,): distance in standard deviations of the shrunk model."""
        x = (taps.pooled[:, : self.centre.shape[0]] - self.centre) * self.scale
        within = (x @ self.directions).square() @ self.precision
        return (self.rest * x.square().sum(1) + within).clamp_min(1e-6).sqrt()


def fit_mahalanobis(store: FeatureStore, good: NDArray[np.int64], columns: int) -> MahalanobisBranch:
    """columns: how many pooled features to use. good: indices, at least two images.

    Averages, maxima and deviations of every tap count. Measured against averages and deviations alone, AUROC out of fold: cookies
    .955 / .940, magnetic tiles .839 / .836, bottles .981 / .980, boards .669 / .670.
    """
    x = store.pooled[good][:, :columns].astype(np.float64)
    centre, scale = x.mean(0), 1 / (x.std(0) + 1e-6)
    z = (x - centre) * scale
    variances, directions = _principal(z)
    shrinkage = float(ledoit_wolf_shrinkage(z, assume_centered=True))
    common = float(np.square(z).mean())
    precisions = 1 / np.maximum((1 - shrinkage) * variances + shrinkage * common, 1e-8)
    floor = 1 / max(shrinkage * common, 1e-8)
    left_out = np.concatenate([precisions[RANK:], np.full(max(columns - len(precisions), 0), floor)])
    rest = float(left_out.mean()) if len(left_out) else 0.0
    return MahalanobisBranch(
        _tensor(centre), _tensor(scale), _tensor(directions[:, :RANK]), _tensor(precisions[:RANK] - rest), rest
    )


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _principal(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances, largest first, and their directions (P, min(n, P)), by whichever of Gram matrix and covariance is smaller."""
    n, columns = z.shape
    if n >= columns:
        values, vectors = np.linalg.eigh(z.T @ z / n)
        return values[::-1], vectors[:, ::-1]
    values, vectors = np.linalg.eigh(z @ z.T / n)
    kept = values > 1e-9 * values[-1]
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    return values, z.T @ vectors / np.sqrt(n * values)
