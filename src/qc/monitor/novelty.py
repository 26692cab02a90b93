"""Do the rejected parts look like anything that was seen before? Only for naming a cause, never an alarm.

The embedding test (``embeddings``) looks at accepted parts, because more defects are not a new appearance. A new variant of
which the model rejects every part would escape it. So the rejects are compared with the reference's: the length of
what the principal axes of the accepted reference parts do not explain (Q statistic; Jackson & Mudholkar 1979, Technometrics
21:341) against the 99 % quantile of the reference's rejects. Measured on solar cells (docs/truth.md): of true defects of the known
kind 16-19 % lie beyond it, of polycrystalline cells 92-95 %.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

FEWEST_REFERENCE = 40
"""Reference rejects below which nothing is said."""
LATEST, FEWEST = 25, 10
"""Rejects over which the share is taken, and from how many on."""
UNLIKE_SHARE = 0.35
"""Beyond it the rejects count as a new appearance: 9 of 25; where 19 % are expected, 3 % of all cases by chance."""


@dataclass(frozen=True, slots=True)
class RejectLook:
    """centre: (D,) mean of accepted reference parts; axes: (D, k) their principal components; radius: of the reference's rejects."""

    centre: Floats
    axes: Floats
    radius: float

    @classmethod
    def of(cls, accepted: Floats, rejected: Floats, axes: Floats) -> "RejectLook | None":
        """accepted, rejected: (n, D) sketches of reference parts; None when there are too few rejects."""
        if len(rejected) < FEWEST_REFERENCE:
            return None
        centre = accepted.mean(0)
        return cls(centre, axes, float(np.quantile(_residual(rejected - centre, axes), 0.99)))

    def unlike(self, sketches: Floats) -> NDArray[np.bool_]:
        """(n,) of sketches (n, D): farther out than nearly all rejects of the reference."""
        return _residual(sketches - self.centre, self.axes) > self.radius


def _residual(centred: Floats, axes: Floats) -> Floats:
    rest: Floats = centred - (centred @ axes) @ axes.T
    return np.asarray(np.sqrt((rest**2).sum(-1)))
