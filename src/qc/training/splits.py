"""Splits by group: pictures of one physical part or capture run never stand on both sides.

Groups are dealt out greedily, largest first, each to the side that it brings closest to its planned composition of
labels, variants, environments and defect types (chi-square distance). The order of equal groups is drawn from the seed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import DatasetError
from qc.training.duplicates import Copies
from qc.training.samples import SPLITS, Dataset, Sample

DEFAULT_FRACTIONS: Final[Mapping[str, float]] = MappingProxyType({"train": 0.6, "val": 0.2, "test": 0.2})
LARGEST_JOINED_SHARE: Final = 0.2
"""Groups that share near copies are joined unless the result would hold more than this share of the set."""


@dataclass(frozen=True, slots=True)
class Groups:
    """ids: (n,) int64, equal for pictures that must stay together. notes: what was decided, as sentences."""

    ids: NDArray[np.int64]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folds:
    """Cross-validation. fold: (n,) int64 in [0, k), the fold in which each picture is held out."""

    fold: NDArray[np.int64]
    k: int
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(train indices, held-out indices) of each fold."""
        for number in range(self.k):
            yield np.flatnonzero(self.fold != number), np.flatnonzero(self.fold == number)


@dataclass(frozen=True, slots=True)
class Split:
    """The data set with every split filled in, and what had to be decided for it."""

    dataset: Dataset
    notes: tuple[str, ...] = ()


def part_groups(dataset: Dataset, copies: Copies | None = None) -> Groups:
    """Which pictures belong together: the named group; without one, each picture with its copies.

    copies: from ``scan_dataset(dataset).copies()``; None when copies were not searched. Exact copies always join;
    near copies join unless that would chain up more than a fifth of the set.
    """
    parent = np.arange(len(dataset), dtype=np.int64)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(members: tuple[int, ...]) -> None:
        for member in members[1:]:
            parent[root(member)] = root(members[0])

    named: dict[str, list[int]] = {}
    for index, sample in enumerate(dataset):
        if sample.group:
            named.setdefault(sample.group, []).append(index)
    for indices in named.values():
        join(tuple(indices))
    notes = []
    size = Counter(root(i) for i in range(len(dataset)))
    joined = kept_apart = 0
    for group in copies.groups if copies else ():
        roots = {root(i) for i in group.members}
        total = sum(size[r] for r in roots)
        if len(roots) == 1:
            continue
        if not group.exact and total > max(LARGEST_JOINED_SHARE * len(dataset), 10, len(group.members)):
            kept_apart += 1
            continue
        join(group.members)
        size[root(group.members[0])] = total
        joined += len(group.members)
    if joined:
        notes.append(f"{joined} copies and near copies are kept together although no group, or another group, is named for them.")
    if kept_apart:
        notes.append(
            f"{kept_apart} sets of near copies would have joined more than a fifth of the pictures; their groups stay apart."
        )
    if not named:
        notes.append("No groups are named: each picture counts as its own part. Fill the column group if parts were taken twice.")
    ids = np.unique([root(i) for i in range(len(dataset))], return_inverse=True)[1].astype(np.int64)
    return Groups(ids, tuple(notes))


def split_dataset(
    dataset: Dataset, fractions: Mapping[str, float] = DEFAULT_FRACTIONS, seed: int = 0, *, groups: Groups | None = None
) -> Split:
    """Fill the empty splits by group, stratified, seeded; filled ones stay. Raises DatasetError for bad fractions.

    Pictures without a split whose group already stands in one follow it.
    """
    names = [name for name in SPLITS if fractions.get(name, 0.0) > 0.0]
    if not names or set(fractions) - set(SPLITS) or any(not 0.0 <= share <= 1.0 for share in fractions.values()):
        raise DatasetError(f"split fractions {dict(fractions)} must name train, val or test with shares from 0 to 1")
    groups = groups or part_groups(dataset)
    splits = np.array([sample.split for sample in dataset], dtype=object)
    if (splits != "").all():
        return Split(dataset)
    for group in np.unique(groups.ids[splits == ""]):
        inside = groups.ids == group
        if present := Counter(name for name in splits[inside] if name):
            splits[inside & (splits == "")] = present.most_common(1)[0][0]
    free = np.flatnonzero(splits == "")
    strata = _strata(dataset)
    shares = np.array([fractions[name] for name in names])
    wanted = shares[:, None] / shares.sum() * strata.sum(0)
    already = np.stack([strata[splits == name].sum(0) for name in names])
    splits[free] = np.array(names, dtype=object)[_deal(strata[free], groups.ids[free], wanted - already, wanted, seed)]
    filled = replace(
        dataset, samples=tuple(replace(sample, split=str(name)) for sample, name in zip(dataset, splits, strict=True))
    )
    return Split(filled, (*groups.notes, *_split_notes(filled, names)))


def group_folds(dataset: Dataset, k: int = 5, seed: int = 0, *, groups: Groups | None = None) -> Folds:
    """k folds by group, stratified, seeded. k falls to the number of groups of the rarest label, and to 2 at least.

    A set that is one single group cannot be split honestly: it is then split by picture, which the notes say.
    """
    groups = groups or part_groups(dataset)
    notes = list(groups.notes)
    ids = groups.ids
    if len(dataset) < 2:
        raise DatasetError("cross-validation needs at least two pictures")
    if len(np.unique(ids)) < 2:
        notes.append("All pictures belong to one group: folds are made by picture, and the rates will look too good.")
        ids = np.arange(len(dataset), dtype=np.int64)
    ids = _dissolved(dataset, ids, notes)
    most = _largest_k(dataset, ids)
    if most < k:
        notes.append(f"{most} folds instead of {k}: there are no more groups of the rarest label.")
        k = most
    strata = _strata(dataset)
    wanted = np.repeat(strata.sum(0)[None] / k, k, axis=0)
    return Folds(_deal(strata, ids, wanted, wanted, seed), k, tuple(notes))


def _dissolved(dataset: Dataset, ids: NDArray[np.int64], notes: list[str]) -> NDArray[np.int64]:
    """A label whose pictures all belong to one group could not be both learnt and judged: they count as parts of their own."""
    ids = ids.copy()
    for name, value in (("good", 0), ("defect", 1)):
        inside = np.flatnonzero(dataset.labels == value)
        if len(inside) > 1 and len(np.unique(ids[inside])) == 1:
            notes.append(
                f"All {name} pictures belong to one group: they are folded by picture, and the rates will look too good."
            )
            ids[inside] = len(dataset) + np.arange(len(inside)) + ids.max() + 1
    return ids


def _largest_k(dataset: Dataset, ids: NDArray[np.int64]) -> int:
    labels = dataset.labels
    return max(2, min(len(np.unique(ids[labels == value])) for value in (0, 1) if (labels == value).any()))


def _strata(dataset: Dataset) -> NDArray[np.float64]:
    """(n, s) one-hot margins: label, label within variant, label within environment, defect type within variant."""

    def keys(sample: Sample) -> tuple[object, ...]:
        label = sample.label
        kind = (3, sample.variant, sample.defect) if sample.is_defect else None
        return ((0, label), (1, label, sample.variant), (2, label, sample.environment), kind)

    columns: dict[object, int] = {}
    places = [(row, columns.setdefault(key, len(columns))) for row, s in enumerate(dataset) for key in keys(s) if key]
    strata = np.zeros((len(dataset), len(columns)))
    strata[tuple(np.array(places).T)] = 1.0
    return strata


def _deal(
    strata: NDArray[np.float64], ids: NDArray[np.int64], room: NDArray[np.float64], wanted: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    """(n,) side of each picture. room: (sides, s) counts still missing on each side; wanted: (sides, s) planned counts."""
    _, group_of, sizes = np.unique(ids, return_inverse=True, return_counts=True)
    contents = np.zeros((len(sizes), strata.shape[1]))
    np.add.at(contents, group_of, strata)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    room = room.copy()
    # +0.5 keeps a stratum of a handful of pictures from outweighing everything else.
    weight = 1.0 / (wanted + 0.5)
    side = np.zeros(len(sizes), dtype=np.int64)
    for group in order:
        content = contents[group]
        used = content > 0
        gain = ((2.0 * room[:, used] - content[used]) * content[used] * weight[:, used]).sum(1)
        side[group] = np.argmax(gain)
        room[side[group]] -= content
    return side[group_of]


def _split_notes(dataset: Dataset, names: list[str]) -> list[str]:
    notes = []
    for label in ("good", "defect"):
        having = {sample.split for sample in dataset if sample.label == label}
        if having and (lacking := [name for name in names if name not in having]):
            notes.append(f"Too few groups: no {label} picture in {' and '.join(lacking)}.")
    return notes
