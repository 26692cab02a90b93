"""After a crash or a hand in the folder: files without a row are deleted, rows without their file are forgotten."""

from collections.abc import Iterator

import structlog

from qc.record.files import ImageFiles
from qc.record.image_index import ImageIndex

log = structlog.get_logger(__name__)


def reconcile_steps(index: ImageIndex, files: ImageFiles) -> Iterator[int]:
    """256 short steps, one per first-level folder; each yields how many indexed files were lost (gone or cut short)."""
    for number in range(256):
        prefix = f"{number:02x}"
        expected = index.files_under(prefix)
        present = dict(files.listing(prefix))
        for name in present.keys() - expected.keys():
            files.delete(name)
            log.info("orphan_picture_deleted", file=name)
        lost = [name for name, size_bytes in expected.items() if present.get(name) != size_bytes]
        for name in lost:
            index.remove_file(name)
            files.delete(name)
            log.warning("picture_lost", file=name)
        yield len(lost)
