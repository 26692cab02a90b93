"""p(s) = P(defective | score) from sampled labels: only used to place strata and labels, never to report a rate."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc.domain.errors import SamplingError

Floats: TypeAlias = NDArray[np.float64]

_FLOOR = 0.01
ISOTONIC_FROM = 30
"""Defects and goods needed for isotonic regression; with fewer, its steps follow single labels."""


def defect_probability(scores: ArrayLike, label_scores: ArrayLike, defective: ArrayLike, weights: ArrayLike) -> Floats:
    """P(defective | score) at each of ``scores``, from labelled parts.

    scores: (N,) in [0, 1]. label_scores, defective, weights: (n,), the labelled parts' scores, 0/1 truths and 1/q.
    Weighted isotonic regression when at least 30 defects and 30 goods were found; otherwise Platt scaling on the log-odds of
    the score with a weak prior (slope 1, the calibrated score as it stands), which is sensible with no defect at all.
    Values are kept off 0 and 1, because a stratum in which no defect was found yet may still hold some.

    Raises SamplingError for arrays that do not fit together. Sources: Platt 1999; Zadrozny & Elkan 2002.
    """
    s, x, y, w = (np.asarray(a, np.float64) for a in (scores, label_scores, defective, weights))
    if not x.shape == y.shape == w.shape or x.ndim != 1:
        raise SamplingError(f"label scores, truths and weights need one value per label; got {x.shape}, {y.shape}, {w.shape}")
    if not (np.all((s >= 0) & (s <= 1)) and np.all((x >= 0) & (x <= 1))):
        raise SamplingError("scores must lie in [0, 1]")
    if not np.all(np.isin(y, (0, 1))):
        raise SamplingError("truths must be 0 (good) or 1 (defective); leave out the unsure ones")
    if not np.all(np.isfinite(w) & (w >= 1)):
        raise SamplingError("weights are 1/q with q in (0, 1], so each is at least 1")
    defects = int(y.sum())
    p = _isotonic(s, x, y, w) if min(defects, y.size - defects) >= ISOTONIC_FROM else _platt(s, x, y, w)
    floor = min(_FLOOR, 0.5 / (y.size + 1))
    return np.clip(p, floor, 1 - floor)


def _isotonic(s: Floats, x: Floats, y: Floats, w: Floats) -> Floats:
    from scipy.optimize import isotonic_regression  # a third of a second to import: not at the start of the line

    order = np.argsort(x, kind="stable")
    knots, first = np.unique(x[order], return_index=True)
    weight = np.add.reduceat(w[order], first)
    mean = np.add.reduceat((w * y)[order], first) / weight
    return np.interp(s, knots, isotonic_regression(mean, weights=weight).x)


def _platt(s: Floats, x: Floats, y: Floats, w: Floats) -> Floats:
    """sigmoid(a logit(score) + b) by penalised maximum likelihood, Newton steps; prior a ~ N(1, 0.5), b ~ N(0, 4)."""
    centre, precision = np.array([1.0, 0.0]), np.diag([1 / 0.5**2, 1 / 4.0**2])
    design = np.column_stack([_logit(x), np.ones_like(x)])
    weight = w * (w.size / w.sum()) if w.size else w  # the labels count as n observations, not as N
    beta = centre.copy()
    for _ in range(50):
        p = _sigmoid(design @ beta)
        gradient = design.T @ (weight * (y - p)) - precision @ (beta - centre)
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + precision
        step = np.linalg.solve(hessian, gradient)
        beta += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))  # no step longer than 2: cannot overshoot
        if np.abs(step).max() < 1e-8:
            break
    beta[0] = max(beta[0], 0.0)  # a higher score is never less defective
    return _sigmoid(np.column_stack([_logit(s), np.ones_like(s)]) @ beta)


def _logit(score: Floats) -> Floats:
    inside = np.clip(score, 1e-4, 1 - 1e-4)
    return np.log(inside / (1 - inside))


def _sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(z, -35, 35)))
