"""Differences between periods and models."""

import numpy as np
import pytest
from simulations.worlds import W1

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.compare import (
    PairedPopulation,
    independent_difference,
    paired_detection_difference,
    paired_false_positive_difference,
    refine_by_joint_decision,
)
from qc.evaluate.sample import LabelledSample
from qc.evaluate.wilson import wilson_rate


def test_newcombes_published_example():
    """Newcombe 1998, table II (a), 56/70 - 48/80, method 10."""
    d = independent_difference(wilson_rate(48, 80, "parts"), wilson_rate(56, 70, "parts"))
    assert (round(d.low, 4), round(d.high, 4)) == (0.0524, 0.3339)
    assert d.significant


def test_what_one_side_cannot_say_the_difference_cannot_say():
    unknown = Rate(None, None, None, 12, 0, "any", not_estimable="no defect")
    d = independent_difference(wilson_rate(48, 80, "parts"), unknown)
    assert d.estimate is None
    assert d.not_estimable == "second: no defect"
    assert not d.significant


def test_different_confidence_is_an_error():
    with pytest.raises(EvaluationError, match="confidence"):
        independent_difference(wilson_rate(1, 9, "parts"), wilson_rate(1, 9, "parts", 0.9))


def two_models(rng, parts=20_000):
    """The incumbent is W1; the candidate sees half of the same noise. Strata of joint decision, labels drawn by them."""
    score, defective = W1.draw(rng, parts, 0.05)
    other = score + rng.normal(0, 0.7, parts) + 0.4 * defective
    a, b = score >= W1.reject_at, other >= W1.reject_at
    cell = refine_by_joint_decision(np.zeros(parts, np.int64), a, b)
    q = np.array([0.02, 0.3, 0.3, 0.15])[cell]
    drawn = rng.random(parts) < q
    sample = LabelledSample(defective[drawn], cell[drawn], q[drawn])
    codes = np.arange(4)
    return sample, PairedPopulation(np.bincount(cell, minlength=4), codes >= 2, codes % 2 == 1)


def true_differences():
    rng = np.random.default_rng(0)
    score, defective = W1.draw(rng, 2_000_000, 0.05)
    other = score + rng.normal(0, 0.7, len(score)) + 0.4 * defective
    d = (other >= W1.reject_at).astype(float) - (score >= W1.reject_at)
    return d[defective].mean(), d[~defective].mean()


def test_paired_intervals_cover():
    dr, fpr = true_differences()
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(36):
        sample, population = two_models(rng)
        one, two = paired_detection_difference(sample, population), paired_false_positive_difference(sample, population)
        hits += [one.low <= dr <= one.high, two.low <= fpr <= two.high]
    assert hits.min() >= 31  # 95 % of 36 is 34; 30 or fewer has probability .006


def test_paired_needs_labels_where_the_models_disagree():
    sample = LabelledSample(np.array([True, False] * 20), np.array([0, 3] * 20), np.full(40, 0.1))
    population = PairedPopulation(
        np.array([300, 20, 30, 300]), np.array([False, False, True, True]), np.array([False, True, False, True])
    )
    assert "only the first model rejects" in paired_detection_difference(sample, population).not_estimable


def test_equal_models_differ_by_nothing():
    sample = LabelledSample(np.array([True, False] * 20), np.array([0, 1] * 20), np.full(40, 0.1))
    d = paired_detection_difference(
        sample, PairedPopulation(np.array([300, 300]), np.array([False, True]), np.array([False, True]))
    )
    assert (d.estimate, d.low, d.high) == (0, 0, 0)
