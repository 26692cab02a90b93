"""Reading archived pictures, also from other processes than the one that writes them."""

from dataclasses import dataclass
from pathlib import Path

from qc.domain.errors import UnknownPart
from qc.record.database import Database
from qc.record.files import ImageFiles
from qc.record.image_index import PICTURE, ImageIndex


@dataclass(frozen=True, slots=True)
class ImageBlob:
    """An archived file as it is served: the encoded picture or heatmap."""

    content: bytes
    media_type: str


class ImageReader:
    """For export and tools beside a running line: never writes, deletes or repairs anything."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._index = ImageIndex(database)
        self._files = ImageFiles(directory)

    def load(self, event_id: str, kind: str = PICTURE) -> ImageBlob:
        """kind: ``picture`` or ``heatmap``. Raises UnknownPart when none is kept (any more)."""
        file = self._index.find(event_id, kind)
        content = self._files.read(file.name) if file else None
        if file is None or content is None:
            raise UnknownPart(f"no {kind} is kept for event {event_id!r}: not chosen by the policy, not written yet, or aged out")
        return ImageBlob(content, file.media_type)
