"""Content-addressed files: a file's name is the SHA-256 of its bytes, so that equal pictures are stored once.

Written under a temporary name and renamed: a reader or a killed process never sees half a file. There is no fsync per
picture (it would cost more than the picture): a power cut can lose those of the last seconds, never a record.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from qc.domain.errors import StoreError

_TEMPORARY = ".part"


class ImageFiles:
    """Files ``<directory>/ab/cd/abcd....<suffix>``. OSError passes through: the archive decides what a full disk means."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{directory}: cannot hold the pictures ({error}): give the service's user a folder to write in"
            ) from error

    def claim(self) -> Callable[[], None]:
        """Lock the folder for this process until the returned function is called (or the process dies)."""
        with ExitStack() as opened:
            descriptor = os.open(self.directory, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StoreError(
                    f"{self.directory} is in use by another running qc: stop it, or give this one its own folder"
                ) from error
            return opened.pop_all().close

    def path(self, name: str) -> Path:
        return self.directory / name[:2] / name[2:4] / name

    def write(self, name: str, content: bytes) -> bool:
        """False when the same content is there already."""
        path = self.path(name)
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(name + _TEMPORARY)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        return True

    def read(self, name: str) -> bytes | None:
        """None when the file is gone or is not what its name says (torn by a power cut)."""
        try:
            content = self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        return content if name.startswith(sha256_hex(content)) else None

    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def listing(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(name, bytes) of every file below one of the 256 first-level folders, left-over temporary ones included."""
        for folder in _entries(self.directory / prefix):
            if folder.is_dir(follow_symlinks=False):
                for entry in _entries(Path(folder.path)):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.directory).free


def sha256_hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []
