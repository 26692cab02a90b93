import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.evaluate.challenge import challenge_detection_rate, design_effect
from qc.evaluate.wilson import wilson_interval


def test_each_part_once_is_wilson():
    detected = np.arange(92) >= 6
    rate = challenge_detection_rate(detected, np.arange(92))
    low, high = wilson_interval(86, 92)
    assert (rate.low, rate.high) == (pytest.approx(float(low)), pytest.approx(float(high)))
    assert (rate.high - rate.low) / 2 <= 0.053


def test_many_passes_of_few_parts_count_as_few():
    """Ten parts, each always or never detected, ten times: no more than ten parts' worth of evidence."""
    part = np.repeat(np.arange(10), 10)
    rate = challenge_detection_rate(part >= 2, part)
    low, high = wilson_interval(8, 10)
    assert rate.high - rate.low >= float(high - low) * 0.95


def test_independent_passes_of_one_part_have_no_design_effect():
    rng = np.random.default_rng(0)
    assert design_effect(rng.random(4000) < 0.9, np.repeat(np.arange(40), 100)) < 1.6


def test_nothing_passed():
    assert challenge_detection_rate(np.zeros(0, bool), np.zeros(0, int)).not_estimable


def test_lengths_must_match():
    with pytest.raises(EvaluationError):
        challenge_detection_rate(np.zeros(2, bool), np.zeros(1, int))
