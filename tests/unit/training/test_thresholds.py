"""Thresholds keep their promises on parts that were not there when they were chosen."""

import numpy as np
import pytest

from qc.domain.errors import TrainingError
from qc.training.thresholds import Aim, choose_thresholds, expected_rate

pytestmark = pytest.mark.train


def test_good_only_threshold_holds_its_target_on_average():
    rng = np.random.default_rng(1)
    realised = []
    for _ in range(300):
        chosen = choose_thresholds(rng.random(80), np.array([]), Aim(target_fpr=0.05))
        realised.append(1 - chosen.reject_at)  # scores are uniform: this is the true rate
    assert 0.03 < np.mean(realised) < 0.055


def test_promised_interval_holds_the_next_lot_in_nine_of_ten_runs():
    rng = np.random.default_rng(2)
    kept = 0
    for _ in range(300):
        good, defect = rng.normal(0, 1, 100), rng.normal(2.5, 1, 60)
        score = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731  # a formula of the test, named as in the text
        chosen = choose_thresholds(score(good), score(defect), Aim(), lots=(40, 30))
        fpr = (score(rng.normal(0, 1, 40)) >= chosen.reject_at).mean()
        kept += chosen.false_positive_rate.low <= fpr <= chosen.false_positive_rate.high
    assert kept >= 270


def test_a_clear_gap_is_cut_in_its_middle():
    good, defect = np.linspace(0.1, 0.2, 50), np.linspace(0.8, 0.9, 50)
    chosen = choose_thresholds(good, defect)
    assert 0.35 < chosen.reject_at < 0.65
    assert chosen.review_at <= chosen.reject_at


@pytest.mark.parametrize("objective", ["limits", "fpr", "detection", "cost"])
def test_every_objective_gives_ordered_thresholds(objective):
    rng = np.random.default_rng(4)
    chosen = choose_thresholds(rng.beta(2, 8, 200), rng.beta(8, 3, 60), Aim(objective=objective))
    assert 0 <= chosen.review_at <= chosen.reject_at <= 1
    assert chosen.rationale


def test_detection_floor_is_reached():
    rng = np.random.default_rng(5)
    defect = rng.beta(3, 2, 80)
    chosen = choose_thresholds(rng.beta(2, 6, 200), defect, Aim(objective="detection", dr_floor=0.9))
    assert (defect >= chosen.reject_at).mean() >= 0.9


def test_review_share_bounds_the_good_parts_between_the_thresholds():
    rng = np.random.default_rng(6)
    good = rng.random(400)
    chosen = choose_thresholds(good, np.array([]), Aim(review_share=0.1))
    assert 0.08 <= ((good >= chosen.review_at) & (good < chosen.reject_at)).mean() <= 0.1 + 1e-9


def test_what_cannot_be_reached_is_said():
    rng = np.random.default_rng(7)
    chosen = choose_thresholds(rng.random(200), rng.random(100))
    assert "no threshold holds" in chosen.rationale
    assert any("less than the floor" in w for w in chosen.warnings)


def test_too_few_images_mark_the_card_and_stay_above_every_good_part():
    good = np.array([0.1, 0.15, 0.2, 0.3, 0.12])
    chosen = choose_thresholds(good, np.array([]))
    assert chosen.reject_at > good.max()
    assert any("few images" in w for w in chosen.warnings)


def test_one_good_image_is_refused():
    with pytest.raises(TrainingError, match="at least 2 good"):
        choose_thresholds(np.array([0.1]), np.array([]))


def test_expected_rate_is_wider_for_a_smaller_lot():
    small, large = expected_rate(5, 100, 20), expected_rate(5, 100, 2000)
    assert small.high > large.high > 0.05
    assert small.low == 0.0


def test_many_pictures_of_few_parts_promise_less():
    each_its_own, six_of_each = expected_rate(6, 120, 60), expected_rate(6, 120, 60, independent=1 / 6)
    assert six_of_each.high > each_its_own.high
    assert six_of_each.estimate == each_its_own.estimate


def test_a_promise_for_several_variants_holds_for_each_of_them():
    rng = np.random.default_rng(5)
    many, few = rng.uniform(0, 0.4, 200), rng.uniform(0.2, 0.7, 30)
    good, defect = np.concatenate([many, few]), rng.uniform(0.5, 0.95, 60)
    names = ("many",) * 200 + ("few",) * 30
    together = choose_thresholds(good, defect)
    each = choose_thresholds(good, defect, variants=(names, ("many",) * 60))
    own = float((few >= each.reject_at).mean())
    assert each.reject_at == together.reject_at
    assert own > together.false_positive_rate.high
    assert each.false_positive_rate.low <= own <= each.false_positive_rate.high
    assert each.false_positive_rate.low <= together.false_positive_rate.low
    assert each.false_positive_rate.estimate == together.false_positive_rate.estimate
