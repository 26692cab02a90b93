"""p(s) recovers a known curve, stays sane with almost no labels, and respects the weights."""

import numpy as np
import pytest

from qc.domain.errors import SamplingError
from qc.label.calibration import defect_probability

GRID = np.linspace(0.01, 0.99, 50)


def test_many_labels_recover_the_true_curve() -> None:
    rng = np.random.default_rng(1)
    s = rng.random(20_000)
    y = rng.random(s.size) < s**2
    assert np.abs(defect_probability(GRID, s, y, np.ones(s.size)) - GRID**2).max() < 0.08


def test_unequal_probabilities_are_undone_by_their_weights() -> None:
    rng = np.random.default_rng(2)
    s = rng.random(60_000)
    y = rng.random(s.size) < s**2
    q = np.where(y, 0.9, 0.1)  # defects are nine times as likely to be in the sample
    drawn = rng.random(s.size) < q
    weighted = defect_probability(GRID, s[drawn], y[drawn], 1 / q[drawn])
    unweighted = defect_probability(GRID, s[drawn], y[drawn], np.ones(drawn.sum()))
    assert np.abs(weighted - GRID**2).max() < 0.12
    assert np.abs(unweighted - GRID**2).max() > 0.25


def test_without_labels_the_score_stands_for_itself() -> None:
    assert np.allclose(defect_probability(GRID, [], [], []), GRID)


def test_goods_only_lower_the_curve_and_leave_it_above_zero() -> None:
    s = np.linspace(0.01, 0.3, 200)
    p = defect_probability(GRID, s, np.zeros(200), np.ones(200))
    assert np.all(p[GRID < 0.2] < 0.05)
    assert np.all(p > 0)


@pytest.mark.parametrize("defects", [0, 3, 29, 300])
def test_a_higher_score_is_never_less_likely_defective(defects: int) -> None:
    rng = np.random.default_rng(defects)
    s = rng.random(2000)
    y = np.zeros(2000)
    y[rng.choice(2000, defects, replace=False)] = 1  # even when the labels say that the score is worthless
    assert np.all(np.diff(defect_probability(GRID, s, y, np.ones(2000))) >= -1e-12)


def test_even_labels_that_turn_the_score_upside_down_do_not_turn_the_curve() -> None:
    s = np.concatenate([np.full(25, 0.02), np.full(2000, 0.9)])
    y = np.concatenate([np.ones(25), np.zeros(2000)])
    assert np.all(np.diff(defect_probability(GRID, s, y, np.ones(s.size))) >= 0)


def test_a_few_defects_at_the_top_are_found_by_platt() -> None:
    s = np.concatenate([np.linspace(0.01, 0.4, 95), np.linspace(0.8, 0.99, 5)])
    y = np.concatenate([np.zeros(95), np.ones(5)])
    p = defect_probability(np.array([0.05, 0.95]), s, y, np.ones(100))
    assert p[0] < 0.03
    assert p[1] > 0.6


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([0.1, 0.2], [0], [1, 1]), "one value per label"),
        (([1.1], [0], [1]), r"scores must lie in \[0, 1\]"),
        (([0.1], [2], [1]), "unsure"),
        (([0.1], [0], [0.5]), "at least 1"),
        (([0.1], [0], [np.inf]), "at least 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: tuple[list[float], list[float], list[float]], message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        defect_probability(GRID, *arrays)
