"""Confident learning: which labels contradict what the other pictures teach.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70 (2021). A picture counts as
confidently of class j when its out-of-fold probability of j reaches the mean probability of j over the pictures labelled
j. Pictures labelled i and confidently j form the confident joint; its off-diagonal pictures are the suspects, ranked
by the normalised margin p(given label) - max p(other).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from qc.domain.errors import EvaluationError
from qc.training.splits import Folds

DIRECTIONS: Final = 96
L2: Final = 0.05
"""Weight decay per picture on standardised features; planted errors were ranked alike from .005 to .1, and .05 doubts fewest sound labels."""


def suspects(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of probably wrong labels, most certain first.

    probabilities: (n, k) out-of-fold, rows sum to 1; labels: (n,) in [0, k). Raises EvaluationError.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> suspects(p, np.array([0, 0, 1, 1, 0])).tolist()
    [4]
    """
    n, k = probabilities.shape
    if labels.shape != (n,) or not ((labels >= 0) & (labels < k)).all():
        raise EvaluationError(f"{n} rows of probabilities for {k} classes do not fit labels of shape {labels.shape}")
    own = probabilities[np.arange(n), labels]
    thresholds = np.array([own[labels == j].mean() if (labels == j).any() else np.inf for j in range(k)])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    believed = confident.argmax(1)
    wrong = (confident.max(1) >= 0.0) & (believed != labels)
    others = probabilities.copy()
    others[np.arange(n), labels] = -1.0
    margin = own - others.max(1)
    indices = np.flatnonzero(wrong)
    return np.asarray(indices[np.argsort(margin[indices], kind="stable")], dtype=np.int64)


def out_of_fold_probabilities(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, folds: Folds
) -> NDArray[np.float64]:
    """(n, classes): each row from a softmax regression that never saw the picture's group. features: (n, d)."""
    result = np.full((len(labels), classes), 1.0 / classes)
    for train, held_out in folds:
        if len(train) and len(held_out):
            result[held_out] = _fit_and_predict(features[train], labels[train], classes, features[held_out])
    return result


def _fit_and_predict(
    x: NDArray[np.float32], y: NDArray[np.int64], classes: int, unseen: NDArray[np.float32]
) -> NDArray[np.float64]:
    mean, scale = x.mean(0), x.std(0) + 1e-3
    x, unseen = (x - mean) / scale, (unseen - mean) / scale
    directions = _principal(x)
    inputs, unseen_inputs = _with_bias(x @ directions), _with_bias(unseen @ directions)
    counts = np.bincount(y, minlength=classes)
    weight = (1.0 / np.maximum(counts, 1))[y]
    weight /= weight.sum()
    given = np.eye(classes)[y]
    decay = np.full((inputs.shape[1], 1), L2)
    decay[-1] = 0.0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = flat.reshape(inputs.shape[1], classes)
        logits = inputs @ w
        value = -float((weight[:, None] * given * log_softmax(logits, axis=1)).sum()) + 0.5 * float((decay * w * w).sum())
        gradient = inputs.T @ (weight[:, None] * (softmax(logits, axis=1) - given)) + decay * w
        return value, np.asarray(gradient, dtype=np.float64).ravel()

    fitted = minimize(loss, np.zeros(inputs.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    probabilities = softmax(unseen_inputs @ fitted.x.reshape(inputs.shape[1], classes), axis=1)
    # A class that this fold has never seen cannot be doubted or believed.
    probabilities[:, counts == 0] = 0.0
    return np.asarray(probabilities / probabilities.sum(1, keepdims=True), dtype=np.float64)


def _principal(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(d, at most DIRECTIONS) principal directions of x (n, d), from the smaller of the two Gram matrices."""
    n, d = x.shape
    if d <= n:
        return np.asarray(np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :DIRECTIONS], dtype=np.float32)
    values, vectors = np.linalg.eigh(x @ x.T)
    keep = np.argsort(-values)[:DIRECTIONS]
    keep = keep[values[keep] > 1e-6 * values.max()]
    return np.asarray(x.T @ vectors[:, keep] / np.sqrt(values[keep]), dtype=np.float32)


def _with_bias(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.hstack([x.astype(np.float64), np.ones((len(x), 1))])
