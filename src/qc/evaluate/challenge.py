"""Challenge DR: known-defective parts sent through the line. Reported apart from production, never pooled with it.

Wilson's interval on x detected of n passes, both divided by the design effect, because passes of one part are alike:
deff = k/(k-1) sum_i (x_i - n_i p)^2 / (n p (1 - p)) over the k parts, at least 1 (ratio estimator of clusters,
Kish 1965, Survey Sampling, 5.4; Rao & Scott 1992, Biometrics 48:577). About 92 passes of many parts give +-5 points at
DR .94. The register decides what is measured: it is the DR of these parts, not of the defects that production makes.
"""

import numpy as np

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.sample import Bools, Ints
from qc.evaluate.wilson import wilson_interval


def challenge_detection_rate(detected: Bools, part: Ints, confidence: float = 0.95) -> Rate:
    """detected, part: shape (n,), one entry per pass; part codes tell which registered part it was.

    >>> rate = challenge_detection_rate(np.array([True, True, False, True]), np.array([0, 1, 2, 3]))
    >>> rate.n, rate.found, rate.estimate, round(rate.low, 3), round(rate.high, 3)
    (4, 3, 0.75, 0.301, 0.954)
    """
    n = len(detected)
    if len(part) != n:
        raise EvaluationError(f"part has {len(part)} entries, detected has {n}; they must match")
    if n == 0:
        return Rate(None, None, None, 0, 0, "wilson-clustered", confidence, not_estimable="no challenge part was passed")
    found = int(detected.sum())
    deff = design_effect(detected, part)
    low, high = wilson_interval(found / deff, n / deff, confidence)
    return Rate(found / n, float(low), float(high), n, found, "wilson-clustered", confidence)


def design_effect(detected: Bools, part: Ints) -> float:
    """How many times wider than independent passes the variance is; at least 1.

    >>> design_effect(np.array([True] * 10 + [False] * 10), np.repeat([0, 1], 10))
    20.0
    """
    _, code = np.unique(part, return_inverse=True)
    n_i = np.bincount(code).astype(float)
    x_i = np.bincount(code, detected)
    n, k, p = n_i.sum(), len(n_i), detected.mean()
    if k < 2 or p in (0.0, 1.0) or n == k:
        return 1.0
    return float(max(1.0, k / (k - 1) * ((x_i - n_i * p) ** 2).sum() / (n * p * (1 - p))))
