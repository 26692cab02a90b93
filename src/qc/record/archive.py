"""The image archive: pictures and heatmaps of parts, written by one thread off the hot path.

Disk full or nearly full: pictures are dropped first and counted while records go on; recovery is noticed by itself.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from qc.domain.frame import Pixels
from qc.domain.record import InspectionRecord
from qc.record.archive_policy import ArchivePolicy
from qc.record.database import Database
from qc.record.files import ImageFiles, sha256_hex
from qc.record.image_index import HEATMAP, PICTURE, ImageIndex, StoredFile
from qc.record.image_reader import ImageBlob, ImageReader
from qc.record.reconcile import reconcile_steps
from qc.record.retention import Retention, RetentionLimits
from qc.record.store import utc_now
from qc.record.troubles import Trouble, Troubles

__all__ = ["ArchiveStatus", "DiskImageArchive", "EncodeHeatmap", "ImageBlob", "Trouble"]

log = structlog.get_logger(__name__)

EncodeHeatmap = Callable[[NDArray[np.float32]], bytes]
"""(h, w) float32 map in [0, 1] -> PNG."""

QUEUE_BYTES = 128 * 1024 * 1024
_LOOK_S = 1.0
"""How often bounds, free disk and recovery are looked at."""
_AGES_S = 600.0
"""How often ages are enforced."""
_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
"""Pause after a refused write, doubled each time; the next picture after it is the trial."""


def _tell_nobody(*_: object) -> None:
    """Where nobody listens to troubles; they are logged and counted all the same."""


@dataclass(frozen=True, slots=True)
class ArchiveStatus:
    """Counters since start. dropped_*: pictures that the policy wanted and that were not kept.

    deleted: events whose pictures retention removed; lost: indexed files found missing or cut short at start.
    """

    written: int = 0
    dropped_queue: int = 0
    dropped_disk: int = 0
    deleted: int = 0
    lost: int = 0
    queued: int = 0
    total_bytes: int = 0
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class _Item:
    record: InspectionRecord
    pixels: Pixels
    defect_map: NDArray[np.float32] | None


class DiskImageArchive:
    """ImageArchive on a folder and the table ``images``.

    The folder belongs to one running archive (StoreError otherwise); other processes use ``ImageReader``.

    queue_bytes: pixels that may wait for the writer (one picture always may). on_trouble(trouble, detail) and
    on_recovered(trouble) are called from the archive's thread. files stands in for the disk in tests.
    """

    def __init__(
        self,
        database: Database,
        directory: Path,
        *,
        encode_heatmap: EncodeHeatmap,
        policy: ArchivePolicy | None = None,
        limits: RetentionLimits | None = None,
        queue_bytes: int = QUEUE_BYTES,
        on_trouble: Callable[[Trouble, str], None] = _tell_nobody,
        on_recovered: Callable[[Trouble], None] = _tell_nobody,
        now: Callable[[], datetime] = utc_now,
        files: ImageFiles | None = None,
        look_s: float = _LOOK_S,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._policy = policy or ArchivePolicy()
        self._encode_heatmap = encode_heatmap
        self._queue_bytes = queue_bytes
        self._now = now
        self._look_s = look_s
        self._files = files or ImageFiles(directory)
        self._release = self._files.claim()
        self._index = ImageIndex(database)
        self._reader = ImageReader(database, directory)
        self._retention = Retention(self._index, self._files, limits or RetentionLimits())
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._status = ArchiveStatus()
        self._troubles = Troubles(on_trouble, on_recovered)
        self._was_short = False
        self._retry_s = retry_s
        self._retry_at_s, self._retry_pause_s = 0.0, retry_s
        self._thread = threading.Thread(target=self._run, name="image-archive", daemon=True)
        self._thread.start()

    def wants(self, record: InspectionRecord, *, ticketed: bool) -> bool:
        """Whether this part's picture will be kept: by the policy, and because there is room for it now.

        Sampled OK parts leave the second half of the queue to the parts that matter more.
        """
        always = self._policy.always_keeps(record, ticketed=ticketed)
        if not always and not self._policy.samples(record):
            return False
        with self._changed:
            return self._has_room(self._queue_bytes if always else self._queue_bytes // 2, 0)

    def submit(self, record: InspectionRecord, pixels: Pixels, defect_map: NDArray[np.float32] | None) -> bool:
        """Queue a picture that ``wants`` wanted; its arrays must not be changed afterwards.

        False when it was dropped (queue full, no room on the disk, closed), which is counted. Never blocks.
        """
        with self._changed:
            if not self._has_room(self._queue_bytes, pixels.nbytes):
                return False
            self._queue.append(_Item(record, pixels, defect_map))
            self._queued_bytes += pixels.nbytes
            self._changed.notify()
        return True

    def load(self, event_id: str, kind: str = PICTURE) -> ImageBlob:
        """kind: ``picture`` or ``heatmap``. Raises UnknownPart when none is kept (any more)."""
        return self._reader.load(event_id, kind)

    def status(self) -> ArchiveStatus:
        with self._changed:
            return replace(
                self._status,
                queued=len(self._queue),
                total_bytes=self._index.total_bytes,
                troubles=tuple(sorted(self._troubles.current())),
            )

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, for at most timeout_s; the rest is dropped and counted. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            if self._queue:
                self._count(dropped_queue=len(self._queue))
                log.warning("pictures_dropped_at_close", pictures=len(self._queue))
                self._queue.clear()
        self._thread.join(timeout_s)  # the one picture in hand; a disk that hangs must not hang the stop
        self._release()

    def _has_room(self, queue_bytes: int, more_bytes: int) -> bool:
        """Counts the drop when there is none. Call with the lock held."""
        troubles = self._troubles.current()
        trial_due = troubles == {Trouble.WRITE_FAILED} and time.monotonic() >= self._retry_at_s
        if self._closing or (troubles and not trial_due):
            self._count(dropped_disk=1)
            return False
        if self._queue and self._queued_bytes + more_bytes > queue_bytes:
            self._count(dropped_queue=1)
            return False
        return True

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # encoding gives way to inspecting: Linux has a priority per thread
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        chores: Iterator[int] | None = reconcile_steps(self._index, self._files)
        counter = "lost"
        next_look_s = next_ages_s = time.monotonic()
        while True:
            item = self._next(0.0 if chores else next_look_s - time.monotonic())
            if item is None and self._closing:
                return
            if item is not None:
                self._keep(item)
            if chores is None and time.monotonic() >= next_look_s:
                with_ages = time.monotonic() >= next_ages_s
                if with_ages:
                    next_ages_s = time.monotonic() + _AGES_S
                chores, counter = self._retention.steps(self._now(), with_ages=with_ages), "deleted"
            if chores is not None and not self._step(chores, counter):
                chores = None
                next_look_s = time.monotonic() + self._look_s
                self._look_for_room()
                self._troubles.tell()

    def _next(self, wait_s: float) -> _Item | None:
        with self._changed:
            if not self._queue and not self._closing and wait_s > 0:
                self._changed.wait(wait_s)
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._queued_bytes -= item.pixels.nbytes
            return item

    def _keep(self, item: _Item) -> None:
        try:
            self._write(item)
        except Exception as error:  # whatever it is, this thread must live on, and the loss must be seen
            with self._changed:
                self._count(dropped_disk=1)
                self._retry_at_s = time.monotonic() + self._retry_pause_s
                self._retry_pause_s = min(self._retry_pause_s * 2, max(_LONGEST_RETRY_S, self._retry_s))
            self._troubles.begin(Trouble.WRITE_FAILED, f"picture of part {item.record.part_id} not kept: {error}")
            return
        with self._changed:
            self._count(written=1)
            self._retry_pause_s = self._retry_s
        self._troubles.end(Trouble.WRITE_FAILED)

    def _write(self, item: _Item) -> None:
        contents = [(PICTURE, self._policy.media_type, self._policy.encode(item.pixels))]
        if item.defect_map is not None:
            contents.append((HEATMAP, "image/png", self._encode_heatmap(item.defect_map)))
        stored = []
        for kind, media_type, content in contents:
            file = StoredFile(kind, f"{sha256_hex(content)}.{media_type.removeprefix('image/')}", media_type, len(content))
            self._files.write(file.name, content)
            stored.append(file)
        self._index.add(item.record, stored)

    def _step(self, chores: Iterator[int], counter: str) -> bool:
        """One step of reconciling or deleting; False when it is over."""
        try:
            done = next(chores, None)
        except Exception as error:  # a broken disk must not end this thread; the next look tries again
            log.error("archive_upkeep_failed", error=str(error))
            return False
        if done:
            with self._changed:
                self._count(**{counter: done})
        return done is not None

    def _look_for_room(self) -> None:
        try:
            shortage = self._retention.shortage()
        except OSError as error:
            shortage = f"the folder cannot be looked at: {error}"
        if not shortage:
            self._troubles.end(Trouble.NO_ROOM)
        elif self._was_short:  # retention has had its turn since, and could not help
            self._troubles.begin(Trouble.NO_ROOM, shortage)
        self._was_short = bool(shortage)

    def _count(self, **more: int) -> None:
        self._status = replace(self._status, **{name: getattr(self._status, name) + count for name, count in more.items()})
