"""Labels of one slice: late, corrected, in any order."""

import json
import random

import numpy as np
import pytest

from qc.domain.truth import Truth
from qc.monitor.label_watch import DETECTION, FALSE_POSITIVE, PREVALENCE, LabelWatch, RateBounds

WINDOWS = {"q_rejected": 0.2, "q_accepted": 0.02}


def watch(windows=("a", "b"), **settings):
    made = LabelWatch(RateBounds(0.9, 0.1, 0.05), **settings)
    for window in windows:
        made.start(window, **WINDOWS)
    return made


def looks():
    """60 looks at parts of two windows; some second looks."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(60):
        rejected = bool(rng.random() < 0.5)
        defect = bool(rng.random() < 0.4)
        truth = Truth.DEFECT if defect else Truth.GOOD
        window = "a" if i < 30 else "b"
        made.append((window, f"e{i}", 0.2 if rejected else 0.02, rejected, 1, truth))
        if defect and not rejected:
            made.append((window, f"e{i}", 0.02, rejected, 2, truth))
    return made


def tell(made, row):
    window, event, q, rejected, number, truth = row
    return made.label(window, event, q=q, rejected=rejected, review_round=number, truth=truth)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_gives_the_same_bits(seed):
    straight, shuffled = watch(), watch()
    rows = looks()
    for row in rows:
        assert tell(straight, row)
    random.Random(seed).shuffle(rows)
    for row in rows + rows[:10]:  # some are told twice
        tell(shuffled, row)
    for quantity in (DETECTION, FALSE_POSITIVE, PREVALENCE):
        assert shuffled.log_value(quantity) == straight.log_value(quantity)


def test_an_escape_counts_only_after_its_second_look():
    one = watch()
    before = one.log_value(DETECTION)
    tell(one, ("a", "x", 0.02, False, 1, Truth.DEFECT))
    assert one.log_value(DETECTION) == before
    assert one.telling(DETECTION) == []
    tell(one, ("a", "x", 0.02, False, 2, Truth.DEFECT))
    assert one.log_value(DETECTION) > before
    assert one.telling(DETECTION) == ["x"]


def test_a_correction_takes_the_evidence_back():
    one = watch()
    before = one.log_value(FALSE_POSITIVE)
    tell(one, ("a", "x", 0.2, True, 1, Truth.GOOD))
    assert one.log_value(FALSE_POSITIVE) > before
    tell(one, ("a", "x", 0.2, True, 1, Truth.UNSURE))
    assert one.log_value(FALSE_POSITIVE) == before


def test_directions():
    one = watch()
    start = {quantity: one.log_value(quantity) for quantity in (DETECTION, FALSE_POSITIVE, PREVALENCE)}
    tell(one, ("a", "hit", 0.2, True, 1, Truth.DEFECT))
    assert one.log_value(DETECTION) < start[DETECTION]
    assert one.log_value(PREVALENCE) > start[PREVALENCE]
    tell(one, ("a", "fine", 0.02, False, 1, Truth.GOOD))
    assert one.log_value(FALSE_POSITIVE) < start[FALSE_POSITIVE]
    missed = watch()
    missed.challenge("a", "k", missed=True)
    assert missed.log_value(DETECTION) > start[DETECTION]
    assert missed.log_value(FALSE_POSITIVE) == start[FALSE_POSITIVE]
    assert missed.telling(DETECTION) == ["k"]


def test_labels_of_closed_and_unknown_windows_are_refused():
    one = watch(windows="abc", keep=2)
    assert not tell(one, ("a", "x", 0.2, True, 1, Truth.DEFECT))
    assert not one.challenge("never", "k", missed=True)
    assert tell(one, ("c", "x", 0.2, True, 1, Truth.DEFECT))


def test_a_pass_before_the_first_part_of_its_window_waits_for_it():
    early, usual = watch(windows="a"), watch(windows="ab")
    assert not early.challenge("b", "k", missed=True)
    early.start("b", **WINDOWS)
    usual.challenge("b", "k", missed=True)
    assert early.log_value(DETECTION) == usual.log_value(DETECTION) > 0
    assert early.state() == usual.state()


def test_a_probability_below_the_plans_is_no_bet():
    one = watch()
    before = one.state()
    assert not tell(one, ("a", "x", 0.1, True, 1, Truth.DEFECT))
    assert not tell(one, ("a", "x", 0.01, False, 1, Truth.GOOD))
    assert one.state() == before


def test_restart_of_one_quantity_leaves_the_others():
    one = watch()
    for row in looks():
        tell(one, row)
    kept = one.log_value(FALSE_POSITIVE)
    one.restart_evidence(DETECTION)
    assert one.log_value(DETECTION) == -np.inf
    assert one.log_value(FALSE_POSITIVE) == kept
    tell(one, ("b", "new", 0.02, False, 1, Truth.GOOD))
    assert one.log_value(DETECTION) == -np.inf  # labels of windows before the restart do not count again
    one.start("c", **WINDOWS)
    assert one.log_value(DETECTION) == 0


def test_state_is_exact():
    one, other = watch(), watch(windows=())
    for row in looks():
        tell(one, row)
    one.challenge("a", "k", missed=False)
    other.restore(json.loads(json.dumps(one.state())))
    late = ("b", "late", 0.02, False, 1, Truth.GOOD)
    tell(one, late)
    tell(other, late)
    assert other.state() == one.state()
    assert other.log_value(DETECTION) == one.log_value(DETECTION)
