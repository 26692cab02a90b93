"""The table of looks, row by row."""

import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.evaluate.adjudicate import settle

CODES = {"g": 0, "d": 1, "u": 2}


@pytest.mark.parametrize(
    ("looks", "rejected", "defective", "unconfirmed", "unsure"),
    [
        ("d", False, True, True, False),
        ("d", True, True, False, False),
        ("g", False, False, False, False),
        ("g", True, False, False, False),
        ("dd", False, True, False, False),
        ("dg", False, False, False, False),
        ("dgd", False, True, False, False),
        ("dgg", False, False, False, False),
        ("u", False, False, False, True),
        ("ug", False, False, False, False),
        ("ud", False, True, True, False),
        ("udd", False, True, False, False),
        ("gd", False, True, True, False),
        ("gd", True, True, False, False),
        ("gdg", False, False, False, False),
        ("gdd", False, True, False, False),
        ("du", False, True, True, False),
        ("dud", False, True, False, False),
        ("uu", True, False, False, True),
    ],
)
def test_looks(looks, rejected, defective, unconfirmed, unsure):
    n = len(looks)
    order = np.random.default_rng(n).permutation(n)
    rounds, said = np.arange(1, n + 1)[order], np.array([CODES[c] for c in looks])[order]
    truth = settle(np.full(n, 7), rounds, said, np.full(n, rejected))
    assert truth.event.tolist() == [7]
    assert (truth.defective[0], truth.unconfirmed[0], truth.unsure[0]) == (defective, unconfirmed, unsure)


def test_without_a_third_look_the_second_decides():
    truth = settle(np.array([0, 0]), np.array([1, 2]), np.array([0, 1]), np.array([False, False]), third_look=False)
    assert truth.defective.tolist() == [True]
    assert truth.unconfirmed.tolist() == [False]


def test_events_do_not_mix():
    truth = settle(np.array([5, 3, 5, 9]), np.array([2, 1, 1, 1]), np.array([0, 1, 1, 2]), np.array([False, True, False, False]))
    assert truth.event.tolist() == [3, 5, 9]
    assert truth.defective.tolist() == [True, False, False]
    assert truth.unsure.tolist() == [False, False, True]


def test_lengths_must_match():
    with pytest.raises(EvaluationError):
        settle(np.zeros(1, int), np.zeros(2, int), np.zeros(1, int), np.zeros(1, bool))
