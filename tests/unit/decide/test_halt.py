"""Halt policy: what halts, what never does, and hysteresis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.decide.halt import LEVELS, HaltState, acknowledge, raise_to, reviews_everything, step
from qc.domain.alarm import Action
from qc.domain.recipe import HaltPolicy
from qc.domain.verdict import Decision

POLICY = HaltPolicy()
OK, NG, REVIEW, NOT = Decision.OK, Decision.NG, Decision.REVIEW, Decision.NOT_INSPECTED


def run(decisions: list[Decision], state: HaltState | None = None, policy: HaltPolicy = POLICY) -> HaltState:
    state = state or HaltState()
    for decision in decisions:
        state = step(state, decision, policy)
    return state


def drawn(rate: float, n: int, seed: int) -> list[Decision]:
    return [NG if x else OK for x in np.random.default_rng(seed).random(n) < rate]


def test_one_reject_never_halts() -> None:
    assert run([OK] * 50 + [NG] + [OK] * 50).level is Action.NONE


def test_a_run_of_rejects_asks_for_a_halt_and_is_counted() -> None:
    state = run([NG] * POLICY.run_rejects)
    assert state.level is Action.HALT
    assert state.halts == 1
    assert "8 NG among the last 10" in state.reason


@given(st.lists(st.sampled_from([NOT]), max_size=200))
def test_camera_faults_change_nothing(faults: list[Decision]) -> None:
    assert run(faults) == HaltState()


def test_faults_between_rejects_do_not_hide_the_run() -> None:
    assert run([NG, NOT] * POLICY.run_rejects).level is Action.HALT


def test_a_jump_of_the_reject_rate_climbs_the_levels_in_order() -> None:
    policy = HaltPolicy(run_rejects=30, run_parts=30)
    seen: list[Action] = []
    state = HaltState()
    for decision in drawn(0.42, 200, seed=1):
        state = step(state, decision, policy)
        if not seen or seen[-1] is not state.level:
            seen.append(state.level)
    assert seen == list(LEVELS)


def test_the_baseline_rate_stays_quiet_over_a_long_run() -> None:
    """At the baseline, false advice may come once in 10,000 parts; a halt once in 10 million."""
    levels = [run(drawn(0.08, 20_000, seed)).level for seed in range(3)]
    assert all(LEVELS.index(level) < LEVELS.index(Action.REVIEW_ALL) for level in levels)


def test_weak_levels_clear_by_themselves_after_quiet_parts() -> None:
    state = raise_to(HaltState(), Action.ADVISE, "test")
    state = run([OK] * (POLICY.clear_parts - 1), state)
    assert state.level is Action.ADVISE
    assert run([OK], state).level is Action.NONE


@pytest.mark.parametrize("level", [Action.REVIEW_ALL, Action.HALT])
def test_strong_levels_wait_for_acknowledgement(level: Action) -> None:
    state = run([OK] * 1000, raise_to(HaltState(), level, "test"))
    assert state.level is level
    assert reviews_everything(state)
    cleared = acknowledge(state)
    assert cleared.level is Action.NONE
    assert cleared.halts == state.halts


def test_raising_never_lowers() -> None:
    state = raise_to(HaltState(), Action.HALT, "strong")
    assert raise_to(state, Action.ADVISE, "weak") is state


@given(st.lists(st.sampled_from([OK, NG, REVIEW, NOT]), max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_more_rejects_never_give_a_lower_level(decisions: list[Decision], worsen: list[bool]) -> None:
    """Turning OKs into NGs cannot lower the level that a sequence reaches (without any clearing)."""
    policy = HaltPolicy(clear_parts=10_000)
    worse = [NG if decision is OK and worsen[i] else decision for i, decision in enumerate(decisions)]
    assert LEVELS.index(run(worse, policy=policy).level) >= LEVELS.index(run(decisions, policy=policy).level)


def test_a_changeover_starts_the_evidence_anew_but_keeps_an_open_level() -> None:
    almost = run([NG] * (POLICY.run_rejects - 1))
    assert step(almost, NG, POLICY, "other recipe").recent == 1
    halted = run([NG] * POLICY.run_rejects)
    assert step(halted, OK, POLICY, "other recipe").level is Action.HALT
