"""A selection of labelled parts as a training data set: pictures as archived, and a manifest in the training's format."""

import csv
import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from qc.domain.errors import UnknownPart
from qc.domain.truth import Truth
from qc.record.archive import DiskImageArchive
from qc.record.console_store import Box, ConsoleStore
from qc.record.part_search import FoundPart, PartQuery, PartSearch

COLUMNS = ("image", "label", "defect", "mask", "variant", "environment", "group", "split", "boxes", "purpose")
"""As ``training/manifest.py`` reads it; a test holds the two together."""
MAX_PICTURES = 5_000
_PAGE = 200


class Exporter:
    """Only parts that a person called good or defect are exported: a model must not learn from its own verdicts."""

    def __init__(self, search: PartSearch, archive: DiskImageArchive, store: ConsoleStore) -> None:
        self._search, self._archive, self._store = search, archive, store

    def write(self, query: PartQuery) -> tuple[Path, int]:
        """A temporary ZIP file, which the caller removes, and how many pictures it holds."""
        with tempfile.NamedTemporaryFile(prefix="qc-export-", suffix=".zip", delete=False) as file:
            path = Path(file.name)
        rows: list[dict[str, str]] = []
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for part in self._labelled(query):
                try:
                    blob = self._archive.load(part.record.event_id)
                except UnknownPart:
                    continue
                name = f"images/{part.record.event_id}.{'jpg' if blob.media_type == 'image/jpeg' else 'png'}"
                archive.writestr(name, blob.content)
                rows.append(self._row(part, name, blob.content))
                if len(rows) == MAX_PICTURES:
                    break
            archive.writestr("manifest.csv", _csv(rows))
        return path, len(rows)

    def _labelled(self, query: PartQuery) -> Iterator[FoundPart]:
        wanted = {Truth.GOOD.value, Truth.DEFECT.value}
        if query.label is not None:
            wanted &= {query.label} if query.label != "any" else wanted
        page = replace(query, label="any", limit=_PAGE)
        while found := self._search.find(page):
            yield from (part for part in found if part.label is not None and part.label.truth.value in wanted)
            page = replace(page, before_seq=found[-1].record.seq)

    def _row(self, part: FoundPart, name: str, content: bytes) -> dict[str, str]:
        label, record = part.label, part.record
        assert label is not None
        return {
            "image": name,
            "label": label.truth.value,
            "defect": label.defect_type,
            "variant": record.variant,
            "environment": record.camera_id,
            "group": record.part_id,
            "boxes": _pixels(self._store.marks(label.label_id), content),
            "purpose": part.purpose.value if part.purpose is not None else "",
        }


def _pixels(boxes: list[Box], content: bytes) -> str:
    """``x y width height; ...`` in pixels of the picture."""
    if not boxes:
        return ""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        return ""
    height, width = picture.shape[:2]
    return "; ".join(
        f"{round(x * width)} {round(y * height)} {max(1, round(w * width))} {max(1, round(h * height))}" for x, y, w, h in boxes
    )


def _csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
