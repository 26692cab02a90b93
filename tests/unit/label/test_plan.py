"""Plans: strata of one part and of many agree, JSON brings them back, replanning pays, errors say why."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import SamplingError
from qc.label.plan import LabelledParts, PlanBudget, SamplingPlan, design_plan, expected_draw, replan, uniform_plan
from qc.label.strata import anticipated_variance

PLAN = SamplingPlan("mono", (0.1, 0.3), (0.8,), (0.01, 0.02, 0.1), (0.2, 0.5), seed=7)
BUDGET = PlanBudget(labels=200, parts=10_000)


def production(seed: int = 0, parts: int = 10_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scores, rejected, defective of a line with 2 % defects and DR about 90 %."""
    rng = np.random.default_rng(seed)
    y = rng.random(parts) < 0.02
    z = np.where(y, rng.normal(3.0, 1.2, parts), rng.normal(0, 1, parts))
    s = 1 / (1 + np.exp(-(2 * z - 4)))
    return s, s >= 0.4, y


def labels(plan: SamplingPlan, seed: int = 0, budget_windows: int = 1) -> LabelledParts:
    s, side, y = production(seed, 10_000 * budget_windows)
    q = plan.probabilities[plan.strata_of(s, side)]
    drawn = np.random.default_rng(seed + 100).random(s.size) < q
    return LabelledParts(s[drawn], y[drawn].astype(np.int64), q[drawn])


def test_names_sides_and_probabilities_run_in_one_order() -> None:
    assert PLAN.names == ("a1", "a2", "a3", "r1", "r2")
    assert PLAN.rejected.tolist() == [False, False, False, True, True]
    assert PLAN.probabilities.tolist() == [0.01, 0.02, 0.1, 0.2, 0.5]


@pytest.mark.parametrize(
    ("score", "rejected", "stratum"),
    [
        (0.0, False, ("a1", 0.01)),
        (0.1, False, ("a2", 0.02)),  # on a border: the class above
        (0.9, False, ("a3", 0.1)),  # sent to nobody although the score is high: the decision counts
        (0.0, True, ("r1", 0.2)),
        (0.8, True, ("r2", 0.5)),
    ],
)
def test_the_stratum_of_a_part(score: float, rejected: bool, stratum: tuple[str, float]) -> None:
    assert PLAN.stratum(score, rejected) == stratum


@given(
    parts=st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0]) | st.floats(0, 1), st.booleans()), max_size=30)
)
def test_one_part_and_many_parts_get_the_same_strata(parts: list[tuple[float, bool]]) -> None:
    index = PLAN.strata_of([score for score, _ in parts], [rejected for _, rejected in parts])
    assert [PLAN.names[i] for i in index] == [PLAN.stratum(*part)[0] for part in parts]


def test_json_brings_the_plan_back() -> None:
    assert SamplingPlan.from_json(PLAN.to_json()) == PLAN


@given(
    cuts=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4, unique=True).map(sorted),
    q=st.floats(1e-12, 1),
    seed=st.integers(0, 2**63),
)
def test_json_keeps_every_bit(cuts: list[float], q: float, seed: int) -> None:
    plan = SamplingPlan("v", tuple(cuts), (), (q,) * (len(cuts) + 1), (q,), seed)
    assert SamplingPlan.from_json(plan.to_json()) == plan
    assert SamplingPlan.from_json(plan.to_json()).policy == plan.policy


def test_the_policy_names_the_content() -> None:
    assert PLAN.policy == replace(PLAN).policy
    others = [
        replace(PLAN, seed=8),
        replace(PLAN, variant="poly"),
        replace(PLAN, rejected_q=(0.2, 0.6)),
        replace(PLAN, rejected_cuts=(0.81,)),
    ]
    assert len({plan.policy for plan in [PLAN, *others]}) == 5


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"format":"qc.plan/2"}', json.dumps(json.loads(PLAN.to_json()) | {"accepted_q": [0.1]}),
     json.dumps(json.loads(PLAN.to_json()) | {"rejected_q": None}), json.dumps(json.loads(PLAN.to_json()) | {"accepted_cuts": ["x", 1]})],
)  # fmt: skip
def test_a_damaged_plan_is_refused(text: str) -> None:
    with pytest.raises(SamplingError):
        SamplingPlan.from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accepted_q": (0.1, 0.1)}, "2 borders make 3 strata"),
        ({"accepted_cuts": (0.3, 0.1)}, "rise"),
        ({"accepted_cuts": (0.1, float("nan"))}, "rise"),
        ({"rejected_q": (0.0, 1.0)}, r"\(0, 1\]"),
        ({"rejected_q": (0.5, 1.1)}, r"\(0, 1\]"),
    ],
)
def test_inconsistent_plans_cannot_exist(change: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        replace(PLAN, **change)


def test_uniform_plan() -> None:
    plan = uniform_plan("new", PlanBudget(labels=60, parts=5000, seed=3))
    assert (plan.names, plan.probabilities.tolist(), plan.seed) == (("a1", "r1"), [0.012, 0.012], 3)
    assert uniform_plan("new", PlanBudget(60, 5000, verify_all_rejects=True)).rejected_q == (1.0,)
    assert uniform_plan("new", PlanBudget(60, 10)).probabilities.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("n", "accepted", "rejected"), [(60, 3, 2), (1499, 3, 2), (1500, 5, 3), (5999, 5, 3), (6000, 8, 4)])
def test_more_labels_afford_more_strata(n: int, accepted: int, rejected: int) -> None:
    s, side, y = production()
    plan = design_plan("mono", s, side, np.where(y, 0.5, 0.01), PlanBudget(n, 10_000))
    assert (len(plan.accepted_q), len(plan.rejected_q)) == (accepted, rejected)
    pooled = design_plan("mono", s, side, np.where(y, 0.5, 0.01), PlanBudget(60, 10_000, horizon_labels=n))
    assert len(pooled.accepted_q) == accepted


def test_a_designed_plan_spends_the_budget() -> None:
    s, side, _ = production()
    plan = design_plan("mono", s, side, s**2, BUDGET)
    parts = np.bincount(plan.strata_of(s, side), minlength=len(plan.names))
    assert (parts * plan.probabilities).sum() == pytest.approx(200)
    verified = design_plan("mono", s, side, s**2, replace(BUDGET, verify_all_rejects=True))
    assert set(verified.rejected_q) == {1.0}
    below = np.bincount(verified.strata_of(s, side), minlength=len(verified.names))[~verified.rejected]
    assert (below * verified.accepted_q).sum() == pytest.approx(200)


def test_no_stratum_is_so_thin_that_it_decides_alone() -> None:
    """20 labels where a quarter of all suffices for that; under one plan, however many windows share it."""
    s, side, _ = production(1, 50_000)
    p = np.clip((s - 0.2) / 0.9, 0.0005, 0.9)
    for budget, least in (
        (PlanBudget(labels=400, parts=10_000), 20),
        (PlanBudget(labels=40, parts=1000, horizon_labels=400), 2),
        (PlanBudget(labels=100, parts=10_000), 5),
    ):
        plan = design_plan("mono", s, side, p, budget)
        drawn = np.bincount(plan.strata_of(s, side), minlength=5) / s.size * budget.parts * plan.probabilities
        assert drawn.min() >= least - 1e-6
        assert drawn.sum() == pytest.approx(budget.labels, rel=1e-6)


@pytest.mark.parametrize(
    ("s", "side", "message"),
    [
        ([0.1, 0.2], [False, False], "accepted and rejected"),
        ([0.1, np.nan], [False, True], "finite"),
        ([0.1], [False, True], "one value"),
    ],
)
def test_a_design_needs_parts_on_both_sides(s: list[float], side: list[bool], message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        design_plan("mono", s, side, np.full(len(s), 0.1), BUDGET)


@pytest.mark.parametrize("budget", [(0, 100), (10, 0), (-1, 100), (float("nan"), 100)])
def test_a_budget_needs_labels_and_parts(budget: tuple[float, float]) -> None:
    with pytest.raises(SamplingError):
        PlanBudget(*budget)


def test_replanning_beats_the_uniform_start() -> None:
    uniform = uniform_plan("mono", BUDGET)
    s, side, y = production(5)
    plan = replan(uniform, s, side, labels(uniform, 5, budget_windows=10), BUDGET)

    def variance(candidate: SamplingPlan) -> float:
        index = candidate.strata_of(s, side)
        parts = np.bincount(index, minlength=len(candidate.names)).astype(float)
        p = np.bincount(index, weights=y, minlength=len(candidate.names)) / parts
        return anticipated_variance(parts, candidate.rejected, p, parts * candidate.probabilities, detection_rate=0.9)

    assert plan.policy != uniform.policy
    # Within strata plus the spread that the uniform plan's two wide strata hide: the designed plan needs well under the labels.
    assert variance(plan) < 0.8 * variance(uniform)


def test_a_plan_that_still_fits_stays_so_that_windows_can_be_pooled() -> None:
    s, side, _ = production(5)
    first = replan(uniform_plan("mono", BUDGET), s, side, labels(uniform_plan("mono", BUDGET), 5, 10), BUDGET)
    again_s, again_side, _ = production(6)
    assert replan(first, again_s, again_side, labels(first, 6, 10), BUDGET) is first


def test_a_new_budget_or_seed_means_a_new_plan() -> None:
    s, side, _ = production(5)
    seen = labels(uniform_plan("mono", BUDGET), 5, 10)
    first = replan(uniform_plan("mono", BUDGET), s, side, seen, BUDGET)
    for budget in (replace(BUDGET, labels=400), replace(BUDGET, seed=1), replace(BUDGET, verify_all_rejects=True)):
        assert replan(first, s, side, seen, budget).policy != first.policy


def test_one_sided_production_is_sampled_uniformly() -> None:
    nothing = LabelledParts(np.array([]), np.array([], np.int64), np.array([]))
    for s, side in (([], []), ([0.1, 0.2], [False, False])):
        assert replan(PLAN, s, side, nothing, BUDGET) == uniform_plan("mono", BUDGET)


def test_replanning_works_without_a_single_label() -> None:
    s, side, _ = production(5)
    nothing = LabelledParts(np.array([]), np.array([], np.int64), np.array([]))
    plan = replan(uniform_plan("mono", BUDGET), s, side, nothing, BUDGET)
    assert np.all(plan.probabilities > 0)


def test_the_expected_draw_is_what_is_drawn() -> None:
    s, side, _ = production(3)
    mean, spread = expected_draw(PLAN, s, side, parts=len(s))
    q = PLAN.probabilities[PLAN.strata_of(s, side)]
    drawn = (np.random.default_rng(0).random((300, s.size)) < q).sum(1)
    assert drawn.mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(300))
    assert drawn.std() == pytest.approx(spread, rel=0.2)
