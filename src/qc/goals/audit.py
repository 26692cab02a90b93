"""Are DR and FPR the same everywhere? Every level of every column against the rest of the line.

Each comparison is the difference level - rest with its MOVER interval (``evaluate.compare``) on the weighted labels; the two
sides share no label. Its p-value is the inverted interval: the smallest alpha of a fixed grid at which the interval leaves
out 0, which can only be larger than the exact inversion (1 when it holds 0 at 95 %). Over all comparisons that can be made Holm's step-down adjustment
holds P(any false "differs") <= alpha whatever the dependence between them (Holm 1979, Scand. J. Stat. 6:65). With two levels
only the first is compared: the other is the same comparison with the sign turned.

Not differing is not being equal: "alike" is said only when the 95 % interval lies within the margin, the rest is "too little
evidence".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from qc.domain.truth import Rate
from qc.evaluate.compare import Difference, independent_difference
from qc.evaluate.sample import Ints, LabelledSample, StratumCounts, grouped_counts
from qc.evaluate.stratified import DETECTION_RATE, FALSE_POSITIVE_RATE, Metric, rates_of
from qc.goals.period import Period

ALPHAS: Final = (0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5, 1e-6)
"""Grid of p-values: 1 when the first one does not leave out 0, and the last one at least."""
AUDITED: Final = (DETECTION_RATE, FALSE_POSITIVE_RATE)


class Finding(StrEnum):
    DIFFERS = "differs"
    ALIKE = "alike"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"


@dataclass(frozen=True, slots=True)
class AuditRules:
    """columns: what is audited. alpha: of the whole family. margins: metric -> difference that does not matter, in [0, 1].

    min_labels: slices with fewer are compared but named.
    """

    columns: tuple[str, ...] = ("variant", "camera", "line", "shift", "environment", "model")
    alpha: float = 0.05
    margins: Mapping[str, float] = field(default_factory=lambda: {"detection_rate": 0.05, "false_positive_rate": 0.02})
    min_labels: int = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """One level against the rest. p, adjusted: None when no comparison can be made (the reason is in difference)."""

    metric: str
    column: str
    level: str
    here: Rate
    rest: Rate
    difference: Difference
    p: float | None
    adjusted: float | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class Audit:
    """thin: slices with fewer labels than the rules ask for, as (column, level, labels). single: columns with one level only."""

    rules: AuditRules
    comparisons: tuple[Comparison, ...]
    thin: tuple[tuple[str, str, int], ...]
    single: tuple[str, ...]

    @property
    def differing(self) -> tuple[Comparison, ...]:
        return tuple(one for one in self.comparisons if one.finding is Finding.DIFFERS)


@dataclass(frozen=True, slots=True)
class _Slice:
    column: str
    level: str
    labels: int
    counts: StratumCounts
    """(2, H): the level and the rest."""


def audit(period: Period, rules: AuditRules) -> Audit:
    """All comparisons of a period."""
    slices, single = _slices(period, rules.columns)
    thin = tuple((s.column, s.level, s.labels) for s in slices if s.labels < rules.min_labels)
    compared = [s for i, s in enumerate(slices) if not _is_mirror(slices, i)]
    found: list[tuple[str, _Slice, Rate, Rate, Difference, float | None]] = []
    for metric in AUDITED if compared else ():
        found += _compare(metric, compared)
    adjusted = holm([p for *_, p in found])
    comparisons = tuple(
        Comparison(metric, s.column, s.level, here, rest, difference, p, a, _finding(metric, difference, a, rules))
        for (metric, s, here, rest, difference, p), a in zip(found, adjusted, strict=True)
    )
    return Audit(rules, comparisons, thin, single)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values; None stays None and does not count.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    order = sorted((i for i, p in enumerate(p_values) if p is not None), key=lambda i: p_values[i] or 0.0)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * (p_values[i] or 0.0)))
        adjusted[i] = highest
    return adjusted


def _slices(period: Period, columns: Sequence[str]) -> tuple[list[_Slice], tuple[str, ...]]:
    parts, labels = period.parts, period.labels
    found, single = [], []
    for column in columns:
        codes, levels = parts.columns[column], parts.levels[column]
        present = np.unique(codes)
        if len(present) < 2:
            single.append(column)
            continue
        for code in present:
            rest = (codes != code).astype(np.int64)
            labelled = int((rest[labels.row] == 0).sum())
            found.append(_Slice(column, levels[int(code)], labelled, _two_sides(period, rest)))
    return found, tuple(single)


def _two_sides(period: Period, group: Ints) -> StratumCounts:
    parts, labels = period.parts, period.labels
    H = len(parts.stratum_names)
    N = np.bincount(group * H + parts.stratum, parts.weight, 2 * H).astype(np.int64).reshape(2, H)
    sample = LabelledSample(labels.defective, parts.stratum[labels.row].astype(np.int64), labels.inclusion_probability)
    decision = parts.stratum_rejected.astype(float)
    return grouped_counts(sample, group[labels.row], parts=N, decision=decision, name=parts.stratum_names.__getitem__)


def _is_mirror(slices: Sequence[_Slice], i: int) -> bool:
    """The second of exactly two levels."""
    same = [k for k, s in enumerate(slices) if s.column == slices[i].column]
    return len(same) == 2 and same[1] == i


def _compare(metric: Metric, slices: Sequence[_Slice]) -> list[tuple[str, _Slice, Rate, Rate, Difference, float | None]]:
    shown = _differences(metric, slices, ALPHAS[0])
    p: list[float | None] = [None if difference.estimate is None else 1.0 for _, _, difference in shown]
    open_still = [i for i, (_, _, difference) in enumerate(shown) if difference.significant]
    for alpha, stricter in zip(ALPHAS, (*ALPHAS[1:], None), strict=True):
        for i in open_still:
            p[i] = alpha
        if stricter is None or not open_still:
            break
        found = _differences(metric, [slices[i] for i in open_still], stricter)
        open_still = [i for i, (_, _, difference) in zip(open_still, found, strict=True) if difference.significant]
    return [(metric.name, s, *rates, p[i]) for i, (s, rates) in enumerate(zip(slices, shown, strict=True))]


def _differences(metric: Metric, slices: Sequence[_Slice], alpha: float) -> list[tuple[Rate, Rate, Difference]]:
    """Here, rest, here - rest; all at confidence 1 - alpha."""
    rates = rates_of(metric, _stacked([s.counts for s in slices]), confidence=1 - alpha)
    return [(here, rest, independent_difference(rest, here)) for here, rest in zip(rates[::2], rates[1::2], strict=True)]


def _stacked(counts: Sequence[StratumCounts]) -> StratumCounts:
    arrays = [np.concatenate([getattr(c, name) for c in counts]) for name in ("N", "n", "x", "sw", "sw2", "swx")]
    return StratumCounts(arrays[0], counts[0].decision, *arrays[1:])


def _finding(metric: str, difference: Difference, adjusted: float | None, rules: AuditRules) -> Finding:
    if adjusted is not None and adjusted <= rules.alpha:
        return Finding.DIFFERS
    margin = rules.margins[metric]
    if difference.low is None or difference.high is None or difference.low < -margin or difference.high > margin:
        return Finding.TOO_LITTLE_EVIDENCE
    return Finding.ALIKE
