"""Data sets that are folders: MVTec style, or plain good/ and defect/ folders, for one product or several."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qc.domain.errors import DatasetError
from qc.training.manifest import DEFECT_NAMES, GOOD_NAMES, SPLIT_NAMES
from qc.training.samples import IMAGE_SUFFIXES, Dataset, Sample

MASK_FOLDERS: Final = ("ground_truth", "masks", "mask")
LAYOUTS: Final = (
    "a manifest.csv, or folders train/good, test/good, test/<defect type>, ground_truth/<defect type> (MVTec style), "
    "or good/ beside defect/ (also ok/ng, normal/abnormal, defect/<type>/), or one such folder per product"
)


def read_folders(root: Path) -> Dataset:
    """Recognise the layout below root; several products become variants. Raises DatasetError when there is none."""
    root = root.resolve()
    products = [root] if _is_product(root) else [folder for folder in _folders(root) if _is_product(folder)]
    if not products:
        raise DatasetError(f"{root}: no data set found here. Expected {LAYOUTS}")
    return Dataset(root, tuple(sample for product in products for sample in _read_product(product, _variant(root, product))))


def _variant(root: Path, product: Path) -> str:
    """The product's folder names the variant; a bare images/ folder takes the name of the data set."""
    return root.name if product.name.lower() == "images" else product.name


def _is_product(folder: Path) -> bool:
    """A product has split folders with a good/ or defect/ folder in one of them, or has such a folder itself."""
    return any(_kind(sub) for _, part in _parts(folder) for sub in _folders(part))


def _parts(folder: Path) -> list[tuple[str, Path]]:
    splits = [(SPLIT_NAMES[sub.name.lower()], sub) for sub in _folders(folder) if sub.name.lower() in SPLIT_NAMES]
    return splits or [("", folder)]


def _kind(folder: Path) -> str:
    name = folder.name.lower()
    return "good" if name in GOOD_NAMES else "defect" if name in DEFECT_NAMES else ""


def _read_product(product: Path, variant: str) -> Iterator[Sample]:
    for split, part in _parts(product):
        for folder in _folders(part):
            # A folder of any other name beside good/ holds the defects of that type (MVTec style).
            if folder.name.lower() not in MASK_FOLDERS:
                yield from _read_class(product, variant, split, folder)


def _read_class(product: Path, variant: str, split: str, folder: Path) -> Iterator[Sample]:
    kind = _kind(folder)
    for image in sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()):
        if kind == "good":
            yield Sample(image, "good", variant=variant, split=split)
            continue
        inner = image.relative_to(folder).parts
        defect = folder.name if not kind else inner[0] if len(inner) > 1 else "defect"
        yield Sample(image, "defect", defect, _mask(product, folder, image, defect), variant, split=split)


def _mask(product: Path, folder: Path, image: Path, defect: str) -> Path | None:
    """ground_truth/<type>/<name>_mask.png as in MVTec, its folder form as in MVTec LOCO, or masks/<type>/<name>.png."""
    bases = (product, folder.parent, product.parent) if product.name.lower() == "images" else (product, folder.parent)
    for place in (base / name for base in bases for name in MASK_FOLDERS):
        for inside in (place / defect, place / folder.name, place):
            for stem in (f"{image.stem}_mask", image.stem):
                if (inside / stem).is_dir():
                    return inside / stem
                for suffix in (".png", ".bmp", ".tif", ".tiff", ".jpg"):
                    if (inside / f"{stem}{suffix}").is_file():
                        return inside / f"{stem}{suffix}"
    return None


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror})") from error
