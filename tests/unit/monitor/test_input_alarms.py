"""Reduced version of point 10 of docs/monitoring.md: alarms without labels."""

import numpy as np
import pytest
from simulations.input_alarms import embedding_delays, reject_rate_delays, score_delays

from qc.domain.errors import EvaluationError
from qc.monitor.lots import LotReference, gaussian_log_factors, lots_to_merge


def share(delays):
    return np.isfinite(delays).mean()


def median(delays):
    return np.quantile(delays, 0.5, method="lower")


def test_reject_rate():
    assert share(reject_rate_delays(replications=60, seed=1, lot_noise=0.1, parts=20_000)) <= 0.04
    assert median(reject_rate_delays(dr=0.68, fpr=0.42, replications=100, parts=1000, seed=2)) <= 66
    # A threshold that is too high: fewer rejects. Watched with the same alpha.
    assert median(reject_rate_delays(dr=0.737, fpr=0.01, replications=60, parts=2000, seed=9)) <= 600


@pytest.mark.parametrize("lot_noise", [0.0, 0.1])
def test_score_lots(lot_noise):
    assert share(score_delays(lot_noise=lot_noise, replications=60, seed=3)) <= 0.05
    assert median(score_delays(shift=0.3, lot_noise=lot_noise, replications=20, seed=4)) <= 5000
    assert median(score_delays(scale=1.2, lot_noise=lot_noise, replications=20, seed=5)) <= 2500


def test_embeddings():
    assert share(embedding_delays(replications=15, seed=6)) <= 0.05
    assert share(embedding_delays(lot_noise=0.1, replications=15, seed=7)) <= 0.05
    assert median(embedding_delays(share=0.1, replications=12, seed=8)) <= 3500


def test_factors_have_mean_at_most_one_under_the_null():
    z = np.random.default_rng(0).normal(size=200_000)
    assert np.exp(gaussian_log_factors(z, 0.0))[:, :3].mean(0).max() <= 1.05
    assert np.exp(gaussian_log_factors(z, 0.5)).mean(0).max() < 1


def test_too_few_lots_are_refused():
    with pytest.raises(EvaluationError, match="at least 20"):
        LotReference.of(np.zeros((19, 2)))


def test_a_constant_feature_does_not_alarm_on_the_last_bit():
    reference = LotReference.of(np.full((40, 1), 120.0))
    assert abs(reference.z(np.array([120.0 + 1e-12]))[0]) < 0.01
    assert reference.z(np.array([121.0]))[0] == 6


def test_correlated_lots_are_merged():
    rng = np.random.default_rng(1)
    slow = np.convolve(rng.normal(size=203), np.ones(4), "valid")[:, None]
    assert lots_to_merge(rng.normal(size=(200, 1))) == 1
    assert lots_to_merge(slow) >= 2
