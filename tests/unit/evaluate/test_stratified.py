"""Rates from unequal draws: intervals that cover, weights that matter, and refusals instead of wrong numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulations.rates import ignoring_probabilities, noisy_inspector, pipeline_quality, rates_quality, same_in_any_order
from simulations.worlds import W1, W2, W3, W4, Design, draw_counts

from qc.domain.errors import EvaluationError
from qc.evaluate.profile import deviance
from qc.evaluate.sample import LabelledSample, Population, StratumCounts, merge_thin_strata
from qc.evaluate.stratified import (
    detection_rate,
    detection_rate_intervals,
    escapes_ppm,
    false_positive_rate,
    precision,
    prevalence,
)

POPULATION = Population(np.array([8000, 1000, 600, 400]), np.array([False, False, True, True]))


def sample(n, x, q, **extra):
    """n labels per stratum of POPULATION, x of them defective."""
    stratum = np.repeat(np.arange(4), n)
    defective = np.concatenate([np.arange(size) < bad for size, bad in zip(n, x, strict=True)])
    return LabelledSample(defective, stratum, np.array(q)[stratum], **extra)


USUAL = sample([80, 50, 60, 80], [1, 2, 20, 70], [0.01, 0.05, 0.1, 0.2])


# Reduced versions of points 1, 2, 11 and 12 of docs/monitoring.md; bounds are 4 standard errors beside the claims.


@pytest.mark.parametrize(
    ("world", "share", "labels"), [(W1, 0.01, 1000), (W2, 0.01, 2000), (W3, 0.05, 2000), (W4, 0.05, 1000)], ids=str
)
def test_intervals_cover_and_points_are_unbiased(world, share, labels):
    dr, fpr = rates_quality(world, share, labels, replications=800, seed=11)
    assert dr.coverage >= 91.5
    assert fpr.coverage >= 90.5
    assert abs(dr.bias) <= 1.0
    assert abs(fpr.bias) <= 0.1


def test_widths_are_those_of_the_design():
    dr, fpr = rates_quality(W1, 0.01, 2000, replications=400, seed=3)
    assert 9.5 <= dr.half_width <= 11.2
    assert 0.25 <= fpr.half_width <= 0.40
    wide, _ = rates_quality(W1, 0.01, 400, replications=200, seed=3)
    assert 30 <= wide.half_width <= 40


def test_without_two_phase_widening_fpr_would_not_cover():
    """All rejects verified: only the widening carries the uncertainty of the shares W."""
    _, fpr = rates_quality(W1, 0.05, 5000, replications=600, seed=5, parts=20_000, verify_rejects=True)
    assert fpr.coverage >= 92


def test_whole_pipeline_part_by_part():
    dr, fpr = pipeline_quality(W1, 0.02, 600, replications=30, seed=7)
    assert dr >= 85
    assert fpr >= 85


def test_ignoring_the_probabilities_is_badly_biased():
    """Why q is kept with every ticket: the same labels without it."""
    counts = draw_counts(np.random.default_rng(2), Design(W2, W2, 0.01, 2000), 100_000, 300, verify_rejects=True)
    honest = np.nanmean(detection_rate_intervals(counts).estimate) - W2.detection_rate
    naive = np.nanmean(detection_rate_intervals(ignoring_probabilities(counts)).estimate) - W2.detection_rate
    assert abs(honest) < 0.02
    assert naive > 0.05


def test_second_look_rescues_the_rate_from_false_defects():
    common = {"specificity": 0.995, "sensitivity": 1.0, "replications": 300, "seed": 9}
    with_look = noisy_inspector(W1, 0.01, 2000, adjudicate=True, **common)
    without = noisy_inspector(W1, 0.01, 2000, adjudicate=False, **common)
    assert abs(with_look.bias) <= 1.5
    assert with_look.coverage >= 91
    assert without.bias < -15


def test_order_of_labels_does_not_matter():
    assert same_in_any_order(seed=4) < 1e-12


# Points and limits


def test_points_are_the_weighted_shares():
    defects = np.array([8000 / 80, 1000 * 2 / 50, 600 / 3, 400 * 7 / 8])
    rate = detection_rate(USUAL, POPULATION)
    assert rate.estimate == pytest.approx(defects[2:].sum() / defects.sum())
    assert (rate.n, rate.found) == (270, 93)
    goods = POPULATION.parts - defects
    assert false_positive_rate(USUAL, POPULATION).estimate == pytest.approx(goods[2:].sum() / goods.sum())
    assert escapes_ppm(USUAL, POPULATION).estimate == pytest.approx(1e6 * defects[:2].sum() / 10_000)
    assert prevalence(USUAL, POPULATION).estimate == pytest.approx(defects.sum() / 10_000)
    assert precision(USUAL, POPULATION).estimate == pytest.approx(defects[2:].sum() / 1000)


@pytest.mark.parametrize("rate", [detection_rate, false_positive_rate, escapes_ppm, prevalence, precision])
def test_limits_enclose_the_point(rate):
    result = rate(USUAL, POPULATION)
    assert 0 <= result.low < result.estimate < result.high <= (1e6 if rate is escapes_ppm else 1)
    narrower = rate(USUAL, POPULATION, confidence=0.8)
    assert result.low < narrower.low < narrower.high < result.high


def test_one_stratum_per_side_agrees_with_the_closed_form():
    """Two strata, proportions free: the profile deviance of r is that of the best point on the line, found by brute force."""
    n, x, W = np.array([90.0, 100.0]), np.array([2.0, 80.0]), np.array([0.9, 0.1])
    r = 0.7
    accepted = np.linspace(1e-6, 1, 400_001)
    rejected = accepted * W[0] * r / (W[1] * (1 - r))
    ok = (rejected > 0) & (rejected < 1)
    a, b = accepted[ok], rejected[ok]
    likelihood = x[0] * np.log(a) + (n[0] - x[0]) * np.log1p(-a) + x[1] * np.log(b) + (n[1] - x[1]) * np.log1p(-b)
    p = x / n
    best = (x * np.log(p) + (n - x) * np.log(1 - p)).sum()
    got = deviance(n, x, W * (np.array([0.0, 1.0]) - r), np.array(0.0))
    assert float(got) == pytest.approx(2 * (best - likelihood.max()), abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 60), st.floats(0, 1)), min_size=4, max_size=4),
    st.lists(st.floats(0.001, 0.01), min_size=4, max_size=4),
)
def test_any_table_gives_ordered_limits(cells, q):
    n = np.array([size for size, _ in cells], float)
    x = np.array([round(size * share) for size, share in cells], float)
    counts = StratumCounts.of_constant_q(np.array([5e4, 4e4, 3e4, 2e4]), np.array([0.0, 0, 1, 1]), n, x, np.array(q))
    intervals = detection_rate_intervals(counts)
    if x.sum() == 0:
        assert np.isnan(intervals.estimate)
        assert (intervals.low, intervals.high) == (0, 1)
    else:
        assert 0 <= intervals.low <= intervals.estimate <= intervals.high <= 1


# Refusals


def test_rejects_only_is_not_estimable():
    rejects = sample([0, 0, 60, 80], [0, 0, 20, 70], [0.01, 0.05, 0.1, 0.2])
    for rate in (detection_rate, false_positive_rate, escapes_ppm, prevalence):
        result = rate(rejects, POPULATION)
        assert result.estimate is None
        assert result.low is None
        assert "no accepted part is labelled" in result.not_estimable
    assert precision(rejects, POPULATION).estimate == pytest.approx(0.55)


def test_no_defect_found_is_not_estimable():
    result = detection_rate(sample([80, 50, 60, 80], [0, 0, 0, 0], [0.01, 0.05, 0.1, 0.2]), POPULATION)
    assert "no defect" in result.not_estimable
    assert (result.n, result.found) == (270, 0)


def test_nothing_rejected_is_not_estimable():
    population = Population(np.array([8000, 1000, 0, 0]), POPULATION.rejected)
    result = detection_rate(sample([80, 50, 0, 0], [1, 1, 0, 0], [0.01, 0.05, 0.1, 0.2]), population)
    assert result.not_estimable == "no part was rejected"


def test_no_labels_at_all_is_not_estimable():
    assert detection_rate(sample([0] * 4, [0] * 4, [1.0] * 4), POPULATION).not_estimable


def test_missing_probability_is_an_error():
    with pytest.raises(EvaluationError, match="no inclusion probability"):
        LabelledSample(np.array([True]), np.array([0]), np.array([np.nan]))


@pytest.mark.parametrize(("q", "message"), [(20.0, "reversed"), (0.0, "greater than 0"), (-0.1, "greater than 0")])
def test_impossible_probability_is_an_error(q, message):
    with pytest.raises(EvaluationError, match=message):
        LabelledSample(np.array([True]), np.array([0]), np.array([q]))


def test_probabilities_in_reverse_order_are_an_error():
    with pytest.raises(EvaluationError, match="swapped or reversed"):
        detection_rate(sample([80, 50, 60, 80], [1, 2, 20, 70], [0.2, 0.1, 0.05, 0.01]), POPULATION)


def test_one_minus_q_is_an_error_when_the_draws_are_known():
    population = Population(POPULATION.parts, POPULATION.rejected, drawn=np.array([80, 50, 60, 80]))
    assert detection_rate(USUAL, population).estimate
    with pytest.raises(EvaluationError, match="swapped or reversed"):
        detection_rate(sample([80, 50, 60, 80], [1, 2, 20, 70], [0.99, 0.95, 0.9, 0.8]), population)


def test_more_labels_than_parts_is_an_error():
    with pytest.raises(EvaluationError, match="401 labels but only 400 parts"):
        detection_rate(sample([80, 50, 60, 401], [1, 2, 20, 70], [0.01, 0.05, 0.1, 1.0]), POPULATION)


def test_unequal_lengths_are_an_error():
    with pytest.raises(EvaluationError, match="must match"):
        LabelledSample(np.array([True]), np.array([0, 1]), np.array([0.5]))


def test_unconfirmed_is_passed_on():
    waiting = sample([80, 50, 60, 80], [1, 2, 20, 70], [0.01, 0.05, 0.1, 0.2], unconfirmed=1)
    assert detection_rate(waiting, POPULATION).unconfirmed
    assert not detection_rate(USUAL, POPULATION).unconfirmed


# Thin strata


def test_a_thin_stratum_merges_on_its_side_with_weights():
    thin = sample([1, 50, 60, 80], [1, 0, 20, 70], [1 / 8000, 0.05, 0.1, 0.2])
    rate = detection_rate(thin, POPULATION)
    # Hajek: the one label of weight 8000 and fifty of weight 20 stand for 9000 accepted parts.
    accepted = 9000 * 8000 / (8000 + 50 * 20)
    rejected = 600 / 3 + 400 * 7 / 8
    assert rate.estimate == pytest.approx(rejected / (rejected + accepted))


def test_equal_probabilities_merge_to_plain_counts():
    counts = StratumCounts.of_constant_q(
        np.array([100.0, 900, 500]), np.array([0.0, 0, 1]), np.array([1.0, 9, 50]), np.array([1.0, 2, 30]), np.full(3, 0.1)
    )
    merged = merge_thin_strata(counts)
    assert merged.N.tolist() == [0, 1000, 500]
    assert merged.n_eff[1] == pytest.approx(10)
    assert merged.x_eff[1] == pytest.approx(3)
