"""The windowed e-detector."""

import json
import math

import numpy as np
import pytest

from qc.monitor.evidence import WindowedEvidence, log_mean, log_threshold


def test_the_recursion_by_hand():
    evidence = WindowedEvidence((1,), keep=2)
    s = 0.0
    for window, factor in enumerate([2.0, 0.5, 3.0, 1.5]):
        evidence.start(str(window))
        evidence.put(str(window), np.log([factor]))
        s = (s + 1) * factor
        assert math.exp(evidence.log_value()) == pytest.approx(s)


def test_closed_windows_take_nothing_more():
    evidence = WindowedEvidence((1,), keep=2)
    for window in "abc":
        evidence.start(window)
        evidence.put(window, np.log([2.0]))
    before = evidence.log_value()
    evidence.put("a", np.log([1000.0]))
    evidence.put("unknown", np.log([1000.0]))
    assert evidence.log_value() == before
    assert evidence.windows == ["b", "c"]


def test_starting_twice_is_starting_once():
    evidence = WindowedEvidence((1,))
    evidence.start("a")
    evidence.put("a", np.log([5.0]))
    evidence.start("a")
    assert math.exp(evidence.log_value()) == pytest.approx(5)


def test_nothing_started_is_no_evidence():
    evidence = WindowedEvidence((3,))
    assert evidence.log_value() == -math.inf
    evidence.start("a")
    evidence.restart()
    assert evidence.log_value() == -math.inf


def test_state_is_exact():
    evidence, other = WindowedEvidence((2, 2), keep=2), WindowedEvidence((2, 2), keep=2)
    for window in "abcd":
        evidence.start(window)
        evidence.put(window, np.random.default_rng(ord(window)).normal(size=(2, 2)))
    other.restore(json.loads(json.dumps(evidence.state())))
    assert other.log_value() == evidence.log_value()
    assert other.state() == evidence.state()


def test_mean_and_threshold():
    assert log_mean(np.log([1.0, 3.0])) == pytest.approx(math.log(2))
    assert log_threshold(1000, 4, 0.05) == pytest.approx(math.log(80_000))


def test_a_late_label_counts_only_for_windows_up_to_its_own():
    evidence = WindowedEvidence((1,))
    evidence.start("monday")
    evidence.start("tuesday")
    evidence.put("monday", np.log([8.0]))
    assert math.exp(evidence.log_value()) == pytest.approx(8 + 1)
