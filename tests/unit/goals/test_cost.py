"""Money: what each cause costs, and that uncertain rates make an uncertain sum."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.truth import Rate
from qc.evaluate.wilson import wilson_rate
from qc.goals.cost import DAYS_PER_MONTH, Consumption, CostModel, MonthlyCost, monthly_cost

MODEL = CostModel(
    "USD", escape=100, false_reject=4, review_minute=0.6, halt_minute=20, part_value=2, parts_per_hour=120, review_s=30
)
MONTH = Consumption(
    parts=10_000,
    days=DAYS_PER_MONTH,
    escaped=Rate(0.001, 0.0005, 0.002, 500, 5, "x"),
    thrown_out=Rate(0.05, 0.04, 0.07, 500, 40, "x"),
    reviewed=200,
    label_s=6000,
    halted_min=50,
)


def test_each_item_is_its_count_times_its_price() -> None:
    items = {name: rate.estimate for name, rate in monthly_cost(MODEL, MONTH).items.items()}
    expected = {"escapes": 1000, "false_rejects": 2000, "reviews": 60, "labelling": 60, "halts": 50 * (20 + 2 * 2)}
    assert items == pytest.approx(expected)
    assert monthly_cost(MODEL, MONTH).total.estimate == pytest.approx(sum(expected.values()))


def test_a_short_period_is_scaled_to_a_month() -> None:
    half = monthly_cost(MODEL, replace(MONTH, days=DAYS_PER_MONTH / 2)).total
    assert half.estimate == pytest.approx(2 * (monthly_cost(MODEL, MONTH).total.estimate or 0))


def test_the_sum_of_uncertain_items_is_narrower_than_the_sum_of_worst_cases() -> None:
    total = monthly_cost(MODEL, MONTH).total
    # sqrt(500^2 + 400^2) below, sqrt(1000^2 + 800^2) above.
    assert total.low == pytest.approx((total.estimate or 0) - np.hypot(500, 400))
    assert total.high == pytest.approx((total.estimate or 0) + np.hypot(1000, 800))


def test_what_cannot_be_estimated_makes_no_sum() -> None:
    unknown = Rate(None, None, None, 0, 0, "x", not_estimable="no accepted part is labelled")
    total = monthly_cost(MODEL, replace(MONTH, escaped=unknown)).total
    assert total.estimate is None
    assert total.not_estimable == "escapes: no accepted part is labelled"


_SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted)


def _with_escapes(low: float, estimate: float, high: float) -> MonthlyCost:
    return monthly_cost(MODEL, replace(MONTH, escaped=Rate(estimate, low, high, 500, 5, "x")))


@given(_SHARES, _SHARES)
def test_more_escapes_never_cost_less(one: list[float], other: list[float]) -> None:
    fewer, more = zip(*[sorted(pair) for pair in zip(one, other, strict=True)], strict=True)
    a, b = _with_escapes(*fewer).total, _with_escapes(*more).total
    for name in ("estimate", "low", "high"):
        assert getattr(b, name) >= getattr(a, name) - 1e-6


def test_the_interval_of_a_sum_covers() -> None:
    """Two Wilson intervals, added: 95 % of the sums must hold the truth."""
    rng = np.random.default_rng(5)
    p, n, hits = (0.02, 0.3), (400, 150), 0
    truth = 10_000 * (p[0] * 100 + p[1] * 4)
    for _ in range(400):
        escaped, thrown = (wilson_rate(int(rng.binomial(n[i], p[i])), n[i], "x") for i in (0, 1))
        free = replace(MONTH, escaped=escaped, thrown_out=thrown, reviewed=0, label_s=0, halted_min=0)
        total = monthly_cost(MODEL, free).total
        hits += (total.low or 0) <= truth <= (total.high or 0)
    assert hits >= 365
