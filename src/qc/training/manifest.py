"""The manifest: one CSV row per picture, paths relative to the data set's root."""

import csv
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from qc.domain.errors import DatasetError
from qc.training.boxes import format_boxes, parse_boxes
from qc.training.samples import SPLITS, Dataset, Label, Sample

MANIFEST_NAME: Final = "manifest.csv"
COLUMNS: Final = ("image", "label", "defect", "mask", "variant", "environment", "group", "split")
OPTIONAL_COLUMNS: Final = ("boxes", "purpose")
REQUIRED_COLUMNS: Final = ("image", "label")

GOOD_NAMES: Final = frozenset({"good", "ok", "normal", "pass"})
DEFECT_NAMES: Final = frozenset(
    {"defect", "defects", "defective", "ng", "bad", "abnormal", "anomaly", "anomalous", "fail", "not_ok", "nok"}
)
SPLIT_NAMES: Final[Mapping[str, str]] = {
    **{name: name for name in SPLITS},
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}


def read_manifest(path: Path, root: Path | None = None) -> Dataset:
    """Read a manifest whose paths are relative to ``root`` (default: its own folder). Raises DatasetError with line numbers."""
    root = (root or path.parent).resolve()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as a UTF-8 CSV file ({error})") from error
    samples: dict[Path, tuple[str, Sample]] = {}
    for place, row in rows:
        sample = _sample(place, row, root)
        if sample.image in samples:
            raise DatasetError(_twice(place, sample, *samples[sample.image]))
        samples[sample.image] = (place, sample)
    return Dataset(root, tuple(sample for _, sample in samples.values()))


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write atomically; paths are relative to the data set's root (pass ``root=`` to read it from another folder)."""
    used = [name for name in OPTIONAL_COLUMNS if any(getattr(s, name) for s in dataset)]
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*COLUMNS, *used], lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(_row(dataset, sample) for sample in dataset)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DatasetError(f"{path}: the manifest cannot be written ({error.strerror})") from error


def _row(dataset: Dataset, sample: Sample) -> dict[str, str]:
    return {
        "image": dataset.relative(sample.image),
        "label": sample.label,
        "defect": sample.defect,
        "mask": dataset.relative(sample.mask) if sample.mask else "",
        "variant": sample.variant,
        "environment": sample.environment,
        "group": sample.group,
        "split": sample.split,
        "boxes": format_boxes(sample.boxes),
        "purpose": sample.purpose,
    }


def _check_columns(path: Path, names: Sequence[str]) -> None:
    known = (*COLUMNS, *OPTIONAL_COLUMNS)
    for name in names:
        if name not in known:
            near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "remove it."
            raise DatasetError(f"{path}: unknown column {name!r}; {hint} Columns are {', '.join(known)}")
    if missing := [name for name in REQUIRED_COLUMNS if name not in names]:
        raise DatasetError(f"{path}: column {missing[0]!r} is missing; the first line must name the columns {', '.join(COLUMNS)}")


def _sample(place: str, row: Mapping[str, str | None], root: Path) -> Sample:
    if None in row or any(value is None for value in row.values()):
        raise DatasetError(f"{place}: this line has more or fewer fields than the first line names columns")
    cell = {name: (value or "").strip() for name, value in row.items()}
    label = _label(place, cell["label"])
    defect = cell.get("defect", "")
    if label == "good" and defect:
        raise DatasetError(f"{place}: the label is good, yet defect says {defect!r}; leave defect empty or label it defect")
    split = cell.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise DatasetError(f"{place}: split {split!r} is not one of train, val, test (or empty)")
    try:
        boxes = parse_boxes(cell.get("boxes", ""))
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from error
    return Sample(
        image=_inside(place, root, cell["image"], "image"),
        label=label,
        defect=(defect or "defect") if label == "defect" else "",
        mask=_inside(place, root, cell["mask"], "mask") if cell.get("mask") else None,
        variant=cell.get("variant", ""),
        environment=cell.get("environment", ""),
        group=cell.get("group", ""),
        split=SPLIT_NAMES[split] if split else "",
        boxes=boxes,
        purpose=cell.get("purpose", ""),
    )


def _label(place: str, text: str) -> Label:
    if text.lower() in GOOD_NAMES:
        return "good"
    if text.lower() in DEFECT_NAMES:
        return "defect"
    raise DatasetError(f"{place}: label {text!r} is neither good nor defect (the kind of defect goes into the column defect)")


def _inside(place: str, root: Path, text: str, column: str) -> Path:
    if not text:
        raise DatasetError(f"{place}: the column {column} is empty")
    # The dots are resolved but links are not: a data set may be a folder of links to a picture store.
    path = Path(os.path.normpath(root / text.replace("\\", "/")))
    if not path.is_relative_to(root):
        raise DatasetError(f"{place}: {column} {text!r} lies outside the data set's folder {root}")
    return path


def _twice(place: str, sample: Sample, first_place: str, first: Sample) -> str:
    what = f"{place}: {sample.image.name} stands already in {first_place.rpartition(', ')[2]}"
    if sample.label != first.label:
        return f"{what} with the label {first.label}, here with {sample.label}; decide which is right and keep one line"
    return f"{what}; keep one line"
