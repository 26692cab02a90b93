"""The paired interval against brute force, and the promise that a truly worse model hardly ever passes."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.domain.errors import EvaluationError
from qc.release import paired
from qc.release.paired import compare, tango_interval
from qc.release.report import Outcome


def test_doctests() -> None:
    assert doctest.testmod(paired).failed == 0


def brute_force_statistic(b: float, c: float, n: float, delta: float) -> float:
    """The score statistic with the nuisance share found by search over the likelihood instead of by Tango's formula."""
    lost = np.linspace(max(0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9, 400_001)
    gained = lost + delta
    likelihood = b * np.log(gained) + c * np.log(lost) + (n - b - c) * np.log(np.maximum(1 - gained - lost, 1e-300))
    at = lost[np.argmax(likelihood)]
    return float((b - c - n * delta) / np.sqrt(n * (2 * at + delta * (1 - delta))))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 120), (1, 9, 60), (5, 5, 40), (30, 1, 90)])
def test_at_its_limits_the_statistic_is_z(b: int, c: int, n: int) -> None:
    low, high = tango_interval(b, c, n)
    assert brute_force_statistic(b, c, n, float(low)) == pytest.approx(1.96, abs=0.01)
    assert brute_force_statistic(b, c, n, float(high)) == pytest.approx(-1.96, abs=0.01)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_the_interval_holds_the_estimate_and_mirrors(b: int, c: int, rest: int) -> None:
    n = b + c + rest
    low, high = tango_interval(b, c, n)
    other_low, other_high = tango_interval(c, b, n)
    assert low == pytest.approx(-other_high, abs=1e-9)
    assert high == pytest.approx(-other_low, abs=1e-9)
    if n:
        assert -1 <= low <= (b - c) / n <= high <= 1


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(EvaluationError, match="different parts"):
        tango_interval(6, 5, 10)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(20, 120), st.sampled_from([0.03, 0.05, 0.1]))
@settings(max_examples=60, deadline=None)
def test_the_labels_that_are_asked_for_would_be_enough(gained: int, lost: int, n: int, margin: float) -> None:
    gain = compare(gained, lost, n, margin=margin)
    if gain.outcome is Outcome.NOT_ENOUGH_EVIDENCE and gain.needed is not None:
        total = n + gain.needed
        low, _ = tango_interval(gained / n * total, lost / n * total, total)
        assert low > -margin


@pytest.mark.parametrize(("n", "discordant"), [(60, 0.06), (120, 0.06), (120, 0.15), (400, 0.08)])
def test_a_truly_worse_model_passes_hardly_ever(n: int, discordant: float) -> None:
    """Worse by exactly the margin, the hardest case; the full table is in docs/release.md (tools/bench_gate.py)."""
    rng, margin, runs = np.random.default_rng(4), 0.05, 20_000
    lost = (discordant + margin) / 2
    counts = rng.multinomial(n, [discordant - lost, lost, 1 - discordant], runs)
    low, _ = tango_interval(counts[:, 0], counts[:, 1], n)
    assert (low > -margin).mean() <= 0.05
