"""The planner keeps what it promises, in a world that it did not design itself."""

import pytest
from simulations.rates import rates_quality
from simulations.worlds import W1

from qc.domain.errors import SamplingError
from qc.evaluate.planner import LabelQuestion, plan_labels, try_labels


def test_promise_is_kept_by_an_independent_simulation():
    budget = plan_labels(LabelQuestion(half_width=0.05, prevalence=0.05, labels_per_window=200))
    dr, _ = rates_quality(W1, 0.05, budget.labels, replications=400, seed=8, parts=budget.windows * 5000)
    assert dr.half_width == pytest.approx(100 * budget.half_width, rel=0.15)
    assert budget.half_width <= 0.05 < budget.half_width_90 < 0.09
    assert budget.windows == pytest.approx(budget.labels / 200, abs=1.5)


def test_fpr_is_cheap():
    budget = plan_labels(LabelQuestion(half_width=0.008, prevalence=0.01, metric="false_positive_rate"))
    assert 250 <= budget.labels <= 650
    assert budget.reviewer_minutes == pytest.approx((budget.labels + budget.second_looks) * 0.1, rel=0.01)


def test_the_impossible_is_refused_with_the_reason():
    with pytest.raises(SamplingError, match=r"\+-2 points cannot be had: 5,400 labels \(90 shifts of 60\) give \+-1\d"):
        plan_labels(LabelQuestion(half_width=0.02, prevalence=0.002, most_windows=90))


def test_more_labels_are_never_worse():
    question = LabelQuestion(half_width=0.05, prevalence=0.02, labels_per_window=100)
    widths = [try_labels(question, n).half_width for n in (300, 1000, 3000)]
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_width": 5},
        {"half_width": 0.05, "prevalence": 1},
        {"half_width": 0.05, "labels_per_window": 6000},
        {"half_width": 0.05, "detection_rate": 0.05},
    ],
)
def test_questions_that_make_no_sense(wrong):
    with pytest.raises(SamplingError):
        LabelQuestion(**{"prevalence": 0.01, **wrong})
