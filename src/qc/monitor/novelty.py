"""Do the rejected parts look like anything that was seen before? Only for naming a cause, never an alarm.

The embedding test (``embeddings``) looks at accepted parts, because more defects are not a new appearance. A new variant of
which the model rejects every part would escape it. So the rejects are compared with the reference's: their distance from the accepted
reference parts along the leading principal axes, each scaled by its spread (Hotelling's T^2 without the small directions; Jackson 1991,
A User's Guide to Principal Components, 2.6), against the 99 % quantile of the reference's rejects. Measured on solar cells, six references
(docs/truth.md): of true defects of the known kind 5-12 % lie beyond it, of polycrystalline cells 70-97 %. What all 64 axes leave
unexplained, used before, was rounding error where an embedding has no more than 64 values.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

AXES = 8
FEWEST_REFERENCE = 40
"""Reference rejects below which nothing is said."""
LATEST, FEWEST = 25, 10
"""Rejects over which the share is taken, and from how many on."""
UNLIKE_SHARE = 0.31
"""Beyond it the rejects count as a new appearance: 8 of 25; where 12 % are expected, 1 % of all cases by chance."""
LONG, LONG_SHARE = 75, 0.25
"""The same over more rejects: 19 of 75, 1 in 1,000. A new variant among known defects does not fall below it again by chance."""


def strikes(unlike: int, rejects: int) -> bool:
    """Whether so many of the latest rejects make a new appearance."""
    return unlike > (UNLIKE_SHARE if rejects <= LATEST else LONG_SHARE) * rejects


@dataclass(frozen=True, slots=True)
class RejectLook:
    """centre: (D,) mean of accepted reference parts; axes: (D, k <= 8) their leading principal components, divided by the parts' spread
    along them; radius: of the reference's rejects."""

    centre: Floats
    axes: Floats
    radius: float

    @classmethod
    def of(cls, accepted: Floats, rejected: Floats, axes: Floats) -> "RejectLook | None":
        """accepted, rejected: (n, D) sketches of reference parts; axes: (D, k) orthonormal; None when there are too few rejects."""
        if len(rejected) < FEWEST_REFERENCE:
            return None
        centre, leading = accepted.mean(0), axes[:, :AXES]
        spread = ((accepted - centre) @ leading).std(0)
        scaled = leading / np.maximum(spread, 1e-6 * max(float(spread.max()), 1e-12))
        return cls(centre, scaled, float(np.quantile(_distance(rejected - centre, scaled), 0.99)))

    def unlike(self, sketches: Floats) -> NDArray[np.bool_]:
        """(n,) of sketches (n, D): farther out than nearly all rejects of the reference."""
        return _distance(sketches - self.centre, self.axes) > self.radius


def _distance(centred: Floats, axes: Floats) -> Floats:
    return np.asarray(np.sqrt(((centred @ axes) ** 2).sum(-1)))
