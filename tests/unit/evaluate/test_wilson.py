import numpy as np
import pytest
from scipy import stats

from qc.domain.errors import EvaluationError
from qc.evaluate.wilson import wilson_interval, wilson_rate


def test_limits_solve_the_score_equation():
    low, high = wilson_interval(7, 40)
    for limit in (low, high):
        assert abs(7 / 40 - limit) / np.sqrt(limit * (1 - limit) / 40) == pytest.approx(stats.norm.ppf(0.975))


def test_ends_are_exact_and_nothing_is_everything():
    low, high = wilson_interval([0, 5, 0], [5, 5, 0])
    assert low[0] == 0
    assert high[1] == 1
    assert (low[2], high[2]) == (0, 1)


def test_impossible_counts_are_an_error():
    with pytest.raises(EvaluationError, match="between 0 and n"):
        wilson_interval(6, 5)


def test_no_sample_has_a_reason():
    rate = wilson_rate(0, 0, "parts")
    assert rate.estimate is None
    assert rate.not_estimable == "no parts"
