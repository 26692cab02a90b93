"""Files that are there whole or not at all, also after a power cut."""

import os
from pathlib import Path

from qc.domain.errors import ReleaseError


def write_durably(path: Path, content: bytes) -> None:
    """Replace ``path``: a reader, a killed process and a power cut leave the old content or the new one. Raises ReleaseError.

    The order matters: content on disk before the name points to it (fsync, then rename), then the name itself (fsync of the folder).
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ReleaseError(
            f"{path}: cannot be written ({error.strerror}); give the service's user a model directory that it may write to"
        ) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk. OSError passes through."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
