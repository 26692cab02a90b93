"""Points 6-9: alarms on labels and challenge parts. Replications run side by side as array rows."""

import numpy as np
from scipy import stats

from qc.monitor.challenge_bets import challenge_log_factors
from qc.monitor.evidence import log_threshold
from qc.monitor.label_bets import detection_log_factors, false_positive_log_factors
from simulations.worlds import W1, Design, World, Z

FLOOR, CEILING = 0.94, 0.08


def first_alarm(log_value, threshold):
    """Index (from 1) of the first crossing along the last axis; inf where there is none."""
    crossed = log_value >= threshold
    return np.where(crossed.any(-1), crossed.argmax(-1) + 1.0, np.inf)


def challenge_delays(detection_rate, *, replications, seed, horizon=2000, alpha=0.05):
    """Passes until the alarm of the challenge detector, a start at every pass; inf when none within the horizon."""
    rng = np.random.default_rng(seed)
    log_s = np.full((replications, 4), -np.inf)
    delays = np.full(replications, np.inf)
    for step in range(1, horizon + 1):
        missed = rng.random(replications) >= detection_rate
        log_s = np.logaddexp(log_s, 0) + challenge_log_factors(missed, floor=FLOOR)
        hit = _mean(log_s) >= log_threshold(horizon, 1, alpha)
        delays = np.where(hit & np.isinf(delays), step, delays)
    return delays


def _mean(log_s):
    axes = tuple(range(1, log_s.ndim))
    top = log_s.max(axes, keepdims=True)
    return (top + np.log(np.exp(log_s - top).mean(axes, keepdims=True))).reshape(len(log_s))


def decayed(world: World, detection_rate: float) -> World:
    """The same threshold and plan, but the defects have moved towards the good parts."""
    return World("decayed", ((1.0, world.reject_at + float(Z(detection_rate))),), world.reject_at)


def draw_labels(rng, design, world, good_shift, shape):
    """Labels of a world whose good parts score N(good_shift, 1): (y, d, q), each of this shape, order at random.

    Parts are drawn by the plan's q, so the share of each stratum among the labels follows W_h q_h of the moved world.
    """
    Wp, _ = design.shares(design.planned)
    q = design.allocation / Wp
    q = q / q.max()
    pi = design.prevalence
    good = (1 - pi) * np.diff(stats.norm.cdf(design.edges, good_shift))
    bad = pi * np.diff(world.defect_cdf(design.edges))
    mass = np.concatenate([good * q, bad * q])
    cell = rng.choice(2 * len(q), size=shape, p=mass / mass.sum())
    h = cell % len(q)
    return cell >= len(q), design.decision[h] == 1, q[h]


def limits(design):
    """q_limit of the DR and of the FPR bet."""
    Wp, _ = design.shares(design.planned)
    q = design.allocation / Wp
    q = q / q.max()
    return q[design.decision == 1].min(), q[design.decision == 0].min()


def label_delays(
    metric,
    *,
    world=W1,
    good_shift=0.0,
    prevalence=0.01,
    labels_per_shift=200,
    shifts=250,
    horizon=250,
    challenges=0,
    challenge_rate=None,
    replications,
    seed,
    streams=1,
    alpha=0.05,
    plan_labels=200,
):
    """Labels until the alarm (inf when none). With ``challenges`` per shift they are bets in the same S."""
    rng = np.random.default_rng(seed)
    design = Design(W1, W1, prevalence, plan_labels)
    q_reject, q_accept = limits(design)
    threshold = log_threshold(horizon, streams, alpha)
    grid = (7, 4) if challenges else (7, 1)
    log_s = np.full((replications, *grid), -np.inf)
    delays = np.full(replications, np.inf)
    for shift in range(shifts):
        y, d, q = draw_labels(rng, design, world, good_shift, (replications, labels_per_shift))
        if metric == "detection_rate":
            factors = detection_log_factors(y, d, q, q_limit=q_reject, floor=FLOOR)
        else:
            factors = false_positive_log_factors(y, d, q, q_limit=q_accept, ceiling=CEILING)
        log_s = np.logaddexp(log_s, 0)
        steps = factors[..., None]
        if challenges:
            missed = rng.random((replications, challenges)) >= challenge_rate
            passes = challenge_log_factors(missed, floor=FLOOR).sum(1)
            log_s = log_s + passes[:, None, :]
        path = log_s[:, None] + np.cumsum(steps, axis=1)
        flat = path.reshape(replications, labels_per_shift, -1)
        top = flat.max(-1, keepdims=True)
        value = (top + np.log(np.exp(flat - top).mean(-1, keepdims=True)))[..., 0]
        first = first_alarm(value, threshold) + shift * labels_per_shift
        delays = np.minimum(delays, first)
        log_s = path[:, -1]
        if np.isfinite(delays).all():
            break
    return delays
