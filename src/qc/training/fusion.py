"""Which branches make the score, and with what weights: decided on out-of-fold scores of the data at hand.

Each branch is standardised on out-of-fold good images, so that equal weights are a sensible start. Candidates are every
single branch, the equal-weight sums of the good-only branches, of the labelled ones and of all, and a non-negative logistic stack.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from qc.domain.record import Json
from qc.training.branches import GOOD_ONLY, LABELLED
from qc.training.metrics import auroc

Index = NDArray[np.int64]
Scores = NDArray[np.float64]

TIE = (0.002, 0.008)
TIE_ERRORS = 0.25
"""Candidates this close to the best are equal, and the one with more branches is taken: it varies less on new parts. Close is a
quarter of the standard error that so few defects leave in an AUROC, within the bounds: the best of many is partly luck.
"""

MIN_DEFECTS_TO_CHOOSE = 8
STACK_PENALTY = 1.0


@dataclass(frozen=True, slots=True)
class Fusion:
    """raw = sum over branches of weight * (score - centre) / scale. measured: out-of-fold AUROC of every candidate."""

    branches: tuple[str, ...]
    weights: tuple[float, ...]
    centres: tuple[float, ...]
    scales: tuple[float, ...]
    chosen: str
    measured: dict[str, float]

    def raw(self, scores: dict[str, Scores]) -> Scores:
        parts = zip(self.branches, self.weights, self.centres, self.scales, strict=True)
        return np.asarray(np.sum([w * (scores[b] - c) / s for b, w, c, s in parts], axis=0))

    def as_json(self) -> dict[str, Json]:
        return {
            "chosen": self.chosen,
            "weights": {b: round(w, 4) for b, w in zip(self.branches, self.weights, strict=True)},
            "out_of_fold_auroc": {name: round(value, 4) for name, value in self.measured.items()},
        }


def fuse(scores: dict[str, Scores], labels: Index, folds: Index) -> Fusion:
    """scores: branch -> (n,) out-of-fold raw scores; labels: (n,) 0 / 1; folds: (n,)."""
    names = list(scores)
    good = labels == 0
    centres = {b: float(scores[b][good].mean()) for b in names}
    scales = {b: max(float(scores[b][good].std()), 1e-6) for b in names}
    z = np.stack([(scores[b] - centres[b]) / scales[b] for b in names], 1)
    candidates = _equal_weight_candidates(names)
    if labels.sum() < MIN_DEFECTS_TO_CHOOSE:
        chosen = "good-only" if "good-only" in candidates else "patch"
        measured: dict[str, float] = {}
    else:
        measured = {name: auroc(z @ w, labels) or 0.0 for name, w in candidates.items()}
        if len(names) > 1:
            measured["stack"] = auroc(_cross_fitted_stack(z, labels, folds), labels) or 0.0
            candidates["stack"] = _fit_stack(z, labels)
        best = max(measured.values())
        near = [name for name in measured if measured[name] >= best - _tie(best, int(labels.sum()))]
        chosen = max(near, key=lambda name: (np.count_nonzero(candidates[name]), measured[name]))
    weights = candidates[chosen]
    kept = [i for i in range(len(names)) if weights[i] > 0]
    return Fusion(
        tuple(names[i] for i in kept),
        tuple(float(weights[i]) for i in kept),
        tuple(centres[names[i]] for i in kept),
        tuple(scales[names[i]] for i in kept),
        chosen,
        measured,
    )


def _tie(best: float, defects: int) -> float:
    share = min(best, 1 - 0.5 / defects)
    return float(np.clip(TIE_ERRORS * (share * (1 - share) / defects) ** 0.5, *TIE))


def _equal_weight_candidates(names: list[str]) -> dict[str, NDArray[np.float64]]:
    groups = {name: [name] for name in names}
    groups |= {"good-only": [n for n in names if n in GOOD_ONLY], "labelled": [n for n in names if n in LABELLED], "all": names}
    sums = {name: np.array([float(n in members) for n in names]) for name, members in groups.items() if members}
    unique: dict[bytes, str] = {}
    for name, weights in sums.items():
        unique.setdefault(weights.tobytes(), name)  # a sum of one is that branch
    return {name: sums[name] / sums[name].sum() for name in unique.values()}


def _fit_stack(z: NDArray[np.float64], labels: Index) -> NDArray[np.float64]:
    """Non-negative weights of a class-balanced logistic model, pulled towards equal ones; they sum to 1."""
    balance = np.where(labels == 1, 0.5 / max(labels.sum(), 1), 0.5 / max((labels == 0).sum(), 1))
    x = np.arcsinh(z)  # a few extreme distances must not decide the weights
    target = 1 / z.shape[1]

    def loss(parameters: NDArray[np.float64]) -> float:
        logits = x @ parameters[:-1] + parameters[-1]
        fit = balance @ (np.logaddexp(0, logits) - labels * logits)
        return float(fit + STACK_PENALTY * ((parameters[:-1] - target) ** 2).sum() / len(labels) ** 0.5)

    start = np.append(np.full(z.shape[1], target), 0.0)
    bounds = [(0.0, None)] * z.shape[1] + [(None, None)]
    weights = minimize(loss, start, bounds=bounds, method="L-BFGS-B").x[:-1]
    weights[weights < 0.05 * weights.max()] = 0.0
    return np.asarray(weights / weights.sum() if weights.sum() > 0 else np.full(z.shape[1], target))


def _cross_fitted_stack(z: NDArray[np.float64], labels: Index, folds: Index) -> Scores:
    out = np.zeros(len(labels))
    for number in np.unique(folds):
        held_out = folds == number
        fitted = _fit_stack(z[~held_out], labels[~held_out])
        out[held_out] = z[held_out] @ fitted
    return out
