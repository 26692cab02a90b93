"""The review band: both limits on the decided parts, no wider than they need."""

import doctest

import numpy as np
import pytest

from qc.training import review_band as module
from qc.training.review_band import review_band
from qc.training.thresholds import Aim, choose_thresholds

RNG = np.random.default_rng(0)
GOOD, DEFECT = RNG.normal(0.3, 0.1, 2000).clip(0, 1), RNG.normal(0.5, 0.12, 500).clip(0, 1)
LIMITS = {"dr_floor": 0.94, "fpr_limit": 0.08, "prevalence": 0.1}


def decided(low: float, high: float) -> tuple[float, float, float]:
    """(detection rate, false-positive rate) of the decided parts, share of the good ones in review."""
    ng, ok = (high <= DEFECT).mean(), (low > DEFECT).mean()
    false, fine = (high <= GOOD).mean(), (low > GOOD).mean()
    return ng / (ng + ok), false / (false + fine), 1 - false - fine


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_both_limits_hold_for_the_decided_parts_and_the_band_is_no_wider_than_needed() -> None:
    low, high, review, kept = review_band(GOOD, DEFECT, most_review=0.9, **LIMITS)
    detection, false, reviewed_good = decided(low, high)
    assert kept
    assert detection >= 0.94 - 1e-9
    assert false <= 0.08 + 1e-9
    assert review == pytest.approx(0.9 * reviewed_good + 0.1 * ((low <= DEFECT) & (high > DEFECT)).mean(), abs=1e-9)
    middle = (low + high) / 2
    for shrunk in ((low + 0.2 * (middle - low), high), (low, high - 0.2 * (high - middle))):
        detection, false, _ = decided(*shrunk)
        assert detection < 0.94 or false > 0.08


def test_a_band_that_may_not_be_wide_enough_strains_the_limits_least_and_says_so() -> None:
    wide = review_band(GOOD, DEFECT, most_review=0.9, **LIMITS)
    low, high, review, kept = review_band(GOOD, DEFECT, most_review=wide[2] / 2, **LIMITS)
    assert not kept
    assert review <= wide[2] / 2
    assert high - low < wide[1] - wide[0]
    thresholds = choose_thresholds(GOOD, DEFECT, Aim(objective="decided", review_share=wide[2] / 2, prevalence=0.1))
    assert (thresholds.review_at, thresholds.reject_at) == (low, high)
    assert any("cannot be had" in warning for warning in thresholds.warnings)


def test_where_the_scores_are_apart_nothing_is_reviewed() -> None:
    low, high, review, kept = review_band(GOOD / 4, 0.5 + DEFECT / 4, most_review=0.5, **LIMITS)
    assert kept
    assert (low, review) == (high, 0)
