"""Privacy: pictures that show people, or say where they were taken."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, TypeAlias

import cv2
import numpy as np

from qc.domain.errors import DatasetError
from qc.domain.frame import Pixels
from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.samples import read_image
from qc.training.scan import Scan

FaceFinder: TypeAlias = Callable[[Pixels], int]
"""A picture, (H, W, 3) uint8 BGR, to the number of faces in it."""

MOST_LOOKED_AT: Final = 2_000
SIDE: Final = 480


def packaged_face_finder() -> FaceFinder | None:
    """The frontal-face cascade that scikit-image carries (LBP, Ahonen 2006 features); None when it is not installed.

    OpenCV 5 ships neither its Haar cascades nor the HOG people detector any more. Finds upright faces that look at the
    camera and fill at least a tenth of the picture; it finds no bodies, profiles or small faces.
    """
    try:
        # Imported by name because this optional package is not part of any extra.
        data, feature = import_module("skimage.data"), import_module("skimage.feature")
    except ImportError:
        return None
    cascade = feature.Cascade(data.lbp_frontal_face_cascade_filename())

    def count(pixels: Pixels) -> int:
        scale = min(1.0, SIDE / max(pixels.shape[:2]))
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        side = min(small.shape[:2])
        if side < 48:
            return 0
        rgb = np.ascontiguousarray(small[:, :, ::-1])
        found = cascade.detect_multi_scale(
            rgb,
            scale_factor=1.2,
            step_ratio=1.3,
            min_size=(max(24, side // 10),) * 2,
            max_size=(side, side),
            min_neighbor_number=6,
        )
        return len(found)

    return count


def check_privacy(scan: Scan, faces: FaceFinder | None) -> list[Finding]:
    dataset = scan.dataset
    placed = [Item(dataset.relative(s.image)) for s, f in zip(dataset, scan.facts, strict=True) if f.has_position]
    found = []
    if placed:
        found.append(
            finding(
                "position_in_exif",
                Severity.WARNING,
                Family.PRIVACY,
                "Pictures carry the place where they were taken (EXIF).",
                "Import the set with tools/import_dataset.py, which removes EXIF.",
                items=placed,
            )
        )
    if faces:
        found += _faces(scan, faces)
    return found


def _faces(scan: Scan, faces: FaceFinder) -> list[Finding]:
    rows = np.flatnonzero(scan.readable)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_LOOKED_AT])
    items = []
    for row in rows:
        sample = scan.dataset.samples[row]
        try:
            number = faces(read_image(sample))
        except DatasetError:
            continue  # the file went away since the scan, which has its own finding
        if number:
            items.append(Item(scan.dataset.relative(sample.image), f"{number} face-like areas"))
    if not items:
        return []
    return [
        finding(
            "faces",
            Severity.WARNING,
            Family.PRIVACY,
            f"Pictures may show faces ({len(rows)} pictures were looked at; the detector also mistakes textures for faces).",
            "Look at them; remove pictures of people, or name the region of interest so that people stay outside.",
            items=items,
        )
    ]
