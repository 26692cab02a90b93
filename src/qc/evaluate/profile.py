"""Profile likelihood for a linear constraint on stratum proportions: the engine under the stratified intervals.

Strata h = 1..H with n_h labels, x_h of them positive, positives of stratum h independent with probability p_h.
A question about the population is a constraint sum_h c_h p_h = t: for a ratio r = sum W d p / sum W p it is
c_h = W_h (d_h - r), t = 0; for a total it is c_h fixed, t the total. The deviance of a candidate answer is
2 [l(p_hat) - l(p_tilde)], p_tilde the constrained maximum.

Constrained maximum: stationarity gives L p^2 - (n + L) p + x = 0 with L = lambda c_h, so with b = n + L and
D = b^2 - 4 L x: p = 2x / (b + sqrt D) for b >= 0, (b - sqrt D) / (2 L) otherwise. sum c p(lambda) decreases in
lambda, and p <= n / L for L > 0, p >= 1 - n / |L| for L < 0 bound the root: -n/(C+ - t) <= lambda <= n/(C- + t),
n the number of all labels, C+ and C- the sums of the positive and the negated negative c.
All functions work on batches: arrays (..., H), one answer per leading index.
Source: profile likelihood for stratified proportions, e.g. Cox & Snell 1989, Analysis of Binary Data, 2.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats: TypeAlias = NDArray[np.float64]

INSET = 1e-9
"""How close to the ends of the range a limit is sought; one that is not found by there is the end itself."""
TOLERANCE = 1e-10
MOST_STEPS = 100
"""Never reached: a step that gains less than half is followed by a halving of the bracket."""


def constrained_proportions(n: Floats, x: Floats, c: Floats, lam: Floats) -> tuple[Floats, Floats]:
    """p_h that maximises the likelihood for the multiplier lam (...,), and dp/dlambda; 0 where a stratum is empty."""
    L = lam[..., None] * c
    b = n + L
    root = np.sqrt(np.maximum(b * b - 4 * L * x, 0))
    upper = b >= 0
    numerator = np.where(upper, 2 * x, b - root)
    denominator = np.where(upper, b + root, 2 * L)
    p = np.divide(numerator, denominator, out=np.zeros(L.shape), where=denominator != 0)
    # From the quadratic: dp/dL = p (1 - p) / (2 L p - b) and 2 L p - b = -sqrt D.
    slope = np.divide(-c * p * (1 - p), root, out=np.zeros(L.shape), where=root > 0)
    return p, slope


def deviance(n: Floats, x: Floats, c: Floats, t: Floats) -> Floats:
    """2 [l(p_hat) - l(p_tilde)] under sum c p = t, shape (...,); inf where no proportions satisfy the constraint."""
    total = n.sum(-1)
    positive, negative = np.maximum(c, 0).sum(-1), np.maximum(-c, 0).sum(-1)
    possible = (positive > t) & (negative > -t)
    low = -total / np.where(positive > t, positive - t, 1)
    high = total / np.where(negative > -t, negative + t, 1)
    p = constrained_proportions(n, x, c, _multiplier(n, x, c, t, (low, high)))[0]
    p_hat = np.divide(x, n, out=np.zeros(np.broadcast_shapes(x.shape, n.shape)), where=n > 0)
    gain = xlogy(x, p_hat) + xlogy(n - x, 1 - p_hat) - xlogy(x, p) - xlogy(n - x, np.maximum(1 - p, 0))
    return np.where(possible, np.maximum(2 * gain.sum(-1), 0), np.inf)


def _multiplier(n: Floats, x: Floats, c: Floats, t: Floats, bracket: tuple[Floats, Floats]) -> Floats:
    """lambda with sum c p(lambda) = t: Newton, by halves where Newton leaves the bracket or gains little."""
    low, high = bracket
    lam = np.clip(np.zeros_like(low), low, high)
    before = np.full(lam.shape, np.inf)
    for _ in range(MOST_STEPS):
        p, slope = constrained_proportions(n, x, c, lam)
        excess = (c * p).sum(-1) - t
        low, high = np.where(excess > 0, lam, low), np.where(excess > 0, high, lam)
        fall = (c * slope).sum(-1)
        newton = lam - np.divide(excess, fall, out=np.zeros_like(lam), where=fall < 0)
        use = (newton > low) & (newton < high) & (fall < 0) & (np.abs(excess) < before / 2)
        before = np.abs(excess)
        following = np.where(use, newton, (low + high) / 2)
        met = np.abs(excess) <= 1e-13 * ((np.abs(c) * p).sum(-1) + np.abs(t))
        lam = np.where(met, lam, following)
        if np.all(met | (high - low <= 1e-15 * np.abs(lam))):
            break
    return lam


def profile_limits(
    deviance_at: Callable[[Floats], Floats], estimate: Floats, critical: Floats, span: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Where the deviance reaches ``critical`` below and above the estimate, within ``span``; shapes (...,).

    Illinois' false position on sqrt(deviance), which is nearly linear in the distance to the estimate, for both sides at
    once; every third step halves (Dowell & Jarratt 1971, BIT 11:168).
    """
    ends = np.stack(np.broadcast_arrays(*span, estimate)[:2]).astype(float)
    inside = np.stack([estimate, estimate])
    outside = ends + INSET * (ends[1] - ends[0]) * np.array([1.0, -1.0]).reshape(2, *[1] * estimate.ndim)
    goal = np.sqrt(critical)
    g_in, g_out = np.broadcast_to(-goal, inside.shape).copy(), np.sqrt(deviance_at(outside)) - goal
    unbounded = g_out <= 0
    last = np.zeros(inside.shape)
    for step in range(MOST_STEPS):
        finite = np.isfinite(g_out) & (g_out > g_in)
        cut = np.divide(g_in, g_in - g_out, out=np.full(inside.shape, 0.5), where=finite)
        share = 0.5 if step % 3 == 2 else np.clip(cut, 1e-3, 1 - 1e-3)
        middle = inside + share * (outside - inside)
        g = np.sqrt(deviance_at(middle)) - goal
        ok = g <= 0
        inside, outside = np.where(ok, middle, inside), np.where(ok, outside, middle)
        # Illinois: the end that stays a second time loses half of its weight.
        g_out = np.where(ok, np.where(last > 0, g_out / 2, g_out), g)
        g_in = np.where(ok, g, np.where(last < 0, g_in / 2, g_in))
        last = np.where(ok, 1.0, -1.0)
        if np.all(unbounded | (np.abs(outside - inside) <= TOLERANCE) | (np.abs(g) <= TOLERANCE)):
            break
    # |g| may be met before the bracket closes: the last middle is then the limit.
    limits = np.where(unbounded, ends, np.where(np.abs(g) <= TOLERANCE, middle, inside))
    return limits[0], limits[1]
