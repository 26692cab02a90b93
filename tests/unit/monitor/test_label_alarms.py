"""Reduced versions of points 6-9 of docs/monitoring.md: few false alarms, and alarms in time. Seeds are fixed."""

import numpy as np
from simulations.label_alarms import challenge_delays, decayed, label_delays
from simulations.worlds import W1, Z


def share(delays):
    return np.isfinite(delays).mean()


def median(delays):
    return np.quantile(delays, 0.5, method="lower")


def test_challenge_parts_cry_wolf_rarely_and_see_a_fall_soon():
    # alpha .05; 4.9 % would be 20 of 400 plus 2 standard errors.
    assert share(challenge_delays(0.94, replications=400, seed=1, horizon=800)) <= 0.07
    fell = challenge_delays(0.68, replications=200, seed=2, horizon=300)
    assert median(fell) <= 34
    assert np.quantile(fell, 0.9) <= 65


def test_a_small_fall_on_challenge_parts_is_seen_too():
    assert median(challenge_delays(0.88, replications=150, seed=3, horizon=1500)) <= 300


def test_weighted_labels_cry_wolf_rarely():
    for metric in ("detection_rate", "false_positive_rate"):
        assert share(label_delays(metric, replications=60, shifts=100, horizon=100, seed=4)) <= 0.1


def test_weighted_labels_see_a_fallen_detection_rate():
    delays = label_delays("detection_rate", world=decayed(W1, 0.68), replications=60, shifts=60, seed=5)
    assert median(delays) <= 2400


def test_weighted_labels_see_more_false_positives():
    shift = W1.reject_at - float(Z(1 - 0.42))
    assert median(label_delays("false_positive_rate", good_shift=shift, replications=60, shifts=20, seed=6)) <= 130
    shift = W1.reject_at - float(Z(1 - 0.12))
    assert median(label_delays("false_positive_rate", good_shift=shift, replications=40, shifts=40, seed=6)) <= 2400


def test_labels_and_challenges_together_are_faster():
    common = {"world": decayed(W1, 0.68), "horizon": 1095, "replications": 60}
    together = label_delays("detection_rate", challenges=4, challenge_rate=0.68, shifts=40, seed=7, **common)
    assert median(np.ceil(together / 200)) <= 6
    alone = label_delays("detection_rate", shifts=60, seed=7, **common)
    assert median(together) < 0.75 * median(alone)


def test_many_slices_share_the_bound():
    """24 slices: the threshold rises with their number; without that, alpha would hold for each alone."""
    delays = label_delays("detection_rate", labels_per_shift=40, shifts=60, horizon=60, replications=10 * 24, seed=8, streams=24)
    assert np.isfinite(delays).reshape(10, 24).any(1).mean() <= 0.2
