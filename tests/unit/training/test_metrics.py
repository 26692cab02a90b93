"""Separation and rates, by hand-worked values."""

import doctest

import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.training import metrics

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.35, 0.8, 0.9])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])


def test_documented_examples_are_exact():
    assert doctest.testmod(metrics, extraglobs={"np": np}).failed == 0


def test_auroc_counts_pairs_in_the_right_order():
    assert metrics.auroc(SCORES, LABELS) == pytest.approx(11 / 12)
    assert metrics.auroc(np.ones(4), np.array([0, 1, 0, 1])) == 0.5


def test_average_precision_of_one_misplaced_defect():
    assert metrics.average_precision(SCORES, LABELS) == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_operating_points_respect_their_limits():
    assert metrics.dr_at_fpr(SCORES, LABELS, 0.08) == pytest.approx(2 / 3)
    assert metrics.dr_at_fpr(SCORES, LABELS, 0.25) == 1.0
    assert metrics.fpr_at_dr(SCORES, LABELS, 0.94) == 0.25
    assert metrics.fpr_at_dr(SCORES, LABELS, 0.6) == 0.0


def test_one_class_gives_no_number():
    only_good = np.zeros(3, np.int64)
    assert metrics.auroc(SCORES[:3], only_good) is None
    assert metrics.dr_at_fpr(SCORES[:3], only_good) is None
    detection, false_positive = metrics.rates_at(SCORES[:3], only_good, 0.25)
    assert detection.estimate is None
    assert (false_positive.estimate, false_positive.n) == (pytest.approx(1 / 3), 3)


def test_nothing_needs_review_when_one_threshold_does():
    assert metrics.review_share(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])) == 0.0


def test_hopeless_scores_send_nearly_everything_to_review():
    rng = np.random.default_rng(0)
    share = metrics.review_share(rng.random(400), rng.integers(0, 2, 400))
    assert share > 0.8


def test_aupro_of_a_perfect_and_a_blind_map():
    mask = np.zeros((10, 10), bool)
    mask[2:4, 2:4] = True
    perfect = mask.astype(np.float32)
    assert metrics.aupro([perfect], [mask]) == pytest.approx(1.0)
    assert metrics.aupro([1 - perfect], [mask]) == 0.0
    assert metrics.aupro([perfect], [np.zeros_like(mask)]) is None


@pytest.mark.parametrize(("scores", "labels"), [(np.array([0.1, np.nan]), np.array([0, 1])), (np.array([0.1]), np.array([0, 1]))])
def test_inconsistent_arrays_are_refused(scores, labels):
    with pytest.raises(EvaluationError):
        metrics.auroc(scores, labels)
