"""Rates from labels drawn with unequal probabilities: t-adjusted stratified profile likelihood with two-phase widening.

With W_h = N_h / N, d_h = 1 where the line rejected, x_h defects among n_h labels and p_h = x_h / n_h:
detection rate DR = sum W d p / sum W p; false-positive rate FPR the same with 1 - p; escapes = sum W (1 - d) p;
prevalence = sum W p; precision = sum W d p / sum W d.

Interval: {r : deviance(r) <= t^2_{0.975, nu}}, nu = max(3, m - 1), m the number of labels that carry the information
(DR: defects found; FPR: verified false rejects; escapes: escapes found; ...), then each side is widened for the
random W_h to sqrt(distance^2 + 1.96^2 V), V = (1/N) sum W_h [(d_h - R) p_h]^2 / (sum W_h p_h)^2 for ratios and
(1/N) [sum W_h (a_h p_h)^2 - theta^2] for a total theta = sum a_h W_h p_h. No defect found: DR in [0, 1].

Sources: profile likelihood as in ``profile``; verification bias: Begg & Greenes 1983, Biometrics 39:207; two-phase
estimation: Katki et al. 2012, Stat. Med. 31:436. The t rule (instead of chi^2) is validated by simulation, not
proved: docs/monitoring.md, points 1-3. Assumes independent draws with known q and confirmed truth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from qc.domain.truth import Rate
from qc.evaluate.profile import deviance, profile_limits
from qc.evaluate.sample import Bools, LabelledSample, Population, StratumCounts, stratum_counts

Floats: TypeAlias = NDArray[np.float64]

METHOD = "stratified-profile-t"


@dataclass(frozen=True, slots=True)
class Intervals:
    """Point and limits of a batch, each of shape (...,); nan where nothing can be said about the point."""

    estimate: Floats
    low: Floats
    high: Floats


def swapped_truth(counts: StratumCounts) -> StratumCounts:
    """The same labels with good parts counted instead of defects."""
    return replace(counts, x=counts.n - counts.x, swx=counts.sw - counts.swx)


def ratio_intervals(counts: StratumCounts, informative: Floats, confidence: float = 0.95) -> Intervals:
    """sum W d p / sum W p of a batch; ``informative`` (...,) is m. decision may be any real (paired: -1, 0, 1).

    >>> counts = StratumCounts.of_constant_q(
    ...     N=np.array([9000.0, 1000.0]), decision=np.array([0.0, 1.0]),
    ...     n=np.array([90.0, 100.0]), x=np.array([1.0, 80.0]), q=np.array([0.01, 0.1]))
    >>> rate = ratio_intervals(counts, np.array(81.0))
    >>> [round(float(v), 4) for v in (rate.estimate, rate.low, rate.high)]
    [0.8889, 0.6443, 0.9935]
    """
    W, d, n, x = counts.share, counts.decision, counts.n_eff, counts.x_eff
    p = np.divide(x, n, out=np.zeros_like(x), where=n > 0)
    whole = (W * p).sum(-1)
    some = whole > 0
    estimate = np.divide((W * d * p).sum(-1), whole, out=np.full(whole.shape, np.nan), where=some)
    start = np.where(some, estimate, d.mean(-1))

    def at(r: Floats) -> Floats:
        return deviance(n, x, W * (d - r[..., None]), np.zeros(r.shape))

    ends = (np.asarray(d.min(-1), float), np.asarray(d.max(-1), float))
    low, high = profile_limits(at, start, _critical(informative, confidence), ends)
    total = np.maximum(counts.N.sum(-1), 1)
    V = (W * ((d - start[..., None]) * p) ** 2).sum(-1) / np.where(some, whole, 1) ** 2 / total
    low, high = _widen(start, low, high, V, confidence)
    low, high = np.where(some, np.maximum(low, ends[0]), ends[0]), np.where(some, np.minimum(high, ends[1]), ends[1])
    return Intervals(estimate, low, high)


def total_intervals(counts: StratumCounts, a: Floats, informative: Floats, confidence: float = 0.95) -> Intervals:
    """sum a W p of a batch for fixed a >= 0 of shape (..., H), e.g. 1 - d for escapes.

    >>> counts = StratumCounts.of_constant_q(
    ...     N=np.array([9000.0, 1000.0]), decision=np.array([0.0, 1.0]),
    ...     n=np.array([90.0, 100.0]), x=np.array([1.0, 80.0]), q=np.array([0.01, 0.1]))
    >>> escapes = total_intervals(counts, 1 - counts.decision, np.array(1.0))
    >>> [round(1e6 * float(v)) for v in (escapes.estimate, escapes.low, escapes.high)]
    [10000, 23, 78464]
    """
    W, n, x = counts.share, counts.n_eff, counts.x_eff
    c = W * a
    p = np.divide(x, n, out=np.zeros_like(x), where=n > 0)
    estimate = (c * p).sum(-1)
    most = c.sum(-1)

    def at(t: Floats) -> Floats:
        return deviance(n, x, c, t)

    low, high = profile_limits(at, estimate, _critical(informative, confidence), (np.zeros_like(most), most))
    V = np.maximum((c * a * p**2).sum(-1) - estimate**2, 0) / np.maximum(counts.N.sum(-1), 1)
    low, high = _widen(estimate, low, high, V, confidence)
    return Intervals(estimate, np.maximum(low, 0), np.minimum(high, most))


def _critical(informative: Floats, confidence: float) -> Floats:
    return np.asarray(stdtrit(np.maximum(3, np.asarray(informative, float) - 1), 0.5 + confidence / 2) ** 2)


def _widen(estimate: Floats, low: Floats, high: Floats, V: Floats, confidence: float) -> tuple[Floats, Floats]:
    z2V = ndtri(0.5 + confidence / 2) ** 2 * V
    return estimate - np.sqrt((estimate - low) ** 2 + z2V), estimate + np.sqrt((high - estimate) ** 2 + z2V)


def detection_rate_intervals(counts: StratumCounts, confidence: float = 0.95) -> Intervals:
    """DR of a batch of samples."""
    return ratio_intervals(counts, counts.x.sum(-1), confidence)


def false_positive_rate_intervals(counts: StratumCounts, confidence: float = 0.95) -> Intervals:
    """FPR of a batch of samples."""
    good = swapped_truth(counts)
    return ratio_intervals(good, (good.x * good.decision).sum(-1), confidence)


def escape_intervals(counts: StratumCounts, confidence: float = 0.95) -> Intervals:
    """Share of defective and accepted parts of a batch of samples."""
    accepted = 1 - counts.decision
    return total_intervals(counts, accepted, (counts.x * accepted).sum(-1), confidence)


def prevalence_intervals(counts: StratumCounts, confidence: float = 0.95) -> Intervals:
    """Share of defective parts of a batch of samples."""
    return total_intervals(counts, np.ones_like(counts.decision), counts.x.sum(-1), confidence)


def precision_intervals(counts: StratumCounts, confidence: float = 0.95) -> Intervals:
    """P(defective | reject) of a batch of samples."""
    rejects = replace(counts, N=counts.N * counts.decision)
    found, good = (counts.x * counts.decision).sum(-1), ((counts.n - counts.x) * counts.decision).sum(-1)
    return total_intervals(rejects, counts.decision, np.minimum(found, good), confidence)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the report. found (counts -> (...,)): the labels that carry the information; sides: decisions that need labels."""

    name: str
    intervals: Callable[[StratumCounts, float], Intervals]
    found: Callable[[StratumCounts], Floats]
    sides: tuple[int, ...]
    nothing_found: str = ""
    """The reason when no label carries the information and the rate then may be anything."""
    scale: float = 1.0


DETECTION_RATE = Metric(
    "detection_rate", detection_rate_intervals, lambda c: c.x.sum(-1), (0, 1), "no defect among the labels: it may be anything"
)
FALSE_POSITIVE_RATE = Metric(
    "false_positive_rate", false_positive_rate_intervals, lambda c: ((c.n - c.x) * c.decision).sum(-1), (0, 1)
)
ESCAPES_PPM = Metric("escapes_ppm", escape_intervals, lambda c: (c.x * (1 - c.decision)).sum(-1), (0,), scale=1e6)
PREVALENCE = Metric("prevalence", prevalence_intervals, lambda c: c.x.sum(-1), (0, 1))
PRECISION = Metric("precision", precision_intervals, lambda c: (c.x * c.decision).sum(-1), (1,))
METRICS = (DETECTION_RATE, FALSE_POSITIVE_RATE, ESCAPES_PPM, PREVALENCE, PRECISION)


def rates_of(metric: Metric, counts: StratumCounts, unconfirmed: Bools | None = None, confidence: float = 0.95) -> list[Rate]:
    """One Rate per sample of a batch (G, H); unconfirmed (G,) marks samples whose truth is still in question."""
    found, labels = metric.found(counts).astype(int), counts.n.sum(-1).astype(int)
    reasons = [_not_estimable(metric, counts, g, int(found[g])) for g in range(len(found))]
    good = np.array([not reason for reason in reasons], bool)
    intervals = metric.intervals(counts.rows(good), confidence)
    values = iter(np.stack([intervals.estimate, intervals.low, intervals.high], -1) * metric.scale)
    rates = []
    for g, reason in enumerate(reasons):
        point, low, high = (None, None, None) if reason else (float(v) for v in next(values))
        open_looks = unconfirmed is not None and bool(unconfirmed[g])
        rates.append(Rate(point, low, high, int(labels[g]), int(found[g]), METHOD, confidence, reason, open_looks))
    return rates


def _not_estimable(metric: Metric, counts: StratumCounts, g: int, found: int) -> str:
    """Why the rate cannot be had, or an empty string."""
    for decision in metric.sides:
        verb = "rejected" if decision else "accepted"
        side = counts.decision == decision
        if counts.N[g, side].sum() == 0:
            return f"no part was {verb}"
        if counts.n[g, side].sum() == 0:
            return f"no {verb} part is labelled: labels from one side of the decision cannot give this rate"
    if metric.nothing_found and found == 0:
        return metric.nothing_found
    if metric is FALSE_POSITIVE_RATE and (counts.n - counts.x)[g].sum() == 0:
        return "no good part among the labels: it may be anything"
    return ""


def _one(metric: Metric, sample: LabelledSample, population: Population, confidence: float) -> Rate:
    counts = stratum_counts(sample, population).rows(np.newaxis)
    return rates_of(metric, counts, np.array([sample.unconfirmed > 0]), confidence)[0]


def detection_rate(sample: LabelledSample, population: Population, confidence: float = 0.95) -> Rate:
    """P(reject | defective). Not estimable when a side has no labels or no defect was found."""
    return _one(DETECTION_RATE, sample, population, confidence)


def false_positive_rate(sample: LabelledSample, population: Population, confidence: float = 0.95) -> Rate:
    """P(reject | good). ``found`` counts verified false rejects."""
    return _one(FALSE_POSITIVE_RATE, sample, population, confidence)


def escapes_ppm(sample: LabelledSample, population: Population, confidence: float = 0.95) -> Rate:
    """Defective and accepted parts per million judged parts; estimate, low and high are in ppm."""
    return _one(ESCAPES_PPM, sample, population, confidence)


def prevalence(sample: LabelledSample, population: Population, confidence: float = 0.95) -> Rate:
    """P(defective)."""
    return _one(PREVALENCE, sample, population, confidence)


def precision(sample: LabelledSample, population: Population, confidence: float = 0.95) -> Rate:
    """P(defective | reject): needs labels on rejected parts only."""
    return _one(PRECISION, sample, population, confidence)
