"""Point 10: alarms without labels, on 100,000 parts. Rows of the arrays are independent runs."""

import numpy as np

from qc.monitor.embeddings import EmbeddingReference, direction_log_factors
from qc.monitor.evidence import log_threshold
from qc.monitor.lots import LotReference, score_features, two_sided_log_factors
from qc.monitor.reject_rate import log_ratios, null_rates
from simulations.worlds import W1, Z

PARTS = 100_000
LOT = 250
REFERENCE_LOTS = 40
TOLERANCE = 0.03
"""Of the reject rate, absolute."""


def _log_mean(log_s):
    axes = tuple(range(1, log_s.ndim))
    top = log_s.max(axes, keepdims=True)
    return np.squeeze(top + np.log(np.exp(log_s - top).mean(axes, keepdims=True)), axes)


def _run(factors_of_step, steps, threshold, shape):
    """Steps until S crosses the threshold, inf if never."""
    log_s = np.full(shape, -np.inf)
    delays = np.full(shape[0], np.inf)
    for step in range(steps):
        log_s = np.logaddexp(log_s, 0) + factors_of_step(step)
        delays = np.where((_log_mean(log_s) >= threshold) & np.isinf(delays), step + 1.0, delays)
        if np.isfinite(delays).all():
            break
    return delays


def reject_rate_delays(*, defect_rate=0.01, dr=0.94, fpr=0.08, lot_noise=0.0, parts=PARTS, replications, seed, alpha=0.01):
    """Parts until the reject-rate alarm. lot_noise: sd of the lots' score shift; it moves both rates of the lot."""
    from scipy.special import ndtr

    rng = np.random.default_rng(seed)
    baseline = 0.01 * W1.detection_rate + 0.99 * W1.false_positive_rate
    low, high = null_rates(baseline, TOLERANCE)
    (up, down), (up_accept, down_accept) = log_ratios(high), log_ratios(1 - low)  # the second half bets on too few rejects
    reject, accept = np.array([*up, *down_accept]), np.array([*down, *up_accept])
    z_dr, z_fpr = Z(dr), Z(fpr)
    rate = None

    def factors(step):
        nonlocal rate
        if step % LOT == 0:
            shift = lot_noise * rng.normal(size=replications)
            rate = defect_rate * ndtr(z_dr + shift) + (1 - defect_rate) * ndtr(z_fpr + shift)
        return np.where((rng.random(replications) < rate)[:, None], reject, accept)

    return _run(factors, parts, log_threshold(PARTS, 1, alpha), (replications, len(reject)))


def _lot_scores(rng, lots, lot_noise, shift=0.0, scale=1.0):
    """Scores (lots, LOT) of W1 production at 1 % prevalence."""
    y = rng.random((lots, LOT)) < 0.01
    noise = lot_noise * rng.normal(size=(lots, 1))
    return scale * (rng.normal(size=y.shape) + W1.defects[0][1] * y) + noise + shift


def score_delays(*, shift=0.0, scale=1.0, lot_noise=0.0, replications, seed, alpha=0.01):
    """Parts until the lot alarm on scores; each run learns its own reference from 40 lots."""
    rng = np.random.default_rng(seed)
    lots = PARTS // LOT
    steps = []
    for _ in range(replications):
        reference_scores = _lot_scores(rng, REFERENCE_LOTS, lot_noise)
        quantiles = np.quantile(reference_scores, [0.5, 0.9, 0.98])
        reference = LotReference.of(score_features(reference_scores, quantiles))
        features = score_features(_lot_scores(rng, lots, lot_noise, shift, scale), quantiles)
        steps.append(two_sided_log_factors(reference.z(features), reference.tolerance))
    factors = np.stack(steps)
    return LOT * _run(lambda lot: factors[:, lot], lots, log_threshold(lots, 1, alpha), (replications, *factors.shape[2:]))


def embedding_delays(*, share=0.0, distance=3.0, lot_noise=0.0, dims=32, replications, seed, alpha=0.01):
    """Parts until the embedding alarm when ``share`` of the parts are a new variant, ``distance`` sigma away in some direction.

    Lot means are drawn directly: N(0, 1/LOT) per dimension plus lot noise; the axes come from reference parts.
    """
    rng = np.random.default_rng(seed)
    lots = PARTS // LOT
    whitened = []
    for _ in range(replications):
        scales = 1 / np.sqrt(1 + np.arange(dims))  # embeddings have a few strong directions and many weak ones
        parts = rng.normal(size=(500, dims)) * scales
        unit = rng.normal(size=dims)
        new = distance * scales * unit / np.linalg.norm(unit)

        def means(count, moved, scales=scales, new=new):
            noise = rng.normal(size=(count, dims)) * np.sqrt(1 / LOT + lot_noise**2)
            mixed = rng.binomial(LOT, moved, count)[:, None] / LOT
            return noise * scales + mixed * new

        reference = EmbeddingReference.of(parts, means(REFERENCE_LOTS, 0.0))
        whitened.append(reference.whiten(means(lots, share)))
    z = np.stack(whitened)
    past = np.zeros((replications, 2, z.shape[-1]))

    def factors(lot):
        nonlocal past
        step, _, past = direction_log_factors(z[:, lot], past, reference.tolerance)
        return step

    return LOT * _run(factors, lots, log_threshold(lots, 1, alpha), (replications, 2, 4))
