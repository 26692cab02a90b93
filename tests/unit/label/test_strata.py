"""Cut points and allocation against values worked out by hand, and their invariants."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import SamplingError
from qc.label import strata
from qc.label.strata import allocate, anticipated_detection_rate, anticipated_variance, cut_points, is_accepted_stratum


def test_cut_points_share_the_spread_equally() -> None:
    scores = np.arange(8.0)
    p = np.full(8, 0.5)
    assert cut_points(scores, p, 4) == (1.5, 3.5, 5.5)


def test_cut_points_move_to_where_the_defects_are_uncertain() -> None:
    scores = np.arange(100.0)
    p = np.where(scores < 90, 1e-6, 0.5)
    # 90 * 0.001 + 10 * 0.5 = 5.09; half of it is reached with the fifth of the uncertain parts.
    assert cut_points(scores, p, 2) == (94.5,)


def test_tied_scores_merge_their_classes() -> None:
    assert cut_points(np.array([0.2] * 50), np.full(50, 0.1), 5) == ()
    assert cut_points(np.array([0.2] * 50 + [0.4] * 50), np.full(100, 0.1), 5) == pytest.approx((0.3,))
    assert cut_points(np.array([0.2]), np.array([0.1]), 5) == ()


def test_parts_without_any_uncertainty_are_split_by_number() -> None:
    assert cut_points(np.arange(4.0), np.zeros(4), 2) == (1.5,)


@given(
    scores=st.lists(st.floats(0, 1), min_size=2, max_size=60),
    strata=st.integers(1, 6),
    seed=st.integers(0, 100),
)
def test_cut_points_leave_no_class_empty(scores: list[float], strata: int, seed: int) -> None:
    s = np.array(scores)
    cuts = cut_points(s, np.random.default_rng(seed).random(s.size), strata)
    assert len(cuts) < strata
    assert list(cuts) == sorted(set(cuts))
    counts = np.bincount(np.searchsorted(cuts, s, side="right"), minlength=len(cuts) + 1)
    assert np.all(counts > 0)


def test_allocation_is_the_formula() -> None:
    parts, rejected, p = np.array([6000.0, 3000.0, 1000.0]), np.array([False, False, True]), np.array([0.0001, 0.01, 0.5])
    r0, e, n = 0.9, 0.3, 100
    w = parts / parts.sum()
    targeted = w * np.abs(rejected - r0) * np.sqrt(p * (1 - p))
    expected = n * ((1 - e) * targeted / targeted.sum() + e * w)
    assert np.allclose(allocate(parts, rejected, p, labels=n, detection_rate=r0, exploration=e), expected)


def test_what_a_full_stratum_cannot_use_goes_to_the_others() -> None:
    n = allocate([10, 990], [True, False], [0.5, 0.0001], labels=500, detection_rate=0.5)
    assert n[0] == 10
    assert n.sum() == pytest.approx(500)


def test_more_labels_than_parts_means_all_parts() -> None:
    assert allocate([10, 20], [False, True], [0.1, 0.2], labels=1000, detection_rate=0.9).tolist() == [10, 20]


@given(
    data=st.lists(st.tuples(st.floats(0.5, 1e6), st.booleans(), st.floats(0, 1)), min_size=1, max_size=8),
    labels=st.floats(0.5, 1e6),
    rate=st.floats(0, 1),
    exploration=st.floats(0.01, 1),
)
def test_allocation_spends_the_budget_and_forgets_no_stratum(
    data: list[tuple[float, bool, float]], labels: float, rate: float, exploration: float
) -> None:
    parts, rejected, p = (np.array(column) for column in zip(*data, strict=True))
    n = allocate(parts, rejected, p, labels=labels, detection_rate=rate, exploration=exploration)
    assert np.all(n > 0)
    assert np.all(n <= parts * (1 + 1e-9))
    assert n.sum() == pytest.approx(min(labels, parts.sum()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": 0}, "0 labels"),
        ({"exploration": 0}, "exploration"),
        ({"detection_rate": 1.2}, "detection rate"),
        ({"parts": [0, 10]}, "positive"),
        ({"p": [0.1, 1.5]}, r"\[0, 1\]"),
        ({"p": [0.1]}, "one value per stratum"),
    ],
)
def test_impossible_requests_say_why(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"parts": [10, 10], "rejected": [False, True], "p": [0.1, 0.2], "labels": 5, "detection_rate": 0.9}
    with pytest.raises(SamplingError, match=message):
        allocate(**(good | change))


def test_the_formula_beats_equal_shares_when_defects_are_rare() -> None:
    parts, rejected, p = np.array([8000.0, 1500.0, 500.0]), np.array([False, False, True]), np.array([1e-4, 5e-3, 0.1])
    best = allocate(parts, rejected, p, labels=200, detection_rate=0.9)
    proportional = parts / parts.sum() * 200
    variance = [anticipated_variance(parts, rejected, p, n, detection_rate=0.9) for n in (best, proportional)]
    assert variance[0] < 0.75 * variance[1]


def test_anticipated_detection_rate() -> None:
    assert anticipated_detection_rate([0.3, 0.1], [True, False]) == pytest.approx(0.75)
    assert anticipated_detection_rate([0.3, 0.0], [True, False]) == 0.98
    assert anticipated_detection_rate([0.0, 0.0], [True, False]) == 0.9


def test_the_side_is_in_the_name() -> None:
    assert is_accepted_stratum("a3")
    assert not is_accepted_stratum("r1")


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(strata).failed == 0


def test_every_stratum_gets_its_least_and_the_sum_stays() -> None:
    parts, rejected, p = [9000, 700, 200, 5], [False, False, True, True], [0.0005, 0.01, 0.05, 0.6]
    free = allocate(parts, rejected, p, labels=400, detection_rate=0.94)
    assert free[2] < 20
    floored = allocate(parts, rejected, p, labels=400, detection_rate=0.94, least=20)
    assert floored.sum() == pytest.approx(400)
    assert floored[:3].min() >= 20
    assert floored[3] == 5  # all it has
    assert floored[0] / floored[1] == pytest.approx(free[0] / free[1])
    assert (allocate(parts, rejected, p, labels=4, detection_rate=0.94, least=20) <= 1 + 1e-9).all()
