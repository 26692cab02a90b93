"""The part that all sources of stored pictures share: a thread reads ahead, and nothing is ever dropped.

Reading and decoding overlap with the inspection of the previous picture. A file system that does not answer (a network
share) blocks that thread and not the line.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from qc.domain.clock import SystemClock
from qc.domain.errors import BadImage, CameraLost, EndOfStream
from qc.domain.frame import CameraState, Frame, Pixels, SourceStatus
from qc.domain.ports import Clock

log = structlog.get_logger(__name__)

_READ_AHEAD = 2  # decoded pictures in memory; one being decoded while one waits is all that overlap needs
_CLOSE_WAIT_S = 1.0  # of the 2 s that close may take


@dataclass(frozen=True, slots=True)
class Picture:
    """One stored picture, (H, W, 3) uint8 BGR, before it becomes a Frame."""

    pixels: Pixels
    part_id: str | None = None
    source_ref: str = ""


Item: TypeAlias = Picture | BadImage | CameraLost | None
"""What a subclass yields: a picture, an unusable one, "not reachable now", or None for "nothing new now"."""


class LosslessSource(ABC):
    """A FrameSource over ``_items``. A frame's captured_ns is the moment it was handed out: stored pictures do not age."""

    lossless = True

    def __init__(self, camera_id: str, *, clock: Clock | None = None, poll_s: float = 0.2, watchdog_s: float = 10.0) -> None:
        """poll_s: wait before looking again. watchdog_s: without an answer for that long the source counts as lost."""
        self.camera_id = camera_id
        self._clock = clock or SystemClock()
        self._poll_s = poll_s
        self._watchdog_s = watchdog_s
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._ready: deque[Picture | BadImage] = deque()
        self._exhausted = False
        self._state = CameraState.CONNECTING
        self._busy_since: float | None = None
        self._last_error = ""
        self._frames = self._bad = self._connects = 0
        self._thread = threading.Thread(target=self._run, name=f"read-ahead-{camera_id}", daemon=True)

    @abstractmethod
    def _items(self) -> Iterator[Item]:
        """Runs in the read-ahead thread. Ends when there is nothing more to give; waits only with ``self._stop.wait``."""

    def start(self) -> None:
        self._thread.start()

    def read(self, timeout_s: float) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._exhausted or self._stop.is_set(), timeout_s)
            if self._stop.is_set():
                raise EndOfStream(f"camera {self.camera_id}: the source is closed")
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return self._deliver(item)
            if self._exhausted:
                self._state = CameraState.ENDED
                raise EndOfStream(f"camera {self.camera_id}: no more pictures after {self._frames + self._bad}")
            self._check_answering()
            if self._state is CameraState.LOST:
                raise CameraLost(self._last_error)
            return None

    def status(self) -> SourceStatus:
        with self._changed:
            return SourceStatus(
                state=self._state,
                frames=self._frames,
                bad=self._bad,
                reconnects=max(0, self._connects - 1),
                last_error=self._last_error,
            )

    def close(self) -> None:
        with self._changed:
            self._stop.set()
            self._state = CameraState.CLOSED
            self._ready.clear()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_WAIT_S)

    def _deliver(self, item: Picture | BadImage) -> Frame:
        number = self._frames + self._bad
        if isinstance(item, BadImage):
            self._bad += 1
            self._last_error = str(item)
            raise item
        self._frames += 1
        return Frame(
            pixels=item.pixels,
            camera_id=self.camera_id,
            number=number,
            captured_ns=self._clock.monotonic_ns(),
            captured_at=self._clock.now(),
            part_id=item.part_id,
            source_ref=item.source_ref,
        )

    def _check_answering(self) -> None:
        if self._busy_since is not None and time.monotonic() - self._busy_since > self._watchdog_s:
            self._set_lost(
                f"camera {self.camera_id}: reading has not returned for {self._watchdog_s:g} s (is a network share hanging?)"
            )

    def _run(self) -> None:
        try:
            self._answering()
            for item in self._items():
                self._idle()
                if item is None or isinstance(item, CameraLost):
                    self._note(item)
                    self._stop.wait(self._poll_s)
                else:
                    self._note(None)
                    self._put(item)
                if self._stop.is_set():
                    return
                self._answering()
        except Exception as error:  # the thread must not end unseen, whatever a file system comes up with
            log.exception("source_failed", camera=self.camera_id)
            with self._changed:
                self._set_lost(f"camera {self.camera_id}: {error}")
            return
        finally:
            self._idle()
        with self._changed:
            self._exhausted = True
            self._changed.notify_all()

    def _put(self, item: Picture | BadImage) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < _READ_AHEAD or self._stop.is_set())
            if not self._stop.is_set():
                self._ready.append(item)
                self._changed.notify_all()

    def _answering(self) -> None:
        """Restart the watchdog; a subclass with a long step between two items calls it too."""
        self._busy_since = time.monotonic()

    def _idle(self) -> None:
        self._busy_since = None

    def _note(self, lost: CameraLost | None) -> None:
        with self._changed:
            if self._stop.is_set():
                return
            if lost is not None:
                self._set_lost(str(lost))
            elif self._state is not CameraState.CONNECTED:
                self._state = CameraState.CONNECTED
                self._connects += 1
                log.info("camera_connected", camera=self.camera_id, connects=self._connects)

    def _set_lost(self, error: str) -> None:
        if self._state is not CameraState.LOST:
            log.warning("camera_lost", camera=self.camera_id, error=error)
        self._state = CameraState.LOST
        self._last_error = error
