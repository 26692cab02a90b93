"""Differences of rates between two periods or two models, with intervals.

Two periods (independent samples): MOVER, the square-and-add of each side's distance to its own limit,
L = (b - a) - sqrt((b - l_b)^2 + (u_a - a)^2), U likewise: Newcombe 1998, Stat. Med. 17:873 (method 10 when the limits
are Wilson's), Zou & Donner 2008, Stat. Med. 27:1693 for any limits; here those of ``stratified``.

Two models on the same parts (paired): with e = d_b - d_a in {-1, 0, 1} known for every part, the difference
DR_b - DR_a = sum W e p / sum W p is the same ratio as in ``stratified`` with e in place of d, so the same profile
interval applies; m counts only labels on which the models disagree, since only they carry information.
"""

from dataclasses import dataclass

import numpy as np

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.sample import Bools, Ints, LabelledSample, Population, StratumCounts, stratum_counts
from qc.evaluate.stratified import METHOD, ratio_intervals, swapped_truth


@dataclass(frozen=True, slots=True)
class Difference:
    """b minus a, in [-1, 1] (ppm for ppm rates). n: labels used; found: those that carry the information."""

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    found: int
    method: str
    confidence: float = 0.95
    not_estimable: str = ""

    @property
    def significant(self) -> bool:
        """The interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def independent_difference(a: Rate, b: Rate) -> Difference:
    """b - a of two rates from different parts.

    >>> from qc.evaluate.wilson import wilson_rate
    >>> d = independent_difference(wilson_rate(48, 80, "passes"), wilson_rate(56, 70, "passes"))
    >>> round(d.estimate, 4), round(d.low, 4), round(d.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    if a.confidence != b.confidence:
        raise EvaluationError(f"the two rates have different confidence levels ({a.confidence} and {b.confidence})")
    n, found = a.n + b.n, a.found + b.found
    for side, rate in (("first", a), ("second", b)):
        if rate.estimate is None or rate.low is None or rate.high is None:
            return Difference(None, None, None, n, found, "mover", a.confidence, f"{side}: {rate.not_estimable}")
    assert a.estimate is not None
    assert a.low is not None
    assert a.high is not None
    assert b.estimate is not None
    assert b.low is not None
    assert b.high is not None
    point = b.estimate - a.estimate
    low = point - float(np.hypot(b.estimate - b.low, a.high - a.estimate))
    high = point + float(np.hypot(b.high - b.estimate, a.estimate - a.low))
    return Difference(point, low, high, n, found, "mover", a.confidence)


@dataclass(frozen=True, slots=True)
class PairedPopulation:
    """Parts judged by both models, by stratum; no stratum mixes joint decisions. Arrays (H,)."""

    parts: Ints
    rejected_a: Bools
    rejected_b: Bools
    names: tuple[str, ...] = ()


def refine_by_joint_decision(stratum: Ints, rejected_a: Bools, rejected_b: Bools) -> Ints:
    """Codes (n,) of stratum x joint decision for parts (n,): 4 * stratum + 2 * a + b."""
    return 4 * stratum + 2 * rejected_a.astype(np.int64) + rejected_b.astype(np.int64)


def paired_detection_difference(sample: LabelledSample, population: PairedPopulation, confidence: float = 0.95) -> Difference:
    """DR_b - DR_a from labels of parts that both models judged."""
    return _paired(_joint_counts(sample, population), len(sample.defective), confidence, "defect")


def paired_false_positive_difference(
    sample: LabelledSample, population: PairedPopulation, confidence: float = 0.95
) -> Difference:
    """FPR_b - FPR_a from labels of parts that both models judged."""
    return _paired(swapped_truth(_joint_counts(sample, population)), len(sample.defective), confidence, "good part")


def _joint_counts(sample: LabelledSample, population: PairedPopulation) -> StratumCounts:
    difference = population.rejected_b.astype(float) - population.rejected_a.astype(float)
    return stratum_counts(sample, Population(population.parts, population.rejected_b, population.names), side=difference)


def _paired(counts: StratumCounts, n: int, confidence: float, what: str) -> Difference:
    found = int((counts.x * (counts.decision != 0)).sum())
    words = {-1: "that only the first model rejects", 0: "on which the models agree", 1: "that only the second model rejects"}
    for e, name in words.items():
        side = counts.decision == e
        if counts.N[side].sum() > 0 and counts.n[side].sum() == 0:
            return Difference(None, None, None, n, found, METHOD, confidence, f"no label on parts {name}")
    if counts.x.sum() == 0:
        return Difference(None, None, None, n, found, METHOD, confidence, f"no {what} among {n} labels")
    intervals = ratio_intervals(counts, np.array(float(found)), confidence)
    return Difference(float(intervals.estimate), float(intervals.low), float(intervals.high), n, found, METHOD, confidence)
