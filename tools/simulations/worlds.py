"""Worlds with known truth. Good parts score N(0, 1); each world has its defects, a threshold and hence DR and FPR."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from qc.evaluate.sample import StratumCounts, merge_thin_strata

GRID = np.linspace(-6, 11, 34001)
Z = stats.norm.ppf


@dataclass(frozen=True)
class World:
    """defects: mixture of (weight, mean) with sd 1; reject_at: threshold of the score."""

    name: str
    defects: tuple[tuple[float, float], ...]
    reject_at: float

    def defect_density(self, s):
        return sum(w * stats.norm.pdf(s, m) for w, m in self.defects)

    def defect_cdf(self, s):
        return sum(w * stats.norm.cdf(s, m) for w, m in self.defects)

    @property
    def detection_rate(self):
        return 1 - float(self.defect_cdf(self.reject_at))

    @property
    def false_positive_rate(self):
        return 1 - float(stats.norm.cdf(self.reject_at))

    def draw(self, rng, parts, prevalence):
        """Scores and truth of ``parts`` parts."""
        y = rng.random(parts) < prevalence
        means = np.array([m for _, m in self.defects])
        component = rng.choice(len(means), parts, p=[w for w, _ in self.defects])
        return rng.normal(size=parts) + np.where(y, means[component], 0), y


def _shifted(dr, fpr):
    return ((1.0, float(Z(dr) + Z(1 - fpr))),)


W1 = World("W1", _shifted(0.94, 0.08), float(Z(0.92)))
W2 = World("W2", W1.defects, float(Z(0.99)))
W3 = World("W3", ((0.905, 4.2), (0.055, 2.0), (0.04, 0.0)), W1.reject_at)
W4 = World("W4", _shifted(0.68, 0.42), float(Z(0.58)))
_SHIFT_995 = float(Z(0.995) * np.sqrt(2))
W5 = World("W5", ((1.0, _SHIFT_995),), _SHIFT_995 - float(Z(0.94)))
WORLDS = {w.name: w for w in (W1, W2, W3, W4, W5)}


@dataclass(frozen=True)
class Design:
    """Strata of decision x score and how parts are drawn from them, made for ``planned`` and used on ``world``."""

    world: World
    planned: World
    prevalence: float
    labels: int
    exploration: float = 0.3

    @cached_property
    def edges(self):
        """Score edges of the strata, ascending; the threshold is one of them."""
        accepted, rejected = (3, 2) if self.labels < 1500 else (5, 3) if self.labels < 6000 else (8, 4)
        good, bad = (1 - self.prevalence) * stats.norm.pdf(GRID), self.prevalence * self.planned.defect_density(GRID)
        need = np.sqrt(good * bad)  # f(s) sqrt(p (1 - p))
        below = self.world.reject_at > GRID
        edges = [-np.inf]
        for side, k in ((below, accepted), (~below, rejected)):
            cumulative = np.cumsum(need * side)
            edges += [float(GRID[np.searchsorted(cumulative, cumulative[-1] * j / k)]) for j in range(1, k)]
            edges.append(self.world.reject_at if side is below else np.inf)
        return np.array(edges)

    @cached_property
    def decision(self):
        return (self.edges[:-1] >= self.world.reject_at).astype(float)

    def shares(self, world):
        """P(stratum) and P(defective | stratum)."""
        good = (1 - self.prevalence) * np.diff(stats.norm.cdf(self.edges))
        bad = self.prevalence * np.diff(world.defect_cdf(self.edges))
        return good + bad, bad / (good + bad)

    @cached_property
    def allocation(self):
        """Share of the labels per stratum by section 1 of the design; no stratum below 20, if a quarter of the labels does for that."""
        W, p = self.shares(self.planned)
        R0 = 1 - float(self.planned.defect_cdf(self.world.reject_at))
        need = W * np.abs(self.decision - R0) * np.sqrt(p * (1 - p))
        n = self.labels * ((1 - self.exploration) * need / need.sum() + self.exploration * W)
        least = min(20, self.labels / (4 * len(W)))
        thin = n < least
        n[thin] = least
        n[~thin] *= (self.labels - n[thin].sum()) / n[~thin].sum()
        return n / self.labels


def draw_counts(rng, design, parts, replications, *, verify_rejects=False):
    """Stratum counts (replications, H) of independent windows of ``parts`` parts: every part is drawn by its q."""
    W, p = design.shares(design.world)
    Wp, _ = design.shares(design.planned)
    q = np.minimum(1, design.labels * design.allocation / (parts * Wp))
    if verify_rejects:
        q = np.where(design.decision == 1, 1.0, q)
    N = rng.multinomial(parts, W, size=replications)
    n = rng.binomial(N, q)
    x = rng.binomial(n, p)
    counts = StratumCounts.of_constant_q(N.astype(float), design.decision, n.astype(float), x.astype(float), q)
    return merge_thin_strata(counts)
