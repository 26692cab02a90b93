"""Slices of millions of parts: the same numbers as one slice at a time."""

import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.evaluate.sample import LabelledSample, Population
from qc.evaluate.slices import Labels, Parts, detection_rate_by_defect_type, slice_rates
from qc.evaluate.stratified import detection_rate, escapes_ppm, false_positive_rate

Q = np.array([0.01, 0.05, 0.2])
P = np.array([0.002, 0.02, 0.7])


def production(rng, parts=60_000):
    stratum = rng.choice(3, parts, p=[0.8, 0.12, 0.08]).astype(np.int8)
    columns = {"variant": rng.integers(0, 3, parts).astype(np.int32), "shift": rng.integers(0, 4, parts).astype(np.int32)}
    levels = {"variant": ("a", "b", "unused-c", "d"), "shift": ("1", "2", "3", "4")}
    columns["variant"][columns["variant"] == 2] = 3
    rows = np.flatnonzero(rng.random(parts) < Q[stratum])
    defective = rng.random(len(rows)) < P[stratum[rows]]
    labels = Labels(
        rows, defective, Q[stratum[rows]], np.zeros(len(rows), bool), rng.integers(0, 2, len(rows)), ("crack", "finger")
    )
    reviewed = (stratum == 2) & (rng.random(parts) < 0.5)
    return Parts(columns, levels, stratum, reviewed, ("a/0", "a/1", "r/0"), np.array([False, False, True])), labels


def same(one, other):
    """Equal but for rounding: a batch goes on until its last slice has converged."""
    assert (one.n, one.found, one.not_estimable) == (other.n, other.found, other.not_estimable)
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high), rel=1e-8)


def test_each_slice_is_what_the_single_estimator_says():
    parts, labels = production(np.random.default_rng(0))
    slices = slice_rates(parts, labels, ("variant",))
    assert [s.key for s in slices] == [{"variant": "a"}, {"variant": "b"}, {"variant": "d"}]
    for s, code in zip(slices, (0, 1, 3), strict=True):
        mine = parts.columns["variant"] == code
        of = mine[labels.row]
        sample = LabelledSample(labels.defective[of], parts.stratum[labels.row][of].astype(int), labels.inclusion_probability[of])
        population = Population(np.bincount(parts.stratum[mine], minlength=3), parts.stratum_rejected)
        assert s.parts == mine.sum()
        same(s.rates["detection_rate"], detection_rate(sample, population))
        same(s.rates["false_positive_rate"], false_positive_rate(sample, population))
        same(s.rates["escapes_ppm"], escapes_ppm(sample, population))
        assert s.rates["review_rate"].estimate == pytest.approx(parts.reviewed[mine].mean())


def test_cells_with_weights_equal_single_parts():
    parts, labels = production(np.random.default_rng(1))
    # One row per part against the same parts twice as cells of weight 2.
    double = Parts(
        parts.columns,
        parts.levels,
        parts.stratum,
        parts.reviewed,
        parts.stratum_names,
        parts.stratum_rejected,
        np.full(len(parts.stratum), 2),
    )
    one, two = slice_rates(parts, labels)[0], slice_rates(double, labels)[0]
    assert two.parts == 2 * one.parts
    assert two.rates["detection_rate"].estimate == pytest.approx(one.rates["detection_rate"].estimate)


def test_two_columns_and_the_pooled_line():
    parts, labels = production(np.random.default_rng(2))
    assert len(slice_rates(parts, labels, ("variant", "shift"))) == 12
    (pooled,) = slice_rates(parts, labels)
    assert pooled.key == {}
    assert pooled.parts == len(parts.stratum)


def test_unconfirmed_marks_only_its_slice():
    parts, labels = production(np.random.default_rng(3))
    labels.unconfirmed[np.flatnonzero(parts.columns["variant"][labels.row] == 1)[0]] = True
    flags = [s.rates["detection_rate"].unconfirmed for s in slice_rates(parts, labels, ("variant",))]
    assert flags == [False, True, False]


def test_defect_types_split_the_defects():
    parts, labels = production(np.random.default_rng(4))
    by_type = detection_rate_by_defect_type(parts, labels)
    whole = slice_rates(parts, labels)[0].rates["detection_rate"]
    assert by_type["crack"].found + by_type["finger"].found == whole.found
    assert by_type["crack"].n == whole.n


def test_empty_and_unlabelled_data_give_reasons():
    parts, _ = production(np.random.default_rng(5), parts=50)
    none = Labels(np.zeros(0, int), np.zeros(0, bool), np.zeros(0), np.zeros(0, bool), np.zeros(0, int))
    for s in slice_rates(parts, none, ("shift",)):
        assert s.rates["detection_rate"].not_estimable
    empty = Parts({}, {}, np.zeros(0, int), np.zeros(0, bool), parts.stratum_names, parts.stratum_rejected)
    (nothing,) = slice_rates(empty, none)
    assert nothing.parts == 0
    assert nothing.rates["detection_rate"].not_estimable
    assert nothing.rates["review_rate"].not_estimable


def test_unknown_column_names_the_known_ones():
    parts, labels = production(np.random.default_rng(6), parts=50)
    with pytest.raises(EvaluationError, match="shift, variant"):
        slice_rates(parts, labels, ("colour",))
