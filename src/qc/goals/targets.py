"""SMART goals, judged by interval and not by point.

A goal of "at least t" is met when the whole interval lies at or above t, not met when it lies below, and open in between; likewise
"at most". A point estimate on the right side of t decides nothing: at 400 labels a DR of 94 % may be anything from 70 to 99 %.

Labels still needed: the distance from the point to its limit shrinks about with 1 / sqrt(labels), so the limit reaches t after
n ((point - limit) / (point - t))^2 labels if the point stays where it is (a projection, not a promise; the planner behind
``qc plan-labels`` simulates). A point on the target itself can never be decided.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from qc.domain.truth import Rate

AT_LEAST: Final = frozenset({"detection_rate", "challenge_detection_rate", "precision", "production_efficiency"})
AT_MOST: Final = frozenset({"false_positive_rate", "escapes_ppm", "prevalence", "review_rate", "reject_rate"})
GOAL_METRICS: Final = tuple(sorted(AT_LEAST | AT_MOST))

MOST_PROJECTED = 100_000
"""A projection beyond this many labels is none: the rate lies on its target, and labelling will not decide the goal."""


class GoalState(StrEnum):
    MET = "met"
    NOT_MET = "not_met"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True, slots=True)
class Goal:
    """metric: one of GOAL_METRICS. target: in the metric's unit (share in [0, 1], or ppm). slice: column -> level, empty for the line.

    by: the day until which it must be met. min_labels, min_found: evidence below which nothing is called met or not met.
    """

    name: str
    metric: str
    target: float
    by: date
    owner: str
    slice: Mapping[str, str] = field(default_factory=dict)
    min_labels: int = 0
    min_found: int = 0

    @property
    def at_least(self) -> bool:
        return self.metric in AT_LEAST


@dataclass(frozen=True, slots=True)
class GoalVerdict:
    """labels_needed: further labels until the goal can probably be decided; None when it is decided or cannot be projected."""

    goal: Goal
    rate: Rate
    state: GoalState
    reason: str
    labels_needed: int | None
    overdue: bool


def judge(goal: Goal, rate: Rate, today: date) -> GoalVerdict:
    """The state of a goal under the rate of its metric and slice."""
    state, reason, needed = _decide(goal, rate)
    return GoalVerdict(goal, rate, state, reason, needed, overdue=state is not GoalState.MET and today > goal.by)


def _decide(goal: Goal, rate: Rate) -> tuple[GoalState, str, int | None]:
    thin = _too_thin(goal, rate)
    if thin is not None:
        return GoalState.NOT_ENOUGH_EVIDENCE, *thin
    assert rate.low is not None
    assert rate.high is not None
    met, failed = rate.low >= goal.target, rate.high < goal.target
    if not goal.at_least:
        met, failed = rate.high <= goal.target, rate.low > goal.target
    if met:
        return GoalState.MET, "the whole interval keeps the target", None
    if not failed:
        return GoalState.NOT_ENOUGH_EVIDENCE, "the interval holds the target", _still_needed(rate, goal.target)
    if rate.unconfirmed:
        # An unconfirmed defect on an accepted part makes every rate look worse than it may turn out to be.
        return GoalState.NOT_ENOUGH_EVIDENCE, "defects on accepted parts wait for their second look", None
    return GoalState.NOT_MET, "the whole interval misses the target", None


def _too_thin(goal: Goal, rate: Rate) -> tuple[str, int | None] | None:
    """Why the evidence is below what the goal asks for, and how many labels are missing."""
    if rate.estimate is None:
        return f"not estimable: {rate.not_estimable}", max(0, goal.min_labels - rate.n) or None
    if rate.n < goal.min_labels:
        return f"{rate.n} of at least {goal.min_labels} labels", goal.min_labels - rate.n
    if rate.found < goal.min_found:
        needed = math.ceil(rate.n * (goal.min_found / rate.found - 1)) if rate.found else None
        return f"{rate.found} of at least {goal.min_found} findings", needed
    return None


def _still_needed(rate: Rate, target: float) -> int | None:
    assert rate.estimate is not None
    assert rate.low is not None
    assert rate.high is not None
    limit = rate.low if rate.estimate > target else rate.high
    if rate.estimate == target or rate.n == 0:
        return None
    factor = ((rate.estimate - limit) / (rate.estimate - target)) ** 2
    wanted = rate.n * factor
    return None if wanted > MOST_PROJECTED else _rounded(wanted - rate.n)


def _rounded(labels: float) -> int:
    """Up, to two digits: more would promise a precision that a projection does not have."""
    step = int(10 ** max(0, math.floor(math.log10(max(labels, 1))) - 1))
    return max(1, math.ceil(labels / step) * step)
