"""The findings as one HTML file that needs nothing else: thumbnails inside, no script, no other host."""

import base64
import os
from pathlib import Path
from typing import Final

import cv2
import jinja2

from qc.domain.errors import BadImage, DatasetError
from qc.ingest import decode
from qc.training.checks.findings import CheckReport, Finding, Item, Severity

THUMB_SIDE: Final = 176
PICTURES_PER_FINDING: Final = 24
PICTURES_PER_PAGE: Final = 400


def write_page(report: CheckReport, path: Path) -> None:
    """Write the report as HTML, atomically. Raises DatasetError when it cannot be written."""
    budget = PICTURES_PER_PAGE
    shown = []
    for found in report.findings:
        items = found.items[: min(PICTURES_PER_FINDING, budget)]
        budget -= len(items)
        shown.append({"finding": found, "pictures": [_picture(report, item) for item in items], "rest": _rest(found, len(items))})
    page = _template().render(
        report=report,
        name=report.dataset.root.name,
        shown=shown,
        counts={s.value: sum(f.severity is s for f in report.findings) for s in Severity},
        columns=_classes(report),
        rows=_composition(report),
    )
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DatasetError(f"{path}: the report cannot be written ({error.strerror})") from error


def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("qc.training.checks", "."), autoescape=True)
    return environment.get_template("page.html")


def _rest(found: Finding, shown: int) -> str:
    """Names of the files that are listed but not pictured, and how many more there are."""
    names = [item.file for item in found.items[shown:]]
    more = found.count - len(found.items)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _picture(report: CheckReport, item: Item) -> dict[str, str]:
    return {"file": item.file, "note": item.note, "data": _thumbnail(report.dataset.root / item.file)}


def _thumbnail(path: Path) -> str:
    """A data URI, or empty when the file cannot be decoded (the page then says so)."""
    try:
        pixels = decode.read_image(path)
    except (BadImage, MemoryError):
        return ""
    scale = THUMB_SIDE / max(pixels.shape[:2])
    if scale < 1.0:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype("uint8")
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _classes(report: CheckReport) -> list[str]:
    return ["good", *sorted({s.defect for s in report.dataset if s.is_defect})]


def _composition(report: CheckReport) -> list[tuple[str, str, list[int], int]]:
    """(variant, environment, pictures per class, in all), for the table."""
    classes = _classes(report)
    counts: dict[tuple[str, str], list[int]] = {}
    for sample in report.dataset:
        row = counts.setdefault((sample.variant, sample.environment), [0] * len(classes))
        row[classes.index(sample.defect if sample.is_defect else "good")] += 1
    return [(variant, environment, row, sum(row)) for (variant, environment), row in sorted(counts.items())]
