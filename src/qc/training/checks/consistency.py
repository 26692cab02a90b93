"""Inconsistency: pictures that cannot be read, or that were taken or stored differently from the others."""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qc.domain.frame import CameraFault
from qc.training.checks.findings import Family, Finding, Item, Severity, finding
from qc.training.checks.robust import SIGMAS, grouped_deviations
from qc.training.scan import Facts, Scan

MANY_SHARE: Final = 0.2
"""When more pictures than this differ, the set is a mixture rather than one with outliers."""
SMALLEST_SIDE: Final = 32


def check_consistency(scan: Scan) -> list[Finding]:
    found = [*_unreadable(scan), *_stored_differently(scan), *_sizes(scan), *_exposure(scan), *_blur(scan)]
    return [f for f in found if f.count]


def _items(scan: Scan, chosen: NDArray[np.bool_] | list[bool], notes: list[str] | None = None) -> list[Item]:
    return [Item(scan.dataset.relative(scan.dataset.samples[i].image), notes[i] if notes else "") for i in np.flatnonzero(chosen)]


def _unreadable(scan: Scan) -> list[Finding]:
    problems = [fact.problem for fact in scan.facts]
    missing = [p == "the file is missing" for p in problems]
    truncated = [fact.fault is CameraFault.TRUNCATED for fact in scan.facts]
    other = [bool(p) and not m and not t for p, m, t in zip(problems, missing, truncated, strict=True)]
    family, error = Family.INCONSISTENCY, Severity.ERROR
    return [
        finding(
            "missing",
            error,
            family,
            "Files are named but are not there.",
            "Copy them, or remove their lines.",
            items=_items(scan, missing),
        ),
        finding(
            "truncated",
            error,
            family,
            "Pictures end early: the copy or the camera was interrupted.",
            "Copy them again from the source, or remove them.",
            items=_items(scan, truncated, problems),
        ),
        finding(
            "undecodable",
            error,
            family,
            "Files cannot be decoded as pictures.",
            "Save them as PNG or JPEG, or remove them.",
            items=_items(scan, other, problems),
        ),
    ]


def _stored_differently(scan: Scan) -> list[Finding]:
    facts, readable = scan.facts, scan.readable
    found = []
    for code, what, values in (
        ("colour_mode", "colour mode or bit depth", [_stored_as(f) for f in facts]),
        ("file_kind", "file format", [f.kind for f in facts]),
    ):
        counts = Counter(value for value, ok in zip(values, readable, strict=True) if ok)
        if len(counts) < 2:
            continue
        usual, _ = counts.most_common(1)[0]
        odd = [bool(ok) and value != usual for value, ok in zip(values, readable, strict=True)]
        listing = ", ".join(f"{n} x {value}" for value, n in counts.most_common())
        found.append(
            finding(
                code,
                Severity.WARNING if sum(odd) <= MANY_SHARE * len(facts) and code == "colour_mode" else Severity.INFO,
                Family.INCONSISTENCY,
                f"Pictures differ in {what}: {listing}.",
                "Take and store all pictures in the way the line's camera does.",
                items=_items(scan, odd, values),
            )
        )
    rotated = [f.orientation not in {0, 1} for f in facts]
    found.append(
        finding(
            "exif_rotation",
            Severity.WARNING,
            Family.INCONSISTENCY,
            "Pictures are turned only by an EXIF note. They are read upright here, yet other programs may read them lying.",
            "Import the set (tools/import_dataset.py): the rotation is applied and the note removed.",
            items=_items(scan, rotated, [f"orientation {f.orientation}" for f in facts]),
        )
    )
    return found


def _stored_as(fact: Facts) -> str:
    depth = {"I;16": "16 bit grey", "I;16B": "16 bit grey", "1": "1 bit", "L": "8 bit grey", "P": "palette"}
    return depth.get(fact.mode, fact.mode)


def _sizes(scan: Scan) -> list[Finding]:
    readable = scan.readable
    if not readable.any():
        return []
    width = np.array([max(f.width, 1) for f in scan.facts], dtype=np.float64)
    height = np.array([max(f.height, 1) for f in scan.facts], dtype=np.float64)
    notes = [f"{f.width} x {f.height}" for f in scan.facts]
    variants = _keys([s.variant for s in scan.dataset])
    # Floors of 1.5 % (aspect) and 6 % (area) per sigma: six sigmas are 10 % and a factor of 1.4.
    aspect = _outliers(np.log(width / height), variants, readable, 0.015)
    area = _outliers(np.log(width * height), variants, readable, 0.06) & ~aspect
    tiny = readable & (np.minimum(width, height) < SMALLEST_SIDE)
    family, warning = Family.INCONSISTENCY, Severity.WARNING
    return [
        finding(
            "tiny",
            warning,
            family,
            f"Pictures have fewer than {SMALLEST_SIDE} pixels on a side.",
            "Remove thumbnails and broken crops.",
            items=_items(scan, tiny, notes),
        ),
        finding(
            "aspect",
            warning,
            family,
            "Pictures have another aspect ratio than their variant: the model sees their parts stretched.",
            "Crop them as the line does, or give them a variant of their own.",
            items=_items(scan, aspect & ~tiny, notes),
        ),
        finding(
            "size",
            warning,
            family,
            "Pictures have another size than their variant: small defects look different in them.",
            "Take them with the line's camera and lens, or remove them.",
            items=_items(scan, area & ~tiny, notes),
        ),
    ]


def _exposure(scan: Scan) -> list[Finding]:
    readable = scan.readable
    if not readable.any():
        return []
    brightness = np.array([f.brightness for f in scan.facts])
    dark, bright = (np.array([getattr(f, name) for f in scan.facts]) for name in ("dark", "bright"))
    keys = _keys([(s.variant, s.environment) for s in scan.dataset])
    notes = [f"mean grey {f.brightness:.0f}, {f.dark:.0%} black, {f.bright:.0%} white" for f in scan.facts]
    # Clipping counts against what is usual: a board on a black ground is half black in every picture.
    under = (brightness < 8.0) | _outliers(dark, keys, readable, 0.04, low=False)
    over = (brightness > 247.0) | _outliers(bright, keys, readable, 0.04, low=False)
    odd = _outliers(brightness, keys, readable, 4.0) & ~under & ~over
    family, warning = Family.INCONSISTENCY, Severity.WARNING
    remedy = "Remove them, or record their lighting in the column environment if the line will see it."
    return [
        finding(
            "under_exposed",
            warning,
            family,
            "Pictures are under-exposed: detail is lost in black.",
            remedy,
            items=_items(scan, under & readable, notes),
        ),
        finding(
            "over_exposed",
            warning,
            family,
            "Pictures are over-exposed: detail is lost in white.",
            remedy,
            items=_items(scan, over & readable, notes),
        ),
        finding(
            "brightness",
            warning,
            family,
            "Pictures are much brighter or darker than the others of their variant and environment.",
            remedy,
            items=_items(scan, odd, notes),
        ),
    ]


def _blur(scan: Scan) -> list[Finding]:
    readable = scan.readable
    if not readable.any():
        return []
    focus = np.log(np.array([f.focus for f in scan.facts]) + 1.0)
    keys = _keys([(s.variant, s.environment) for s in scan.dataset])
    # At least 0.23 per sigma: six sigmas are a factor of four below the usual sharpness.
    blurred = _outliers(focus, keys, readable, 0.23, high=False)
    even = readable & (np.array([f.contrast for f in scan.facts]) < 1.5)
    notes = [f"sharpness {f.focus:.0f}" for f in scan.facts]
    return [
        finding(
            "even",
            Severity.WARNING,
            Family.INCONSISTENCY,
            "Pictures show one even grey: no part is in them.",
            "Remove them; look whether the camera or the light was off.",
            items=_items(scan, even),
        ),
        finding(
            "blurred",
            Severity.WARNING,
            Family.INCONSISTENCY,
            "Pictures are far less sharp than the others of their variant and environment.",
            "Remove them; check focus, exposure time and the speed of the part.",
            items=_items(scan, blurred & ~even, notes),
        ),
    ]


def _outliers(
    values: NDArray[np.float64],
    keys: NDArray[np.int64],
    readable: NDArray[np.bool_],
    floor: float,
    *,
    low: bool = True,
    high: bool = True,
) -> NDArray[np.bool_]:
    """(n,) bool: readable pictures more than SIGMAS away from the median of their key, on the asked side."""
    away = np.zeros(len(values))
    away[readable] = grouped_deviations(values[readable], keys[readable], floor)
    return ((away > SIGMAS) & high) | ((away < -SIGMAS) & low)


def _keys(values: list[str] | list[tuple[str, str]]) -> NDArray[np.int64]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
