"""What every stratified estimator starts from: labels with their inclusion probabilities, and the parts they stand for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc

from qc.domain.errors import EvaluationError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

IMPLAUSIBLE = 1e-6
"""A count of draws this unlikely under the stated probabilities means that the probabilities are wrong (or swapped)."""


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """Confirmed human answers, one entry per labelled part. All arrays have shape (n,).

    defective: truth. stratum: index into the Population's strata. inclusion_probability: q in (0, 1], the
    probability with which this part was drawn. unconfirmed: number of first-look defects on accepted parts that
    still wait for their second look (they are in the arrays as what the first look said).
    """

    defective: Bools
    stratum: Ints
    inclusion_probability: Floats
    unconfirmed: int = 0

    def __post_init__(self) -> None:
        n = len(self.defective)
        for name in ("stratum", "inclusion_probability"):
            if len(getattr(self, name)) != n:
                raise EvaluationError(f"{name} has {len(getattr(self, name))} entries, defective has {n}; they must match")
        q = self.inclusion_probability
        if np.any(np.isnan(q)):
            raise EvaluationError(
                f"{int(np.isnan(q).sum())} of {n} labels have no inclusion probability; "
                "a label whose chance of being drawn is unknown cannot enter a rate"
            )
        if np.any(q > 1):
            raise EvaluationError(
                f"inclusion probabilities up to {q.max():g}: they must lie in (0, 1]; these look like weights 1/q (reversed)"
            )
        if np.any(q <= 0):
            raise EvaluationError("inclusion probabilities must be greater than 0: such a part could never have been drawn")


@dataclass(frozen=True, slots=True)
class Population:
    """The parts that the sample stands for, by stratum (in score order within each side). Arrays of shape (H,).

    parts: N_h, all judged parts of the stratum. rejected: True where the line rejected (NG or REVIEW).
    drawn: how many parts of the stratum were ticketed; None when unknown. names: for messages.
    """

    parts: Ints
    rejected: Bools
    names: tuple[str, ...] = ()
    drawn: Ints | None = None

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.rejected):
            raise EvaluationError("parts and rejected must have one entry per stratum")
        if np.any(self.parts < 0):
            raise EvaluationError("a stratum cannot have fewer than 0 parts")

    def name(self, h: int) -> str:
        return self.names[h] if self.names else f"{'reject' if self.rejected[h] else 'accept'}/{h}"


@dataclass(frozen=True, slots=True)
class StratumCounts:
    """Sufficient statistics of a stratified sample; arrays (..., H), H strata, leading axes are independent samples.

    decision has shape (H,). N: parts. decision: d_h, 1 rejected, 0 accepted (for paired comparisons -1, 0, 1). n, x: labels and defects found.
    sw, sw2, swx: sums of 1/q, 1/q^2 and y/q over the labels. Where q is constant in a stratum,
    n_eff = n and x_eff = x exactly; in a stratum merged from parts with different q the Hajek estimate and Kish's
    effective size stand in (Kish 1965, Survey Sampling, 11.7).
    """

    N: Floats
    decision: Floats
    n: Floats
    x: Floats
    sw: Floats
    sw2: Floats
    swx: Floats

    @classmethod
    def of_constant_q(cls, N: Floats, decision: Floats, n: Floats, x: Floats, q: Floats) -> "StratumCounts":
        """Counts of strata in which every part has the same inclusion probability."""
        return cls(N, decision, n, x, n / q, n / q**2, x / q)

    def rows(self, index: "int | Bools | None") -> "StratumCounts":
        """The samples at this leading index or mask; None adds a leading axis of one."""
        taken = (a[index] for a in (self.N, self.n, self.x, self.sw, self.sw2, self.swx))
        N, n, x, sw, sw2, swx = taken
        return StratumCounts(N, self.decision, n, x, sw, sw2, swx)

    @property
    def share(self) -> Floats:
        """W_h = N_h / N of each stratum."""
        total = self.N.sum(-1, keepdims=True)
        return self.N / np.where(total > 0, total, 1)

    @property
    def n_eff(self) -> Floats:
        return np.divide(self.sw**2, self.sw2, out=np.zeros_like(self.sw), where=self.sw2 > 0)

    @property
    def x_eff(self) -> Floats:
        return np.divide(self.swx, self.sw, out=np.zeros_like(self.sw), where=self.sw > 0) * self.n_eff


def stratum_counts(sample: LabelledSample, population: Population, side: Floats | None = None) -> StratumCounts:
    """Count labels and defects per stratum, check them against the stated probabilities, merge thin strata.

    side (H,): only strata with the same value are merged; the decision unless given. It becomes ``decision``.
    Raises EvaluationError when the labels contradict the population or their inclusion probabilities.
    """
    group = np.zeros(len(sample.stratum), np.int64)
    drawn = None if population.drawn is None else population.drawn[None, :]
    decision = population.rejected.astype(float) if side is None else side
    counts = grouped_counts(sample, group, parts=population.parts[None, :], decision=decision, name=population.name, drawn=drawn)
    return counts.rows(0)


def grouped_counts(
    sample: LabelledSample,
    group: Ints,
    *,
    parts: Ints,
    decision: Floats,
    name: Callable[[int], str],
    drawn: Ints | None = None,
) -> StratumCounts:
    """Counts (G, H) of G slices at once. group (n,): slice of each label; parts, drawn: (G, H); decision: (H,)."""
    G, H = parts.shape
    if len(sample.stratum) and (sample.stratum.min() < 0 or sample.stratum.max() >= H):
        raise EvaluationError(f"stratum codes run to {sample.stratum.max()}, the population has {H} strata")
    cell = group * H + sample.stratum
    weight = 1 / sample.inclusion_probability

    def total(values: Floats | None) -> Floats:
        return np.bincount(cell, values, G * H).astype(float).reshape(G, H)

    counts = StratumCounts(
        N=parts.astype(float),
        decision=decision,
        n=total(None),
        x=total(sample.defective.astype(float)),
        sw=total(weight),
        sw2=total(weight**2),
        swx=total(weight * sample.defective),
    )
    _check_against_probabilities(counts, name, drawn)
    return merge_thin_strata(counts)


def _check_against_probabilities(counts: StratumCounts, name: Callable[[int], str], drawn: Ints | None) -> None:
    """Draws are independent, so n_h is at most (drawn: about) binomial in N_h parts with the stratum's mean q."""
    n, N = counts.n, counts.N
    if np.any(n > N):
        g, h = np.argwhere(n > N)[0]
        raise EvaluationError(f"stratum {name(int(h))}: {int(n[g, h])} labels but only {int(N[g, h])} parts")
    # The harmonic mean of q is the one for which E[n] = q N.
    q = np.divide(n, counts.sw, out=np.zeros_like(n), where=n > 0)
    seen = n if drawn is None else drawn
    parts = np.rint(N).astype(np.int64)
    wrong = (n > 0) & (bdtrc(seen - 1, parts, q) < IMPLAUSIBLE)
    if drawn is not None:
        wrong |= (n > 0) & (bdtr(seen, parts, q) < IMPLAUSIBLE)
    if np.any(wrong):
        g, h = np.argwhere(wrong)[0]
        raise EvaluationError(
            f"stratum {name(int(h))}: {int(seen[g, h])} of {int(N[g, h])} parts drawn, but the inclusion probabilities say "
            f"about {q[g, h] * N[g, h]:.1f}; they are wrong or belong to another stratum (swapped or reversed)"
        )


def merge_thin_strata(counts: StratumCounts, least: int = 2) -> StratumCounts:
    """Merge strata with fewer than ``least`` labels into the neighbour with fewer labels on the same side.

    Strata without parts disappear (all their entries become 0). Works on one sample or on a batch (..., H).
    """
    arrays = [np.array(a, float) for a in (counts.N, counts.n, counts.x, counts.sw, counts.sw2, counts.swx)]
    H = arrays[0].shape[-1]
    rows = [np.atleast_2d(a).reshape(-1, H) for a in arrays]
    decision = np.broadcast_to(counts.decision, arrays[0].shape).reshape(-1, H)
    for r in np.flatnonzero(((rows[1] < least) & (rows[0] > 0)).any(-1)):
        for side in np.unique(decision[r]):
            _merge_side([a[r] for a in rows], [int(h) for h in np.flatnonzero((decision[r] == side) & (rows[0][r] > 0))], least)
    N, n, x, sw, sw2, swx = (a.reshape(arrays[0].shape) for a in rows)
    return replace(counts, N=N, n=n, x=x, sw=sw, sw2=sw2, swx=swx)


def _merge_side(row: Sequence[Floats], live: list[int], least: int) -> None:
    n = row[1]
    while len(live) > 1:
        i = min(range(len(live)), key=lambda k: n[live[k]])
        if n[live[i]] >= least:
            return
        neighbours = [j for j in (i - 1, i + 1) if 0 <= j < len(live)]
        j = min(neighbours, key=lambda k: n[live[k]])
        for a in row:
            a[live[j]] += a[live[i]]
            a[live[i]] = 0
        del live[i]
