"""Do the parts look different, in a direction that nobody thought of? Yesterday gives the direction, today the test.

Lot means of the model's embedding are whitened by the reference: projected on its leading principal components and scaled by
the spread of reference lot means (sigma_U as in ``lots``). The exponentially weighted mean of past lots gives a
direction a, fixed before today's lot is seen; a . z of today's lot is then a one-dimensional feature with spread <= 1 under the
null, and the Gaussian e-detector of ``lots`` applies. Two memories are averaged: .7 finds a large shift at once, .92 a small one
that .7 leaves in the noise.

Tolerance: in k dimensions the reference mean of m lots is off by a vector of squared length about b2 = k / m, which a learned
direction partly finds: the projection's mean is then b2 / sqrt(b2 + k (1 - memory) / (1 + memory)), plus .25 as for lots.
With 1.96 / sqrt(m) + .25, as for a fixed direction, false alarms would have no bound; with the full length sqrt(k / m) + .25
a 10 % new variant under lot noise of .1 sigma took 18,250 parts instead of 5,000 (docs/monitoring.md, point 10).
Choosing the direction from the past only is what keeps the factors' mean at most 1 (a predictable bet, as in ``evidence``).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.monitor.lots import CLIP, LotReference, gaussian_log_factors

Floats: TypeAlias = NDArray[np.float64]

MEMORIES = np.array([0.7, 0.92])
COMPONENTS = 64


@dataclass(frozen=True, slots=True)
class EmbeddingReference:
    """axes: (D, k) orthonormal principal components of the reference parts; lots: of the projected lot means."""

    axes: Floats
    lots: LotReference

    @classmethod
    def of(cls, parts: Floats, lot_means: Floats, components: int = COMPONENTS) -> "EmbeddingReference":
        """parts: (n, D) embeddings of some reference parts; lot_means: (m, D)."""
        k = min(components, parts.shape[1], len(parts) - 1)
        centred = parts - parts.mean(0)
        _, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
        axes = vectors[:, ::-1][:, :k]
        # The sign of a component is arbitrary; fix it, so that the same reference gives the same axes everywhere.
        axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(k)] < 0, -1.0, 1.0)
        return cls(axes, LotReference.of(lot_means @ axes))

    @property
    def tolerance(self) -> Floats:
        """(2,) by memory."""
        k = self.axes.shape[1]
        b2 = k / self.lots.lots
        return np.asarray(b2 / np.sqrt(b2 + k * (1 - MEMORIES) / (1 + MEMORIES)) + 0.25)

    def whiten(self, lot_mean: Floats) -> Floats:
        """(..., k) of lot means (..., D); clipped to a length of 6 sqrt(k)."""
        return self.lots.z(lot_mean @ self.axes)


def direction_log_factors(z: Floats, past: Floats, tolerance: Floats) -> tuple[Floats, Floats, Floats]:
    """One lot: z (..., k) whitened, past (..., 2, k) the weighted means of earlier lots by memory, zeros before the first;
    tolerance: (2,).

    Returns (log factors (..., 2, 4), the projections (..., 2), the new weighted means (..., 2, k)). No bet without a past.

    >>> past = np.array([[1.0, 0.0], [0.0, 0.0]])
    >>> factors, projection, past = direction_log_factors(np.array([3.0, 0.0]), past, np.array([0.5, 0.5]))
    >>> factors.tolist()
    [[1.125, 2.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    >>> projection.tolist(), past.round(2).tolist()
    ([3.0, 0.0], [[1.6, 0.0], [0.24, 0.0]])
    """
    length = np.sqrt((past**2).sum(-1))
    known = length > 0
    direction = past / np.where(known, length, 1)[..., None]
    today = z[..., None, :]
    projection = np.clip((direction * today).sum(-1), -CLIP, CLIP)
    factors = np.where(known[..., None], gaussian_log_factors(projection - tolerance, 0.0), 0.0)
    memory = MEMORIES[:, None]
    return factors, projection, memory * past + (1 - memory) * today
