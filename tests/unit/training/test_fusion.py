"""The choice of branches follows the data and never falls far behind the best single branch."""

import numpy as np
import pytest

from qc.training.fusion import fuse
from qc.training.metrics import auroc

pytestmark = pytest.mark.train


def draw(rng, n, strengths):
    labels = (np.arange(n) % 3 == 0).astype(np.int64)
    return labels, {name: rng.normal(0, 1, n) + strength * labels for name, strength in strengths.items()}


@pytest.mark.parametrize(
    "strengths",
    [
        {"patch": 3.0, "mahalanobis": 0.0, "logistic": 0.0},
        {"patch": 0.0, "mahalanobis": 0.0, "logistic": 3.0},
        {"patch": 1.5, "mahalanobis": 1.5, "logistic": 1.5},
        {"patch": -1.0, "mahalanobis": 2.0, "logistic": 0.5},
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_never_more_than_a_point_worse_than_the_best_single_branch(strengths, seed):
    rng = np.random.default_rng(seed)
    labels, scores = draw(rng, 240, strengths)
    fusion = fuse(scores, labels, np.arange(240) % 5)
    new_labels, new_scores = draw(rng, 3000, strengths)
    best = max(auroc(s, new_labels) for s in new_scores.values())
    assert auroc(fusion.raw(new_scores), new_labels) >= best - 0.01


def test_equal_branches_are_added():
    rng = np.random.default_rng(2)
    labels, scores = draw(rng, 300, {"patch": 1.5, "mahalanobis": 1.5, "logistic": 1.5})
    assert len(fuse(scores, labels, np.arange(300) % 5).branches) == 3


def test_without_defects_the_good_only_branches_are_added():
    rng = np.random.default_rng(3)
    scores = {"patch": rng.normal(5, 2, 50), "mahalanobis": rng.normal(30, 4, 50)}
    fusion = fuse(scores, np.zeros(50, np.int64), np.arange(50) % 5)
    assert fusion.chosen == "good-only"
    assert fusion.weights == (0.5, 0.5)
    assert fusion.raw(scores).mean() == pytest.approx(0, abs=1e-9)
