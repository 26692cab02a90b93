"""What became more frequent among the rejects, by the labels: defects (the process changed) or good parts (the model did)?

For naming a cause, never an alarm. The labelled windows are split in two at each border; on each side P(defective and rejected) and P(good and
rejected) are Hajek estimates sum y_i / q_i over sum 1 / q_i with the variance of Poisson sampling, sum (1 - q) / q^2 (y - p)^2 (Sarndal,
Swensson & Wretman 1992, 5.7-5.8). The split with the largest |z| of either share is taken; it counts from SURE_Z on, since the best of up to eleven
splits is looked at (simulated without change, 12 windows of 150 labels: 2 % of the cases beyond it, per share).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

SURE_Z = 3.0
FEWEST = 30
"""Labels on each side of the split."""


@dataclass(frozen=True, slots=True)
class LabelShift:
    """z of the change of each share of all parts; before, after: (defective and rejected, good and rejected)."""

    defects_z: float = 0.0
    false_z: float = 0.0
    before: tuple[float, float] = (0.0, 0.0)
    after: tuple[float, float] = (0.0, 0.0)

    @property
    def more_defects(self) -> bool:
        """More of the parts are rejected and defective, and not clearly more of them are rejected and good."""
        return self.defects_z >= SURE_Z and self.false_z < SURE_Z

    @property
    def fewer_defects(self) -> bool:
        return self.defects_z <= -SURE_Z and self.false_z > -SURE_Z

    @property
    def more_false_rejects(self) -> bool:
        return self.false_z >= SURE_Z

    @property
    def text(self) -> str:
        """A sentence, empty when nothing is sure."""
        said = []
        for name, z, i in (("rejected defects", self.defects_z, 0), ("false rejects", self.false_z, 1)):
            if abs(z) >= SURE_Z:
                said.append(f"{name} went from {100 * self.before[i]:.1f} to {100 * self.after[i]:.1f} % of the parts")
        return ", ".join(said)


def label_shift(windows: Sequence[tuple[Bools, Bools, Floats]]) -> LabelShift:
    """windows: defective, rejected, inclusion probability of the settled parts of each window, oldest first."""
    best = LabelShift()
    for split in range(1, len(windows)):
        before, after = _shares(windows[:split]), _shares(windows[split:])
        if before is None or after is None:
            continue
        (p0, v0), (p1, v1) = before, after
        z = (p1 - p0) / np.sqrt(np.maximum(v0 + v1, 1e-12))
        if np.abs(z).max() > max(abs(best.defects_z), abs(best.false_z)):
            best = LabelShift(float(z[0]), float(z[1]), (float(p0[0]), float(p0[1])), (float(p1[0]), float(p1[1])))
    return best


def _shares(windows: Sequence[tuple[Bools, Bools, Floats]]) -> tuple[Floats, Floats] | None:
    """The two shares and their variances; None with too few labels."""
    y, d, q = (np.concatenate([window[i] for window in windows]) for i in range(3))
    if len(q) < FEWEST:
        return None
    parts = float((1 / q).sum())
    hit = np.stack([y & d, ~y & d]).astype(float)
    shares = (hit / q).sum(1) / parts
    # One more label of the rarer kind keeps the variance of a share without any hit from being zero.
    spread = ((1 - q) / q**2 * (hit - shares[:, None]) ** 2).sum(1) + 1 / q.max() ** 2
    return shares, np.asarray(spread / parts**2)
