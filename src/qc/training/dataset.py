"""The door to data sets: whatever lies at a path, read as rows."""

from pathlib import Path

from qc.domain.errors import DatasetError
from qc.training.boxes import Box
from qc.training.folders import read_folders
from qc.training.manifest import MANIFEST_NAME, read_manifest, write_manifest
from qc.training.samples import SPLITS, Dataset, Label, Sample, read_image, read_mask

__all__ = ["SPLITS", "Box", "Dataset", "Label", "Sample", "read_dataset", "read_image", "read_mask", "write_manifest"]


def read_dataset(path: Path, *, root: Path | None = None, allow_missing: bool = False) -> Dataset:
    """Read a manifest (CSV file, or a folder with ``manifest.csv``), MVTec-style folders or good/ + defect/ folders.

    root: what a manifest's paths are relative to, when that is not its own folder. allow_missing: rows without a file
    are kept, so that the checks can list them. Raises DatasetError: nothing there, no picture, unknown columns,
    conflicting rows, paths outside the root, missing files.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: there is no such file or folder")
    manifest = path / MANIFEST_NAME if path.is_dir() else path
    dataset = read_manifest(manifest, root) if manifest.is_file() else read_folders(path)
    if not dataset.samples:
        raise DatasetError(f"{path}: the data set is empty; at least the good pictures of one product are needed")
    if not allow_missing and (missing := missing_files(dataset)):
        names = ", ".join(dataset.relative(file) for file in missing[:5])
        raise DatasetError(
            f"{path}: {len(missing)} files are missing below {dataset.root}: {names}{' ...' if missing[5:] else ''}"
        )
    return dataset


def missing_files(dataset: Dataset) -> list[Path]:
    """Pictures and masks that are named but are not there."""
    named = [file for sample in dataset for file in (sample.image, sample.mask) if file]
    return [file for file in named if not file.exists()]
