"""Imbalance: how many pictures of each kind there are, per variant and defect type."""

from collections import Counter
from typing import Final

import numpy as np

from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.samples import Dataset, Sample
from qc.training.scan import Scan

FEW_GOOD: Final = 20
FEW_DEFECTS: Final = 10
LARGEST_RATIO: Final = 10.0
TELLING_SHARE: Final = 0.98

_DRAWN = "Training draws classes and variants equally often, which balances the loss but adds no knowledge."


def check_balance(scan: Scan) -> list[Finding]:
    dataset = scan.dataset
    return [*_labels(dataset), *_per_variant(dataset), *_ratios(dataset), *_shortcuts(scan)]


def _say(code: str, severity: Severity, message: str, remedy: str) -> Finding:
    return finding(code, severity, Family.IMBALANCE, message, remedy)


def _labels(dataset: Dataset) -> list[Finding]:
    labels = Counter(s.label for s in dataset)
    if not labels["good"]:
        return [
            _say(
                "no_good",
                Severity.ERROR,
                "There is no good picture: nothing says what a sound part looks like.",
                "Add good pictures.",
            )
        ]
    if not labels["defect"]:
        return [
            _say(
                "no_defects",
                Severity.WARNING,
                f"There are {labels['good']} good pictures and no defect: the detection rate cannot be measured.",
                "Training learns from good pictures alone and bounds only the false positive rate. Add even a few defects to judge it.",
            )
        ]
    return []


def _per_variant(dataset: Dataset) -> list[Finding]:
    good = Counter(s.variant for s in dataset if not s.is_defect)
    defects = Counter((s.variant, s.defect) for s in dataset if s.is_defect)
    found = [
        _say(
            "few_good",
            Severity.WARNING,
            f"Variant {variant or '(unnamed)'} has {good[variant]} good pictures; its threshold will be uncertain.",
            f"Take at least {FEW_GOOD}, better 100, of different parts and shifts.",
        )
        for variant in dataset.variants
        if good[variant] < FEW_GOOD
    ]
    thin = [f"{variant or '(unnamed)'} / {kind}: {n}" for (variant, kind), n in sorted(defects.items()) if n < FEW_DEFECTS]
    if thin:
        found.append(
            _say(
                "few_defects",
                Severity.WARNING,
                f"Fewer than {FEW_DEFECTS} pictures of a variant and defect type: {'; '.join(thin)}. Their rates are hardly measurable.",
                f"Collect more. {_DRAWN}",
            )
        )
    kinds = sorted({kind for _, kind in defects})
    absent = [f"{v or '(unnamed)'} / {kind}" for v in dataset.variants for kind in kinds if not defects[(v, kind)]]
    if absent and len(dataset.variants) > 1:
        found.append(
            _say(
                "defect_type_absent",
                Severity.INFO,
                f"Variants without an example of a defect type: {'; '.join(absent)}.",
                "Add examples, or say in the card that the type does not occur there.",
            )
        )
    return found


def _ratios(dataset: Dataset) -> list[Finding]:
    found = []
    for what, counts in (
        ("labels", Counter(s.label for s in dataset)),
        ("variants", Counter(s.variant or "(unnamed)" for s in dataset)),
        ("defect types", Counter(s.defect for s in dataset if s.is_defect)),
    ):
        if len(counts) > 1:
            (most, n_most), (least, n_least) = counts.most_common()[0], counts.most_common()[-1]
            if n_most > LARGEST_RATIO * n_least:
                found.append(
                    _say(
                        "uneven",
                        Severity.WARNING,
                        f"The {what} are uneven: {n_most} x {most} against {n_least} x {least}.",
                        f"Add pictures of {least}. {_DRAWN}",
                    )
                )
    return found


def _shortcuts(scan: Scan) -> list[Finding]:
    """A property of the file that gives the label away; a model would learn it instead of the defect."""
    labels = scan.dataset.labels
    readable = scan.readable
    if len(labels) < 20 or min(labels.mean(), 1 - labels.mean()) < 0.05:
        return []
    found = []
    for what, values in (
        ("colour mode", [f.mode for f in scan.facts]),
        ("file format", [f.kind for f in scan.facts]),
        ("size", [f"{f.width} x {f.height}" for f in scan.facts]),
        ("environment", [s.environment for s in scan.dataset]),
        ("brightness", _steps([f.brightness for f in scan.facts])),
    ):
        counts = Counter((v, int(y)) for v, y, ok in zip(values, labels, readable, strict=True) if ok)
        kinds = sorted({v for v, _ in counts})
        right = sum(max(counts[(v, 0)], counts[(v, 1)]) for v in kinds)
        if 1 < len(kinds) <= 0.1 * len(labels) and right >= TELLING_SHARE * max(int(readable.sum()), 1):
            examples = [Item(scan.dataset.relative(_first(scan, values, v).image), f"{what} {v}") for v in kinds[:8]]
            found.append(
                finding(
                    "shortcut",
                    Severity.WARNING,
                    Family.IMBALANCE,
                    f"The {what} alone tells good from defect in {right / max(int(readable.sum()), 1):.0%} of the pictures: "
                    "a model would learn that instead of the defect.",
                    "Take good and defective parts in the same way.",
                    items=examples,
                )
            )
    return found


def _steps(values: list[float]) -> list[str]:
    """Eighths of the range, as names."""
    array = np.array(values)
    edges = np.quantile(array, np.arange(1, 8) / 8)
    return [f"step {step}" for step in np.searchsorted(edges, array)]


def _first(scan: Scan, values: list[str], value: str) -> Sample:
    return scan.dataset.samples[values.index(value)]
