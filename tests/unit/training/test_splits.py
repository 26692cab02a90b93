"""Splits and folds: groups never torn, strata balanced, the same for the same seed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.domain.errors import DatasetError
from qc.training.duplicates import Copies, CopyGroup
from qc.training.samples import Dataset, Sample
from qc.training.splits import group_folds, part_groups, split_dataset

ROOT = Path("/data")


def rows(*specs: tuple[str, str, str]) -> Dataset:
    """(label, variant, group) -> a data set that exists only on paper."""
    return Dataset(
        ROOT,
        tuple(
            Sample(
                ROOT / f"{i}.png",
                "defect" if label == "defect" else "good",
                "d" if label == "defect" else "",
                None,
                variant,
                "",
                group,
            )
            for i, (label, variant, group) in enumerate(specs)
        ),
    )


datasets = st.lists(
    st.tuples(st.sampled_from(["good", "defect"]), st.sampled_from("ab"), st.sampled_from(["", "g1", "g2", "g3", "g4"])),
    min_size=2,
    max_size=40,
).map(lambda specs: rows(*specs))


@settings(max_examples=60)
@given(dataset=datasets, seed=st.integers(0, 99))
def test_no_group_is_torn_and_every_split_is_filled(dataset, seed):
    split = split_dataset(dataset, seed=seed).dataset
    sides: dict[str, set[str]] = {}
    for sample in split:
        assert sample.split in {"train", "val", "test"}
        if sample.group:
            sides.setdefault(sample.group, set()).add(sample.split)
    assert all(len(side) == 1 for side in sides.values())
    assert [s.image for s in split] == [s.image for s in dataset]
    assert split_dataset(dataset, seed=seed).dataset == split


@settings(max_examples=60)
@given(dataset=datasets, k=st.integers(2, 8))
def test_folds_hold_every_picture_out_once(dataset, k):
    folds = group_folds(dataset, k, 1)
    assert 2 <= folds.k <= k
    held_out = np.concatenate([held for _, held in folds])
    assert sorted(held_out.tolist()) == list(range(len(dataset)))
    ids = part_groups(dataset).ids
    per_label = [len(np.unique(ids[dataset.labels == value])) for value in (0, 1) if (dataset.labels == value).sum() > 1]
    if min(per_label, default=2) > 1:  # otherwise a label could not be both learnt and judged
        for train, held in folds:
            assert not set(ids[train]) & set(ids[held])


def test_strata_are_kept_within_a_picture_or_two():
    dataset = rows(
        *[(label, variant, f"{label}{variant}{i // 2}") for label in ("good", "defect") for variant in "ab" for i in range(50)]
    )
    split = split_dataset(dataset, {"train": 0.6, "val": 0.2, "test": 0.2}, seed=3).dataset
    counts = Counter((s.split, s.label, s.variant) for s in split)
    for label in ("good", "defect"):
        for variant in "ab":
            assert counts["train", label, variant] == pytest.approx(30, abs=2)
            assert counts["test", label, variant] == pytest.approx(10, abs=2)


def test_filled_splits_stay_and_their_groups_follow():
    dataset = rows(("good", "a", "g1"), ("good", "a", "g1"), ("good", "a", ""), ("defect", "a", ""))
    first = replace(dataset.samples[0], split="test")
    filled = split_dataset(replace(dataset, samples=(first, *dataset.samples[1:]))).dataset
    assert [s.split for s in filled][:2] == ["test", "test"]
    assert split_dataset(filled).dataset is filled


def test_copies_stay_together_without_groups():
    dataset = rows(*[("good", "a", "")] * 12)
    groups = part_groups(dataset, Copies((CopyGroup((0, 5, 7), exact=False, distance=0.001), CopyGroup((1, 2), exact=True))))
    assert len({int(groups.ids[i]) for i in (0, 5, 7)}) == 1
    assert len({int(groups.ids[i]) for i in (1, 2)}) == 1
    assert groups.ids.max() == 8
    assert "5 copies" in groups.notes[0]


def test_near_copies_never_chain_up_a_fifth_of_the_set():
    dataset = rows(*[("good", "a", f"g{i // 10}") for i in range(100)])
    chain = Copies(tuple(CopyGroup((i, i + 10), exact=False, distance=0.01) for i in range(0, 90, 10)))
    groups = part_groups(dataset, chain)
    assert np.bincount(groups.ids).max() <= 20
    assert any("stay apart" in note for note in groups.notes)


def test_one_group_is_split_by_picture_and_says_so():
    dataset = rows(*[("good", "a", "run"), ("defect", "a", "run")] * 5)
    folds = group_folds(dataset, 3)
    assert folds.k == 3
    assert any("one group" in note for note in folds.notes)


def test_rare_labels_reduce_k():
    dataset = rows(*[("good", "a", "")] * 20, *[("defect", "a", "")] * 3)
    folds = group_folds(dataset, 5)
    assert folds.k == 3
    assert all(dataset.labels[held].sum() == 1 for _, held in folds)
    assert any("3 folds instead of 5" in note for note in folds.notes)


def test_a_single_defect_group_is_told():
    folds = group_folds(rows(*[("good", "a", "")] * 8, ("defect", "a", "x"), ("defect", "a", "x")), 5)
    assert folds.k == 2
    assert any("All defect pictures belong to one group" in note for note in folds.notes)


def test_splits_that_lack_a_label_are_told():
    split = split_dataset(rows(*[("good", "a", "")] * 10, ("defect", "a", "")))
    assert any("no defect picture in" in note for note in split.notes)


@pytest.mark.parametrize("fractions", [{}, {"train": 0.0}, {"train": 0.5, "holdout": 0.5}, {"train": -1.0, "val": 2.0}])
def test_bad_fractions_are_refused(fractions):
    with pytest.raises(DatasetError, match="must name train, val or test"):
        split_dataset(rows(("good", "a", "")), fractions)


def test_one_picture_cannot_be_cross_validated():
    with pytest.raises(DatasetError, match="at least two"):
        group_folds(rows(("good", "a", "")))
