"""What the checks say: findings with severity, files and remedy, and the report that holds them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qc.domain.errors import DatasetError
from qc.domain.record import Json
from qc.training.duplicates import Copies
from qc.training.samples import Dataset
from qc.training.splits import Groups

FORMAT: Final = "qc.dataset-check/1"
LISTED: Final = 500
"""A finding lists at most so many files; its count is always complete."""


class Severity(StrEnum):
    ERROR = "error"
    """Training on this set would teach or measure something false; it does not start."""
    WARNING = "warning"
    """Training runs; the model card repeats the sentence."""
    INFO = "info"


class Family(StrEnum):
    INCONSISTENCY = "inconsistency"
    LABELLING = "labelling"
    IMBALANCE = "imbalance"
    REPRESENTATION = "representation"
    LEAKAGE = "leakage"
    PRIVACY = "privacy"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a finding: path relative to the data set's root, and what was measured on it."""

    file: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, odd or worth knowing. count: pictures concerned (items may be fewer)."""

    code: str
    severity: Severity
    family: Family
    message: str
    remedy: str = ""
    items: tuple[Item, ...] = ()
    count: int = 0

    def to_json(self) -> dict[str, Json]:
        return {
            "code": self.code,
            "severity": self.severity.value,
            "family": self.family.value,
            "message": self.message,
            "remedy": self.remedy,
            "count": self.count,
            "files": [{"file": item.file, "note": item.note} for item in self.items],
        }


def finding(
    code: str, severity: Severity, family: Family, message: str, remedy: str = "", *, items: Iterable[Item] = ()
) -> Finding:
    everything = tuple(items)
    return Finding(code, severity, family, message, remedy, everything[:LISTED], len(everything))


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All findings, worst first; groups and copies are kept for the split, so that nothing is decoded twice."""

    dataset: Dataset
    findings: tuple[Finding, ...]
    groups: Groups
    copies: Copies
    scanned_s: float = 0.0

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._of(Severity.WARNING)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is severity)

    def raise_for_errors(self) -> None:
        """Raises DatasetError that names every error with its first files and the remedy."""
        if self.errors:
            raise DatasetError("\n".join(sentence(error) for error in self.errors))

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "root": str(self.dataset.root),
            "ok": not self.errors,
            "images": len(self.dataset),
            "groups": int(self.groups.ids.max(initial=-1)) + 1,
            "composition": composition(self.dataset),
            "notes": list(self.groups.notes),
            "findings": [f.to_json() for f in self.findings],
            "scanned_s": round(self.scanned_s, 1),
        }


def sentence(item: Finding) -> str:
    """Message, first files and remedy in one line of text."""
    names = ", ".join(entry.file for entry in item.items[:3])
    more = f" and {item.count - 3} more" if item.count > 3 else ""
    return f"{item.message}{f' [{names}{more}]' if names else ''}{f' Remedy: {item.remedy}' if item.remedy else ''}"


def composition(dataset: Dataset) -> list[Json]:
    """Counts per variant, environment, defect type and split, as rows for a table."""
    counts = Counter((s.variant, s.environment, s.defect or "good", s.split) for s in dataset)
    return [
        {"variant": variant, "environment": environment, "class": kind, "split": split, "images": images}
        for (variant, environment, kind, split), images in sorted(counts.items())
    ]
