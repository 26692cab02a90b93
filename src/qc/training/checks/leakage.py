"""Leakage: the same capture or the same part on both sides of a split, so that the test flatters the model."""

from collections import Counter

from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.duplicates import Copies, CopyGroup
from qc.training.samples import Dataset
from qc.training.scan import Scan


def check_leakage(scan: Scan, copies: Copies) -> list[Finding]:
    dataset = scan.dataset
    exact = [g for g in copies.groups if g.exact]
    near = [g for g in copies.groups if not g.exact]
    found = [*_group_splits(dataset), *_crossing(dataset, exact, near), *_repeats(dataset, exact), *_hidden_groups(dataset, near)]
    if copies.crowded:
        found.append(
            finding(
                "near_copies_incomplete",
                Severity.INFO,
                Family.LEAKAGE,
                f"Very many pictures look the same: {copies.crowded} hash buckets were searched only among neighbours.",
                "Name the groups (part or capture run) in the manifest; then no search is needed.",
            )
        )
    return [f for f in found if f.count or f.code == "near_copies_incomplete"]


def _group_splits(dataset: Dataset) -> list[Finding]:
    splits: dict[str, set[str]] = {}
    for sample in dataset:
        if sample.group and sample.split:
            splits.setdefault(sample.group, set()).add(sample.split)
    torn = {name for name, sides in splits.items() if len(sides) > 1}
    items = [Item(dataset.relative(s.image), f"group {s.group}, {s.split}") for s in dataset if s.group in torn and s.split]
    return [
        finding(
            "group_across_splits",
            Severity.ERROR,
            Family.LEAKAGE,
            f"{len(torn)} groups (physical parts or runs) stand in more than one split.",
            "Empty the column split and let the tool split by group.",
            items=sorted(items, key=lambda item: item.note),
        )
    ]


def _crossing(dataset: Dataset, exact: list[CopyGroup], near: list[CopyGroup]) -> list[Finding]:
    remedy = "Keep one of each, or empty the column split: the tool keeps copies on one side."
    return [
        finding(
            "exact_copies_across_splits",
            Severity.ERROR,
            Family.LEAKAGE,
            "Identical pictures stand in more than one split.",
            remedy,
            items=_group_items(dataset, [g for g in exact if _crosses(dataset, g)]),
        ),
        finding(
            "near_copies_across_splits",
            Severity.WARNING,
            Family.LEAKAGE,
            "Nearly identical pictures stand in more than one split: the test is easier than the line.",
            remedy,
            items=_group_items(dataset, [g for g in near if _crosses(dataset, g)]),
        ),
    ]


def _repeats(dataset: Dataset, exact: list[CopyGroup]) -> list[Finding]:
    return [
        finding(
            "exact_copies",
            Severity.WARNING,
            Family.LEAKAGE,
            "Pictures are in the set more than once and count more than once.",
            "Keep one of each.",
            items=_group_items(dataset, [g for g in exact if not _crosses(dataset, g)]),
        )
    ]


def _hidden_groups(dataset: Dataset, near: list[CopyGroup]) -> list[Finding]:
    """Near copies that no common group announces: the same part under two names, or pictures without a group."""
    inside = [g for g in near if not _crosses(dataset, g)]
    named = [g for g in inside if len({dataset.samples[i].group for i in g.members if dataset.samples[i].group}) > 1]
    unnamed = [g for g in inside if any(not dataset.samples[i].group for i in g.members)]
    family = Family.LEAKAGE
    return [
        finding(
            "near_copies_across_groups",
            Severity.WARNING,
            family,
            "Nearly identical pictures carry different group names: probably one part under two names.",
            "Give them one group. Until then the tool keeps them together when it splits.",
            items=_group_items(dataset, named),
        ),
        finding(
            "near_copies_without_group",
            Severity.INFO,
            family,
            "Pictures without a group are nearly identical: the same part or scene taken more than once.",
            "Give them one group. Until then the tool keeps them together when it splits.",
            items=_group_items(dataset, [g for g in unnamed if g not in named]),
        ),
    ]


def _crosses(dataset: Dataset, group: CopyGroup) -> bool:
    return len({dataset.samples[i].split for i in group.members if dataset.samples[i].split}) > 1


def _group_items(dataset: Dataset, groups: list[CopyGroup]) -> list[Item]:
    items = []
    for number, group in enumerate(sorted(groups, key=lambda g: g.distance), 1):
        labels = Counter(dataset.samples[i].label for i in group.members)
        for i in group.members:
            sample = dataset.samples[i]
            words = [f"set {number}", sample.split, sample.defect or sample.label if len(labels) > 1 else "", sample.group]
            items.append(Item(dataset.relative(sample.image), ", ".join(word for word in words if word)))
    return items
