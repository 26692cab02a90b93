"""Poor labelling: one picture with two labels, masks that do not fit, and labels that contradict the other pictures."""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qc.training.checks.confident import out_of_fold_probabilities, suspects
from qc.training.checks.embedding import Embed, embed_samples
from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.duplicates import Copies
from qc.training.samples import Dataset
from qc.training.scan import Facts, Scan
from qc.training.splits import Folds, Groups, group_folds

RELIABLE: Final = 0.9
TYPES_TOLD_APART: Final = 0.7
"""Mean out-of-fold recall: from RELIABLE on suspects are a warning; below TYPES_TOLD_APART defect types are not doubted."""
FEW: Final = 12
SMALLEST_CLASS: Final = 10
"""A defect type with fewer pictures is judged only as 'defect'."""
MOST_JUDGED: Final = 5_000
"""Labels are judged on a seeded sample of so many pictures when the set is larger (deep features take 15 ms each)."""
RESAVED_DISTANCE: Final = 0.002
LARGEST_MASK: Final = 0.9
MOST_SUSPECTS: Final = 60


def check_labelling(scan: Scan, copies: Copies) -> list[Finding]:
    return [f for f in (*_two_labels(scan.dataset, copies), *_masks(scan)) if f.count]


def _two_labels(dataset: Dataset, copies: Copies) -> list[Finding]:
    exact: list[Item] = []
    near: list[Item] = []
    for number, group in enumerate(copies.groups, 1):
        samples = [dataset.samples[i] for i in group.members]
        if len({(s.label, s.defect) for s in samples}) == 1:
            continue
        # A defect-free twin of the same part (a template, a part before and after damage) is meant to look alike.
        if not group.exact and samples[0].group and len({s.group for s in samples}) == 1:
            continue
        # Two captures of a scene, with and without a small defect, are this alike; only a re-saved picture is more so.
        if not group.exact and group.distance > RESAVED_DISTANCE:
            continue
        target = exact if group.exact else near
        target += [Item(dataset.relative(s.image), f"set {number}, {s.defect or s.label}") for s in samples]
    return [
        finding(
            "two_labels",
            Severity.ERROR,
            Family.LABELLING,
            "The same picture, to the pixel, carries different labels.",
            "Look at it again and keep the right one.",
            items=exact,
        ),
        finding(
            "near_copies_with_two_labels",
            Severity.WARNING,
            Family.LABELLING,
            "The same picture, saved again, seems to carry different labels.",
            "Compare them; where both are right (a very small defect), give both the same group.",
            items=near,
        ),
    ]


def _masks(scan: Scan) -> list[Finding]:
    pairs = list(zip(scan.dataset.samples, scan.facts, strict=True))

    def items(chosen: list[bool], note: str = "") -> list[Item]:
        return [
            Item(scan.dataset.relative(s.image), note or f.mask_problem or f"mask covers {f.mask_share or 0.0:.1%}")
            for (s, f), yes in zip(pairs, chosen, strict=True)
            if yes
        ]

    def covers(fact: Facts, low: float, high: float) -> bool:
        return fact.mask_share is not None and low <= fact.mask_share <= high

    some_masks = any(s.mask or s.boxes for s, _ in pairs)
    family, error = Family.LABELLING, Severity.ERROR
    return [
        finding(
            "mask_does_not_fit",
            error,
            family,
            "Masks or boxes do not belong to their pictures.",
            "Export them again at the picture's own size.",
            items=items([bool(f.mask_problem) for _, f in pairs]),
        ),
        finding(
            "mask_empty",
            error,
            family,
            "Masks of defects mark nothing: the model would learn that the defect is sound.",
            "Draw them, or leave the column mask empty.",
            items=items([s.is_defect and covers(f, 0.0, 0.0) for s, f in pairs], "empty mask"),
        ),
        finding(
            "mask_on_good",
            error,
            family,
            "Masks mark defects on pictures labelled good.",
            "Correct the label, or remove the mask.",
            items=items([not s.is_defect and (covers(f, 1e-12, 1.0) or bool(s.boxes)) for s, f in pairs]),
        ),
        finding(
            "mask_too_large",
            Severity.WARNING,
            family,
            f"Masks cover more than {LARGEST_MASK:.0%} of the picture; they may be inverted.",
            "Check that 255 marks the defect.",
            items=items([s.is_defect and covers(f, LARGEST_MASK, 1.0) for s, f in pairs]),
        ),
        finding(
            "mask_missing",
            Severity.INFO,
            family,
            "Some defects have masks and others have none.",
            "Nothing must be done; the map is learnt from those that have one.",
            items=items([some_masks and s.is_defect and not s.mask and not s.boxes for s, _ in pairs], "no mask"),
        ),
    ]


def check_suspects(scan: Scan, groups: Groups, embed: Embed | None, seed: int = 0) -> list[Finding]:
    """Labels that out-of-fold probabilities contradict. Nothing is said where a class is too small to be learnt."""
    rows = np.flatnonzero(scan.readable)
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_JUDGED])
    part = Dataset(scan.dataset.root, tuple(scan.dataset.samples[i] for i in rows))
    sizes = np.bincount(part.labels, minlength=2)
    if min(sizes) < SMALLEST_CLASS:
        return []
    features = embed_samples(part.samples, embed) if embed else scan.features[rows].astype(np.float32)
    folds = group_folds(part, 5, seed, groups=Groups(groups.ids[rows]))
    names, labels = _classes(part)
    probabilities, sure = _judge(features, labels, len(names), folds)
    if len(names) > 2 and sure < TYPES_TOLD_APART:
        names, labels = ["good", "defect"], part.labels
        probabilities, sure = _judge(features, labels, 2, folds)
    ranked = suspects(probabilities, labels)
    items = [
        _suspect(part, probabilities[i], labels, names, int(i)) for i in ranked[: MOST_SUSPECTS if sure >= RELIABLE else FEW]
    ]
    judged = f"a sample of {len(rows)} pictures" if len(rows) < len(scan.dataset) else "all pictures"
    message = (
        f"{len(ranked)} labels contradict what the other pictures teach ({judged}; the classes are told apart with a mean recall of "
        f"{sure:.0%}, {'deep' if embed else 'classical'} features). The most doubtful come first."
    )
    found = finding(
        "label_suspects",
        Severity.WARNING if sure >= RELIABLE and len(ranked) else Severity.INFO,
        Family.LABELLING,
        message,
        "Look at them; hard pictures are among them, so correct only what is wrong."
        if sure >= RELIABLE
        else "These classes are hard to tell apart by whole pictures, so most of these labels are probably right: look at the first few.",
        items=items,
    )
    return [found] if items else []


def _judge(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, folds: Folds
) -> tuple[NDArray[np.float64], float]:
    """Out-of-fold probabilities (n, classes) and the mean recall of the classes."""
    probabilities = out_of_fold_probabilities(features, labels, classes, folds)
    recall = [(probabilities[labels == j].argmax(1) == j).mean() for j in range(classes)]
    return probabilities, float(np.mean(recall))


def _classes(dataset: Dataset) -> tuple[list[str], NDArray[np.int64]]:
    """Class names and (n,) labels: good, each defect type that is frequent enough, and the rest as 'defect'."""
    counts = Counter(s.defect for s in dataset if s.is_defect)
    kinds = ["good" if not s.is_defect else s.defect if counts[s.defect] >= SMALLEST_CLASS else "defect" for s in dataset]
    names = ["good", *sorted(set(kinds) - {"good"})]
    return names, np.array([names.index(kind) for kind in kinds], dtype=np.int64)


def _suspect(part: Dataset, row: NDArray[np.float64], labels: NDArray[np.int64], names: list[str], i: int) -> Item:
    other = int(np.argmax(np.where(np.arange(len(names)) == labels[i], -1.0, row)))
    return Item(
        part.relative(part.samples[i].image),
        f"labelled {names[labels[i]]} ({row[labels[i]]:.0%}), looks like {names[other]} ({row[other]:.0%})",
    )
