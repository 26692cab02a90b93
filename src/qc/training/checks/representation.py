"""Limited representation: what the line will see and this set does not show."""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qc.training.checks.embedding import Embed, embed_samples
from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.samples import Dataset
from qc.training.scan import Scan
from qc.training.splits import Groups

FEW_PARTS: Final = 10
NARROW_LIGHT: Final = 12.0
"""Grey levels between the 5th and 95th percentile of brightness; a lamp that ages by 5 % moves a mid-grey picture by 6."""
NOVEL_QUANTILE: Final = 0.99
MOST_COMPARED: Final = 5_000
NEIGHBOURS: Final = 3


def check_representation(scan: Scan, groups: Groups) -> list[Finding]:
    return [*_parts(scan.dataset, groups), *_environments(scan.dataset), *_light(scan)]


def _say(code: str, severity: Severity, message: str, remedy: str, items: list[Item] | None = None) -> Finding:
    return finding(code, severity, Family.REPRESENTATION, message, remedy, items=items or [])


def _parts(dataset: Dataset, groups: Groups) -> list[Finding]:
    found = []
    variants = np.array([s.variant for s in dataset], dtype=object)
    for variant in dataset.variants:
        parts = len(np.unique(groups.ids[variants == variant]))
        if parts < FEW_PARTS:
            found.append(
                _say(
                    "few_parts",
                    Severity.WARNING,
                    f"Variant {variant or '(unnamed)'} shows only {parts} different parts or runs in {int((variants == variant).sum())} "
                    "pictures.",
                    "More parts help more than more pictures of the same parts.",
                )
            )
    named = Counter(s.group for s in dataset if s.group)
    if named and max(named.values()) == 1:
        found.append(
            _say(
                "one_image_per_group",
                Severity.INFO,
                "Every group holds one picture: the groups protect nothing.",
                "Right if every part was taken once; otherwise name the physical part or the run.",
            )
        )
    if named and sum(named.values()) < len(dataset):
        found.append(
            _say(
                "groups_incomplete",
                Severity.WARNING,
                f"{len(dataset) - sum(named.values())} of {len(dataset)} pictures have no group.",
                "Name the part or run of all of them.",
            )
        )
    return found


def _environments(dataset: Dataset) -> list[Finding]:
    cells = Counter((s.variant, s.environment) for s in dataset)
    environments = sorted({e for _, e in cells})
    if len(environments) < 2:
        return [
            _say(
                "one_environment",
                Severity.INFO,
                "One imaging condition only (the column environment is empty or always the same).",
                "Record lighting, camera or station in the column environment, and take pictures under each that the line knows.",
            )
        ]
    found = []
    if absent := [
        f"{v or '(unnamed)'} / {e or '(unnamed)'}" for v in dataset.variants for e in environments if not cells[(v, e)]
    ]:
        found.append(
            _say(
                "environment_absent",
                Severity.WARNING,
                f"Variants without a picture under some environments: {'; '.join(absent[:12])}.",
                "Take some, or expect a decline there.",
            )
        )
    labels = Counter((s.environment, s.label) for s in dataset)
    both = {s.label for s in dataset} == {"good", "defect"}
    one_sided = [e or "(unnamed)" for e in environments if both and not (labels[(e, "good")] and labels[(e, "defect")])]
    if one_sided:
        found.append(
            _say(
                "environment_one_label",
                Severity.WARNING,
                f"Environments with only good or only defective pictures: {', '.join(one_sided[:12])}.",
                "Rates there cannot be compared, and the model may take the environment for the defect.",
            )
        )
    return found


def _light(scan: Scan) -> list[Finding]:
    brightness = np.array([f.brightness for f in scan.facts])
    variants = np.array([s.variant for s in scan.dataset], dtype=object)
    narrow = []
    for variant in scan.dataset.variants:
        values = brightness[(variants == variant) & scan.readable]
        if len(values) >= FEW_PARTS and (spread := float(np.subtract(*np.percentile(values, [95, 5])))) < NARROW_LIGHT:
            narrow.append(f"{variant or '(unnamed)'} {spread:.1f}")
    if not narrow:
        return []
    return [
        _say(
            "narrow_light",
            Severity.INFO,
            f"The lighting hardly varies (5th to 95th percentile of brightness, in grey levels): {'; '.join(narrow)}.",
            "Training varies brightness, contrast and gamma by itself; a few real pictures under aged or changed light are better.",
        )
    ]


def check_production(scan: Scan, production: Scan, embed: Embed | None) -> list[Finding]:
    """Production pictures that lie outside what the set shows: by distance in feature space, and by brightness.

    A production picture is novel when its mean distance to the nearest pictures of the set exceeds the 99th percentile
    of the same distance among the set's own pictures, so about one in a hundred is novel by chance.
    """
    ours, theirs = _readable(scan), _readable(production)
    if len(ours) <= NEIGHBOURS or not len(theirs):
        return [
            _say(
                "production_unreadable",
                Severity.WARNING,
                "There are no production pictures to compare with.",
                "Name their folder.",
            )
        ]
    set_vectors, line_vectors = _vectors(scan, ours, embed), _vectors(production, theirs, embed)
    mean, scale = set_vectors.mean(0), set_vectors.std(0) + 1e-3
    set_vectors, line_vectors = (set_vectors - mean) / scale, (line_vectors - mean) / scale
    limit = np.quantile(_nearest(set_vectors, set_vectors, itself=True), NOVEL_QUANTILE)
    distance = _nearest(line_vectors, set_vectors)
    novel = np.flatnonzero(distance > limit)[np.argsort(-distance[distance > limit], kind="stable")]
    share = len(novel) / len(distance)
    items = [
        Item(str(production.dataset.samples[theirs[i]].image), f"{distance[i] / limit:.1f} x the usual distance") for i in novel
    ]
    lit = np.array([f.brightness for f in scan.facts])[ours]
    line_lit = np.array([f.brightness for f in production.facts])[theirs]
    outside = float(((line_lit < lit.min()) | (line_lit > lit.max())).mean())
    found = [
        _say(
            "production_coverage",
            Severity.WARNING if share > 0.05 else Severity.INFO,
            f"{len(novel)} of {len(distance)} production pictures ({share:.1%}; about 1 % by chance) look unlike anything in the set.",
            "Label some of them and add them to the set." if share > 0.05 else "",
            items,
        )
    ]
    if outside > 0.01:
        found.append(
            _say(
                "production_brightness",
                Severity.WARNING,
                f"{outside:.1%} of the production pictures are darker or brighter than every picture of the set "
                f"({lit.min():.0f} to {lit.max():.0f}).",
                "Add pictures under that light, or restore the light.",
            )
        )
    return found


def _readable(scan: Scan) -> NDArray[np.int64]:
    rows = np.flatnonzero(scan.readable)
    return np.sort(np.random.default_rng(0).permutation(rows)[:MOST_COMPARED])


def _vectors(scan: Scan, rows: NDArray[np.int64], embed: Embed | None) -> NDArray[np.float32]:
    if embed:
        return embed_samples([scan.dataset.samples[i] for i in rows], embed)
    return scan.features[rows].astype(np.float32)


def _nearest(queries: NDArray[np.float32], known: NDArray[np.float32], *, itself: bool = False) -> NDArray[np.float64]:
    """(n,) mean Euclidean distance to the NEIGHBOURS nearest known vectors, without the query itself."""
    squares = (known**2).sum(1)
    result = np.zeros(len(queries))
    for start in range(0, len(queries), 512):
        block = queries[start : start + 512]
        distance = np.maximum((block**2).sum(1)[:, None] + squares - 2.0 * block @ known.T, 0.0)
        if itself:
            distance[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        result[start : start + 512] = np.sqrt(np.partition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]).mean(1)
    return result
