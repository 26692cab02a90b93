"""Goals by interval: what is met, what is not, and what the labels cannot tell yet."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.truth import Rate
from qc.goals.targets import Goal, GoalState, judge

TODAY = date(2026, 11, 24)
DR = Goal("detection", "detection_rate", 0.94, date(2026, 12, 31), "quality")
FPR = Goal("spare", "false_positive_rate", 0.08, date(2026, 12, 31), "production")


def rate(estimate: float, low: float, high: float, n: int = 1000, found: int = 50, **more: bool) -> Rate:
    return Rate(estimate, low, high, n, found, "stratified-profile-t", **more)


@pytest.mark.parametrize(
    ("goal", "measured", "state"),
    [
        (DR, rate(0.97, 0.94, 0.99), GoalState.MET),
        (DR, rate(0.97, 0.93, 0.99), GoalState.NOT_ENOUGH_EVIDENCE),
        (DR, rate(0.90, 0.85, 0.94), GoalState.NOT_ENOUGH_EVIDENCE),
        (DR, rate(0.90, 0.85, 0.939), GoalState.NOT_MET),
        (FPR, rate(0.05, 0.04, 0.08), GoalState.MET),
        (FPR, rate(0.05, 0.04, 0.09), GoalState.NOT_ENOUGH_EVIDENCE),
        (FPR, rate(0.12, 0.081, 0.2), GoalState.NOT_MET),
    ],
)
def test_the_interval_decides_not_the_point(goal: Goal, measured: Rate, state: GoalState) -> None:
    assert judge(goal, measured, TODAY).state is state


def test_too_little_evidence_is_neither_met_nor_missed() -> None:
    sure = rate(0.99, 0.97, 1.0, n=300, found=8)
    assert judge(replace(DR, min_labels=400), sure, TODAY).labels_needed == 100
    few_defects = judge(replace(DR, min_found=20), sure, TODAY)
    assert few_defects.state is GoalState.NOT_ENOUGH_EVIDENCE
    assert "8 of at least 20" in few_defects.reason
    assert few_defects.labels_needed == 450
    nothing = Rate(None, None, None, 12, 0, "x", not_estimable="no defect among the labels")
    verdict = judge(replace(DR, min_labels=400), nothing, TODAY)
    assert verdict.state is GoalState.NOT_ENOUGH_EVIDENCE
    assert "no defect among the labels" in verdict.reason
    assert verdict.labels_needed == 388


def test_unconfirmed_defects_can_still_save_a_missed_goal_but_not_spoil_a_met_one() -> None:
    assert judge(DR, rate(0.7, 0.6, 0.8, unconfirmed=True), TODAY).state is GoalState.NOT_ENOUGH_EVIDENCE
    assert judge(DR, rate(0.97, 0.95, 0.99, unconfirmed=True), TODAY).state is GoalState.MET


def test_labels_needed_follow_the_square_of_the_distances() -> None:
    # The limit is 4 points below the point, the target 2: four times the labels, so three times as many more.
    assert judge(DR, rate(0.96, 0.92, 0.98), TODAY).labels_needed == 3000
    assert judge(DR, rate(0.94, 0.90, 0.98), TODAY).labels_needed is None
    assert judge(DR, rate(0.9401, 0.90, 0.98), TODAY).labels_needed is None  # a hundred million labels are no plan


def test_overdue_goals_say_so() -> None:
    late = date(2027, 1, 1)
    assert judge(DR, rate(0.9, 0.85, 0.93), late).overdue
    assert not judge(DR, rate(0.97, 0.95, 0.99), late).overdue
    assert not judge(DR, rate(0.9, 0.85, 0.93), TODAY).overdue


_ORDER = {GoalState.NOT_MET: 0, GoalState.NOT_ENOUGH_EVIDENCE: 1, GoalState.MET: 2}
_LIMITS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(_LIMITS, _LIMITS, st.floats(0.01, 0.99), st.sampled_from([DR, FPR]))
def test_a_better_interval_never_has_a_worse_verdict(one: list[float], other: list[float], target: float, goal: Goal) -> None:
    worse, better = zip(*[sorted(pair) for pair in zip(one, other, strict=True)], strict=True)
    goal = replace(goal, target=target)
    if not goal.at_least:
        worse, better = better, worse
    verdicts = [judge(goal, rate(v[1], v[0], v[2]), TODAY).state for v in (worse, better)]
    assert _ORDER[verdicts[0]] <= _ORDER[verdicts[1]]
