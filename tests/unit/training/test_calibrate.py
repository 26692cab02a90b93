"""The score's meaning: how rarely a good part scores that high."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.training.calibrate import fit_calibration, score_to_share, share_to_score

pytestmark = pytest.mark.train


@pytest.mark.parametrize("shape", ["normal", "lognormal", "heavy"])
def test_the_promised_share_of_new_good_parts_exceeds_a_score(shape):
    rng = np.random.default_rng(3)
    draw = {
        "normal": lambda n: rng.normal(0, 1, n),
        "lognormal": lambda n: rng.lognormal(0, 0.7, n),
        "heavy": lambda n: rng.standard_t(3, n),
    }[shape]
    new_parts = fit_calibration(draw(600)).score(draw(40_000))
    for share in (0.3, 0.1, 0.05, 0.02):
        realised = (new_parts >= share_to_score(share)).mean()
        assert share / 1.6 < realised < share * 1.6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-20, 60), min_size=2, max_size=120), st.floats(-60, 200), st.floats(0.01, 50))
def test_a_higher_raw_score_is_never_milder(good, at, step):
    low, high = fit_calibration(np.array(good)).score(np.array([at, at + step]))
    assert 0 <= low <= high <= 1


def test_scores_do_not_pile_up():
    rng = np.random.default_rng(0)
    calibration = fit_calibration(rng.normal(0, 1, 300))
    defects = calibration.score(rng.normal(30, 10, 300))
    assert len(np.unique(defects.round(6))) > 290
    assert defects.max() < 1


def test_share_and_score_are_inverse():
    assert share_to_score(0.01) == 0.5
    assert score_to_share(np.array([share_to_score(0.08)]))[0] == pytest.approx(0.08)
