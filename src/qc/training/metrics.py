"""How well scores separate defects from good parts, and what a threshold does: pure functions of arrays."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from qc.domain.errors import EvaluationError
from qc.domain.record import Json

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share with its two-sided interval; estimate is None when n is 0."""

    estimate: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, Json]:
        return asdict(self)


def wilson(hits: int, n: int) -> Proportion:
    """Wilson score interval (JASA 1927) at 95 %.

    >>> wilson(0, 10)
    Proportion(estimate=0.0, low=0.0, high=0.2775, n=10)
    """
    if n == 0:
        return Proportion(None, None, None, 0)
    interval = stats.binomtest(hits, n).proportion_ci(CONFIDENCE, "wilson")
    return Proportion(hits / n, round(float(interval.low), 4), round(float(interval.high), 4), n)


def auroc(scores: Scores, labels: Labels) -> float | None:
    """Probability that a defect scores above a good part, ties counted half; None when a class is absent.

    >>> auroc(np.array([.1, .2, .3]), np.array([0, 1, 0]))
    0.5
    """
    good, defect = _classes(scores, labels)
    if not len(good) or not len(defect):
        return None
    ranks = stats.rankdata(np.concatenate([defect, good]))[: len(defect)]
    return float((ranks.sum() - len(defect) * (len(defect) + 1) / 2) / (len(good) * len(defect)))


def average_precision(scores: Scores, labels: Labels) -> float | None:
    """Area under the precision-recall steps; None when a class is absent."""
    good, defect = _classes(scores, labels)
    if not len(good) or not len(defect):
        return None
    thresholds = np.unique(scores)[::-1]
    hits = np.array([(defect >= t).sum() for t in thresholds])
    precision = hits / np.array([(scores >= t).sum() for t in thresholds])
    return float((np.diff(hits, prepend=0) / len(defect)) @ precision)


def dr_at_fpr(scores: Scores, labels: Labels, fpr: float = 0.08) -> float | None:
    """Highest detection rate of any threshold whose false positive rate is at most ``fpr``."""
    good, defect = _classes(scores, labels)
    if not len(good) or not len(defect):
        return None
    allowed = int(np.floor(fpr * len(good) + 1e-9))
    limit = np.sort(good)[::-1][allowed] if allowed < len(good) else -np.inf
    return float((defect > limit).mean())


def fpr_at_dr(scores: Scores, labels: Labels, dr: float = 0.94) -> float | None:
    """Lowest false positive rate of any threshold whose detection rate is at least ``dr``."""
    good, defect = _classes(scores, labels)
    if not len(good) or not len(defect):
        return None
    needed = int(np.ceil(dr * len(defect) - 1e-9))
    threshold = np.sort(defect)[::-1][max(needed, 1) - 1]
    return float((good >= threshold).mean())


def rates_at(scores: Scores, labels: Labels, threshold: float) -> tuple[Proportion, Proportion]:
    """Detection rate and false positive rate of ``score >= threshold``."""
    good, defect = _classes(scores, labels)
    return wilson(int((defect >= threshold).sum()), len(defect)), wilson(int((good >= threshold).sum()), len(good))


def roc_curve(scores: Scores, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positive rates and detection rates over all thresholds, from (0, 0) to (1, 1)."""
    good, defect = _classes(scores, labels)
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    fpr = np.array([(good >= t).mean() if len(good) else np.nan for t in thresholds])
    dr = np.array([(defect >= t).mean() if len(defect) else np.nan for t in thresholds])
    return fpr, dr


def review_share(scores: Scores, labels: Labels, dr: float = 0.94, fpr: float = 0.08) -> float | None:
    """Smallest share of parts sent to review such that the decided rest holds both limits; None when a class is absent.

    Both classes count alike, however many images each has. A reviewed part is judged by a person, so it is neither missed
    nor falsely rejected, and leaves the denominators.
    """
    good, defect = (np.sort(x) for x in _classes(scores, labels))
    if not len(good) or not len(defect):
        return None
    cuts = np.unique(scores)
    cuts = cuts[np.linspace(0, len(cuts) - 1, min(len(cuts), 400)).round().astype(int)]
    cuts = np.append(cuts, np.inf)
    good_below, defect_below = np.searchsorted(good, cuts) / len(good), np.searchsorted(defect, cuts) / len(defect)
    missed, rejected = defect_below[:, None], 1 - good_below[None, :]
    detected, passed = 1 - defect_below[None, :], good_below[:, None]
    holds = (missed <= (1 - dr) * (missed + detected) + 1e-12) & (rejected <= fpr * (rejected + passed) + 1e-12)
    share = ((good_below[None, :] - good_below[:, None]) + (defect_below[None, :] - defect_below[:, None])) / 2
    share[~holds | (np.arange(len(cuts))[None, :] < np.arange(len(cuts))[:, None])] = 1.0
    return float(share.min())


def aupro(maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]], limit: float = 0.3) -> float | None:
    """Mean overlap per defect region, integrated over pixel false positive rates up to ``limit``, divided by it.

    Bergmann et al., IJCV 2021. maps and masks share their shapes; masks of good images are all False.
    """
    regions = [(m[labelled == i]) for m, labelled, count in _regions(maps, masks) for i in range(1, count + 1)]
    background = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)]) if maps else np.array([])
    if not regions or not len(background):
        return None
    background = np.sort(background)
    fpr = np.linspace(0, limit, 61)
    thresholds = np.quantile(background, 1 - fpr)
    overlap = np.array([np.mean([(region > t).mean() for region in regions]) for t in thresholds])
    return float(np.trapezoid(overlap, fpr) / limit)


def _regions(maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]]) -> list[tuple[NDArray[np.float32], Any, int]]:
    labelled = []
    for m, mask in zip(maps, masks, strict=True):
        areas, count = ndimage.label(mask)
        labelled.append((m, areas, int(count)))
    return labelled


def _classes(scores: Scores, labels: Labels) -> tuple[Scores, Scores]:
    if scores.shape != labels.shape or scores.ndim != 1:
        raise EvaluationError(f"scores {scores.shape} and labels {labels.shape} must be two vectors of the same length")
    if not np.isfinite(scores).all():
        raise EvaluationError("a score is not a finite number")
    return scores[labels == 0], scores[labels == 1]
