import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.evaluate.agreement import (
    Answers,
    Grade,
    cohen_kappa,
    fleiss_kappa,
    fleiss_kappa_of,
    grade_effectiveness,
    grade_false_alarm,
    grade_miss,
    inspector_rates,
    pairwise_kappa,
)
from qc.evaluate.wilson import wilson_rate


def answers(rows):
    part, labeller, said, known = (np.array(c) for c in zip(*rows, strict=True))
    return Answers(part, labeller, said.astype(bool), known)


def test_rates_of_one_inspector():
    rows = [(i, 0, True, 1) for i in range(9)] + [(9, 0, False, 1)]  # one miss in ten
    rows += [(10 + i, 0, False, 0) for i in range(18)] + [(28, 0, True, 0), (29, 0, True, 0)]  # two false alarms in twenty
    rows += [(30, 0, True, -1)]  # truth unknown: no part in it
    (rates,) = inspector_rates(answers(rows))
    assert (rates.effectiveness.found, rates.effectiveness.n) == (27, 30)
    assert (rates.miss.found, rates.miss.n) == (1, 10)
    assert (rates.false_alarm.found, rates.false_alarm.n) == (2, 20)
    assert rates.repeatability.not_estimable
    assert rates.miss.low < 0.1 < rates.miss.high


def test_repeatability_counts_parts_seen_twice():
    rows = [(0, 0, True, -1), (0, 0, True, -1), (1, 0, True, -1), (1, 0, False, -1), (2, 0, True, -1), (0, 1, False, -1)]
    first, second = inspector_rates(answers(rows))
    assert (first.repeatability.found, first.repeatability.n) == (1, 2)
    assert second.repeatability.not_estimable


def test_the_aiag_lines():
    assert grade_effectiveness(wilson_rate(18, 20, "x")) is Grade.ACCEPTABLE
    assert grade_effectiveness(wilson_rate(16, 20, "x")) is Grade.MARGINAL
    assert grade_effectiveness(wilson_rate(15, 20, "x")) is Grade.UNACCEPTABLE
    assert grade_miss(wilson_rate(1, 50, "x")) is Grade.ACCEPTABLE
    assert grade_miss(wilson_rate(3, 50, "x")) is Grade.UNACCEPTABLE
    assert grade_false_alarm(wilson_rate(5, 50, "x")) is Grade.MARGINAL
    assert grade_miss(wilson_rate(0, 0, "x")) is Grade.UNKNOWN


def test_fleiss_of_two_perfect_and_two_opposed_inspectors():
    assert fleiss_kappa(np.array([2.0, 0.0, 2.0, 0.0]), np.full(4, 2.0)) == 1
    assert fleiss_kappa(np.full(4, 1.0), np.full(4, 2.0)) == -1
    assert np.isnan(fleiss_kappa(np.zeros(3), np.full(3, 2.0)))
    assert np.isnan(fleiss_kappa(np.ones(1), np.ones(1)))


def test_kappa_by_pairs_uses_common_parts():
    rows = [(p, who, p % 2 == 0, -1) for p in range(6) for who in (0, 1)] + [(99, 1, True, -1), (0, 2, True, -1)]
    pairs = pairwise_kappa(answers(rows))
    assert pairs[0, 1] == (1.0, 6)
    assert pairs[0, 2][1] == 1
    assert fleiss_kappa_of(answers(rows)) == 1


def test_chance_alone_is_no_agreement():
    rng = np.random.default_rng(0)
    assert abs(cohen_kappa(rng.random(20_000) < 0.3, rng.random(20_000) < 0.3)) < 0.03
    assert np.isnan(cohen_kappa(np.ones(3, bool), np.ones(3, bool)))


def test_mismatched_arrays_are_errors():
    with pytest.raises(EvaluationError):
        cohen_kappa(np.ones(2, bool), np.ones(3, bool))
    with pytest.raises(EvaluationError):
        Answers(np.zeros(1, int), np.zeros(2, int), np.zeros(1, bool), np.zeros(1, int))
