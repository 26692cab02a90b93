"""Rates per slice and pooled, over tens of millions of parts: counting by bincount, all slices in one batch.

A slice is any combination of columns of the parts (variant, camera, shift, model version, environment, ...). Defect
type is a column of the truth instead: its DR counts the defects of one type among all labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.sample import Bools, Floats, Ints, LabelledSample, StratumCounts, grouped_counts
from qc.evaluate.stratified import DETECTION_RATE, METRICS, rates_of
from qc.evaluate.wilson import wilson_rate


@dataclass(frozen=True, slots=True)
class Parts:
    """Judged production parts, one row per part (or per cell, with ``weight`` parts). Arrays (N,), any integer dtype.

    columns: codes into ``levels`` by column name. stratum: code into stratum_names / stratum_rejected (H,), in score order.
    reviewed: the verdict was REVIEW.
    """

    columns: Mapping[str, NDArray[np.integer[Any]]]
    levels: Mapping[str, tuple[str, ...]]
    stratum: Ints
    reviewed: Bools
    stratum_names: tuple[str, ...]
    stratum_rejected: Bools
    weight: Ints | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """Settled labels of those parts, arrays (n,). row: index of the label's part in Parts."""

    row: Ints
    defective: Bools
    inclusion_probability: Floats
    unconfirmed: Bools
    defect_type: Ints
    defect_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceRates:
    """key: column -> level; empty for the pooled line. rates by metric name, see ``stratified.METRICS``, and review_rate."""

    key: Mapping[str, str]
    parts: int
    rates: Mapping[str, Rate]


def slice_rates(parts: Parts, labels: Labels, by: Sequence[str] = (), confidence: float = 0.95) -> list[SliceRates]:
    """One entry per combination of the columns ``by`` that occurs; one for everything when ``by`` is empty."""
    group, keys = _groups(parts, by)
    counts, N = _counts(parts, labels, group, len(keys))
    unconfirmed = np.bincount(group[labels.row], labels.unconfirmed, len(keys)) > 0
    reviewed = np.bincount(group[parts.reviewed], None if parts.weight is None else parts.weight[parts.reviewed], len(keys))
    by_metric = {metric.name: rates_of(metric, counts, unconfirmed, confidence) for metric in METRICS}
    result = []
    for g, key in enumerate(keys):
        rates = {name: rates[g] for name, rates in by_metric.items()}
        rates["review_rate"] = wilson_rate(int(reviewed[g]), int(N[g]), "part was judged", confidence)
        result.append(SliceRates(key, int(N[g]), rates))
    return result


def detection_rate_by_defect_type(parts: Parts, labels: Labels, confidence: float = 0.95) -> dict[str, Rate]:
    """DR of each type of defect, over all parts."""
    group, _ = _groups(parts, ())
    result = {}
    for code, name in enumerate(labels.defect_types):
        of_type = replace(labels, defective=labels.defective & (labels.defect_type == code))
        counts, _ = _counts(parts, of_type, group, 1)
        result[name] = rates_of(DETECTION_RATE, counts, np.array([bool(labels.unconfirmed.any())]), confidence)[0]
    return result


def _groups(parts: Parts, by: Sequence[str]) -> tuple[Ints, list[dict[str, str]]]:
    """Slice code of every row, and the key of every slice that occurs."""
    for name in by:
        if name not in parts.columns:
            raise EvaluationError(f"no column {name!r} to slice by; there are {', '.join(sorted(parts.columns))}")
    sizes = [len(parts.levels[name]) for name in by]
    cells = int(np.prod(sizes, dtype=np.int64))
    combined = np.zeros(len(parts.stratum), np.int64)
    for name, size in zip(by, sizes, strict=True):
        combined *= size
        combined += parts.columns[name]
    if cells > 1_000_000:
        present, group = np.unique(combined, return_inverse=True)
    else:
        # Much faster than sorting ten million codes.
        present = np.flatnonzero(np.bincount(combined, minlength=cells)) if len(combined) else np.zeros(0, np.int64)
        lookup = np.zeros(cells, np.int64)
        lookup[present] = np.arange(len(present))
        group = lookup[combined]
    if not by and len(present) == 0:
        present = np.zeros(1, np.int64)
    keys = []
    for code in present:
        indices = np.unravel_index(int(code), sizes) if by else ()
        keys.append({name: parts.levels[name][int(i)] for name, i in zip(by, indices, strict=True)})
    return group, keys


def _counts(parts: Parts, labels: Labels, group: Ints, G: int) -> tuple[StratumCounts, Ints]:
    H = len(parts.stratum_names)
    N = np.bincount(group * H + parts.stratum, parts.weight, G * H).astype(np.int64).reshape(G, H)
    sample = LabelledSample(labels.defective, parts.stratum[labels.row].astype(np.int64), labels.inclusion_probability)
    decision = parts.stratum_rejected.astype(float)
    counts = grouped_counts(sample, group[labels.row], parts=N, decision=decision, name=parts.stratum_names.__getitem__)
    return counts, N.sum(1)
