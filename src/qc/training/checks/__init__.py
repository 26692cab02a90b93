"""Checks of a training data set: one file per family, one report."""

import time
from pathlib import Path

from qc.training.checks.balance import check_balance
from qc.training.checks.consistency import check_consistency
from qc.training.checks.embedding import Embed, default_embedding
from qc.training.checks.findings import CheckReport, Finding, Item, Severity
from qc.training.checks.labelling import check_labelling, check_suspects
from qc.training.checks.leakage import check_leakage
from qc.training.checks.privacy import FaceFinder, check_privacy
from qc.training.checks.representation import check_production, check_representation
from qc.training.samples import IMAGE_SUFFIXES, Dataset, Sample
from qc.training.scan import Progress, scan_dataset
from qc.training.splits import part_groups

__all__ = ["CheckReport", "Embed", "Finding", "Item", "Severity", "check_dataset", "default_embedding"]


def check_dataset(
    dataset: Dataset,
    *,
    production: Path | None = None,
    embed: Embed | None = None,
    faces: FaceFinder | None = None,
    workers: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckReport:
    """Every check on every picture. Reads each picture once (twice for the label suspects when embed is given).

    production: folder of pictures from the line, to compare with. embed: deep vectors, see ``default_embedding``; None uses
    classical features. faces: looks for people when given.
    """
    started = time.monotonic()
    scan = scan_dataset(dataset, workers=workers, progress=progress)
    copies = scan.copies()
    groups = part_groups(dataset, copies)
    found: list[Finding] = [
        *check_consistency(scan),
        *check_labelling(scan, copies),
        *check_suspects(scan, groups, embed, seed),
        *check_balance(scan),
        *check_representation(scan, groups),
        *check_leakage(scan, copies),
        *check_privacy(scan, faces),
    ]
    if production:
        line = scan_dataset(_pictures(production), workers=workers, progress=progress)
        found += check_production(scan, line, embed)
    ranked = sorted(found, key=lambda f: list(Severity).index(f.severity))
    return CheckReport(dataset, tuple(ranked), groups, copies, time.monotonic() - started)


def _pictures(folder: Path) -> Dataset:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return Dataset(folder.resolve(), tuple(Sample(path.resolve(), "good") for path in files))
