"""Watch a folder into which a camera program writes: every complete new file is a part.

What was inspected is remembered in one place only: the record store. A record is durable before anything else happens, so a
file without a record is inspected (again) after a crash, and one with a record is not. There is no second list of
files that could disagree with it, and nothing is moved, renamed or written in the folder.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from qc.domain.errors import BadImage, CameraLost, QcError
from qc.domain.ports import Clock
from qc.ingest.decode import DEFAULT_MAX_MEGAPIXELS
from qc.ingest.folder import is_picture_name, load
from qc.ingest.lossless import Item, LosslessSource

log = structlog.get_logger(__name__)

_REMEMBERED_NAMES = 100_000  # beyond this, names that are no longer in the folder are forgotten; the store still knows them
_SCAN_SHARE = 4  # wait at least four scan durations between scans of a large folder: at most 20 % of one core
_LASTING_ERRORS = (errno.EACCES, errno.EPERM)  # the file will not get better; any other read error is the disk or the network


class _Version(NamedTuple):
    """A file that is written again is a new picture."""

    modified_ns: int
    size_bytes: int


class _File(NamedTuple):
    version: _Version
    name: str


class FolderWatch(LosslessSource):
    """New pictures of a folder, oldest first. Files already there at the start are delivered too unless inspected.

    A file is complete when size and modification time have not changed for settle_s; one that was renamed into place after
    writing under a hidden or ``.tmp`` name is never seen half-written. A file that changes afterwards is delivered again.
    inspected(part_id, source_ref): does the store hold a record of exactly this file? It runs in the
    read-ahead thread; when it raises a QcError, the file is delivered: twice is better than never.
    """

    def __init__(
        self,
        camera_id: str,
        folder: Path,
        *,
        inspected: Callable[[str, str], bool],
        settle_s: float = 0.5,
        poll_s: float = 0.2,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(camera_id, clock=clock, poll_s=poll_s)
        self._folder = folder
        self._inspected = inspected
        self._settle_s = settle_s
        self._shortest_poll_s = poll_s
        self._max_megapixels = max_megapixels
        self._done: dict[str, _Version] = {}
        self._settling: dict[str, tuple[_Version, float]] = {}

    def _items(self) -> Iterator[Item]:
        while True:
            try:
                complete = self._scan()
            except OSError as error:
                yield CameraLost(f"folder {self._folder}: {error.strerror or error}")
                continue
            for file in complete:
                yield from self._take(file)
                self._answering()
            yield None

    def _scan(self) -> list[_File]:
        """Complete files that were not delivered yet, in the order in which they were written."""
        began = time.monotonic()
        present = self._present()
        settling: dict[str, tuple[_Version, float]] = {}
        complete: list[_File] = []
        for name, version in present.items():
            if self._done.get(name) == version:
                continue
            known, since = self._settling.get(name, (None, began))
            if known != version:
                since = began
            settling[name] = (version, since)
            if began - since >= self._settle_s:
                complete.append(_File(version, name))
        self._settling = settling
        if len(self._done) > _REMEMBERED_NAMES + len(present):
            self._done = {name: version for name, version in self._done.items() if name in present}
        self._poll_s = max(self._shortest_poll_s, _SCAN_SHARE * (time.monotonic() - began))
        return sorted(complete)

    def _present(self) -> dict[str, _Version]:
        files: dict[str, _Version] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if is_picture_name(entry.name):
                    version = _version_of(entry.path)
                    if version is not None:
                        files[entry.name] = version
        return files

    def _take(self, file: _File) -> Iterator[Item]:
        part_id = Path(file.name).stem
        path = self._folder / file.name
        # What the record holds and what the store is asked for after a restart. The whole path: two cameras may use equal names.
        source_ref = f"{path}@{file.version.modified_ns}+{file.version.size_bytes}"
        if self._was_inspected(part_id, source_ref):
            self._done[file.name] = file.version
            return
        item = load(path, part_id, source_ref, self._max_megapixels)
        version = _version_of(path)
        if version is None and not self._folder.exists():
            yield CameraLost(f"folder {self._folder}: vanished")
        elif version is None:
            # Not marked as done: should the file come back (a share that was away), it still gets its inspection.
            yield BadImage(f"{file.name}: was removed before it could be read", part_id=part_id, source_ref=source_ref)
        elif version != file.version:
            return  # written to while it was read: the next scans wait for it to settle again
        elif isinstance(item, BadImage) and isinstance(item.__cause__, OSError) and item.__cause__.errno not in _LASTING_ERRORS:
            yield CameraLost(f"folder {self._folder}: {item}")
        else:
            self._done[file.name] = file.version
            yield item

    def _was_inspected(self, part_id: str, source_ref: str) -> bool:
        try:
            return self._inspected(part_id, source_ref)
        except QcError as error:
            log.warning("inspected_unknown", camera=self.camera_id, file=source_ref, error=str(error))
            return False


def _version_of(path: Path | str) -> _Version | None:
    """None for what is not a file (any more): vanished since it was listed, a dangling link, a directory."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _Version(status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None
