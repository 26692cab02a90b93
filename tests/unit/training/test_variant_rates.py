"""One threshold for several variants: a variant that it does not suit is named, with one of its own."""

import numpy as np
import pytest

from qc.training.thresholds import Aim
from qc.training.variant_rates import rates_by_variant

pytestmark = pytest.mark.train


def test_a_variant_that_scores_higher_gets_a_threshold_of_its_own():
    rng = np.random.default_rng(0)
    good, bad = rng.uniform(0, 0.4, (2, 100)), rng.uniform(0.6, 0.9, (2, 40))
    scores = np.concatenate([good[0], bad[0], good[1] + 0.3, bad[1] + 0.09])
    labels = np.repeat([0, 1, 0, 1], [100, 40, 100, 40])
    table, limits = rates_by_variant(scores, labels, ["a"] * 140 + ["b"] * 140, 0.5, Aim())
    assert table["a"]["false_positive_rate"]["estimate"] == 0
    assert table["b"]["false_positive_rate"]["estimate"] == pytest.approx(0.5, abs=0.15)
    assert len(limits) == 1
    assert limits[0].startswith("variant b: ")
    assert table["b"]["own_reject_at"] > 0.6


def test_one_variant_needs_no_table():
    assert rates_by_variant(np.linspace(0, 1, 30), np.zeros(30, np.int64), ["a"] * 30, 0.5, Aim()) == ({}, [])
