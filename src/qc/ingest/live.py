"""The part that all live sources share: a thread drains the camera, the newest frame wins, the rest is counted.

The library below may block for ever (OpenCV and RTSP do), so it is only ever called in a daemon thread that can be given up:
``read`` and ``close`` never wait for it. One thread per connection attempt in a row::

    connect -> grab, grab, ... -> error -> back-off -> connect -> ...
          \\________ no answer for watchdog_s: the thread is given up and another one takes its place
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from qc.domain.clock import SystemClock
from qc.domain.errors import BadImage, CameraError, CameraLost, EndOfStream
from qc.domain.frame import CameraState, Frame, Pixels, SourceStatus
from qc.domain.ports import Clock
from qc.ingest.lag import StreamLag

log = structlog.get_logger(__name__)

_CLOSE_WAIT_S = 1.0  # of the 2 s that close may take
_MAX_HUNG_THREADS = 4  # each holds a socket or device and some memory; beyond that wait for one to return


@dataclass(frozen=True, slots=True)
class Grab:
    """What a connection returns. pixels: (H, W, 3) uint8 BGR. stream_time_s: presentation time in the stream, if it has one."""

    pixels: Pixels
    stream_time_s: float | None = None


class Connection(Protocol):
    """An open camera. Used by one thread only; may block, but should have time-outs below the watchdog's."""

    def grab(self) -> Grab:
        """The next frame. Raises BadImage (skip this one) or any other error (the connection is over)."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """max_age_s: a frame older than this when read is asked for is stale. watchdog_s: longest wait for the library below.

    Reconnects wait first_retry_s, then twice as long each time up to max_retry_s, each between 50 and 100 % of
    that so that several cameras do not come back in step.
    """

    max_age_s: float = 1.0
    watchdog_s: float = 15.0
    first_retry_s: float = 0.5
    max_retry_s: float = 30.0


class LiveSource:
    """A FrameSource over ``connect``, which opens a Connection or raises.

    Frame numbers count every frame that the camera gave: number = previous number + 1 + dropped_before. captured_ns is the
    time of arrival, less the lag behind the stream's own clock where the stream has one.
    """

    lossless = False

    def __init__(
        self,
        camera_id: str,
        connect: Callable[[], Connection],
        *,
        source_ref: str = "",
        limits: LiveLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.camera_id = camera_id
        self._connect = connect
        self._source_ref = source_ref
        self._limits = limits or LiveLimits()
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._dropped_since = 0
        self._grabbed = 0
        self._connects = 0
        self._status = SourceStatus(CameraState.CONNECTING)
        self._reader: _Reader | None = None
        self._hung: list[_Reader] = []

    def start(self) -> None:
        with self._changed:
            self._start_reader()

    def read(self, timeout_s: float) -> Frame | None:
        oldest_ns = self._clock.monotonic_ns() - round(self._limits.max_age_s * 1e9)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._status.state is CameraState.CLOSED:
                    raise EndOfStream(f"camera {self.camera_id}: the source is closed")
                self._replace_hung_reader()
                frame = self._take(oldest_ns)
                if frame is not None:
                    return frame
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(min(remaining, 0.25))  # wakes for the watchdog too
            if self._status.state is CameraState.LOST:
                raise CameraLost(self._status.last_error)
            return None

    def status(self) -> SourceStatus:
        with self._changed:
            return self._status

    def close(self) -> None:
        with self._changed:
            self._status = replace(self._status, state=CameraState.CLOSED)
            self._newest = None
            reader, self._reader = self._reader, None
            self._changed.notify_all()
        if reader is not None and reader.is_alive():
            reader.stop.set()
            reader.join(_CLOSE_WAIT_S)
            if reader.is_alive():
                log.warning("camera_thread_abandoned", camera=self.camera_id)

    def _take(self, oldest_ns: int) -> Frame | None:
        frame, self._newest = self._newest, None
        if frame is None:
            return None
        if frame.captured_ns < oldest_ns:
            self._drop()
            return None
        frame = replace(frame, dropped_before=self._dropped_since)
        self._dropped_since = 0
        self._status = replace(self._status, frames=self._status.frames + 1)
        return frame

    def _drop(self) -> None:
        self._dropped_since += 1
        self._status = replace(self._status, dropped=self._status.dropped + 1)

    def _start_reader(self) -> None:
        self._reader = _Reader(self, self._limits)
        self._reader.start()

    def _replace_hung_reader(self) -> None:
        reader = self._reader
        if reader is None or time.monotonic() < reader.answer_by:
            return
        self._lose(reader, f"camera {self.camera_id}: no answer for {self._limits.watchdog_s:g} s")
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) < _MAX_HUNG_THREADS:
            reader.stop.set()
            self._hung.append(reader)
            self._status = replace(self._status, hung=self._status.hung + 1)
            self._start_reader()

    # Called by reader threads. A reader that was given up may still come back; what it says is ignored.

    def _lose(self, reader: "_Reader", error: str) -> None:
        with self._changed:
            if reader is not self._reader or self._status.state is CameraState.CLOSED:
                return
            if self._status.state is not CameraState.LOST:
                log.warning("camera_lost", camera=self.camera_id, error=error)
            self._status = replace(self._status, state=CameraState.LOST, last_error=error)

    def _connected(self, reader: "_Reader") -> None:
        """At the first frame: an open connection that gives nothing is no camera."""
        with self._changed:
            if reader is not self._reader or self._status.state is CameraState.CLOSED:
                return
            self._connects += 1
            self._status = replace(self._status, state=CameraState.CONNECTED, reconnects=self._connects - 1)
            log.info("camera_connected", camera=self.camera_id, connects=self._connects)

    def _offer(self, reader: "_Reader", grab: Grab, lag_s: float) -> None:
        with self._changed:
            if reader is not self._reader:
                return
            number, self._grabbed = self._grabbed, self._grabbed + 1
            if lag_s > self._limits.max_age_s:
                self._drop()
                return
            if self._newest is not None:
                self._drop()
            self._newest = Frame(
                pixels=grab.pixels,
                camera_id=self.camera_id,
                number=number,
                captured_ns=self._clock.monotonic_ns() - round(lag_s * 1e9),
                captured_at=self._clock.now() - timedelta(seconds=lag_s),
                source_ref=self._source_ref,
            )
            self._changed.notify_all()

    def _skip(self, reader: "_Reader", error: BadImage) -> None:
        """A damaged frame of a live camera is dropped: the next one is already on its way."""
        with self._changed:
            if reader is self._reader:
                self._grabbed += 1
                self._drop()
                self._status = replace(self._status, bad=self._status.bad + 1, last_error=str(error))


class _Reader(threading.Thread):
    def __init__(self, source: LiveSource, limits: LiveLimits) -> None:
        super().__init__(name=f"camera-{source.camera_id}", daemon=True)
        self.stop = threading.Event()
        self.answer_by = time.monotonic() + limits.watchdog_s
        """Monotonic seconds by which the library below must have answered."""
        self._source = source
        self._limits = limits
        self._failures = 0
        """Connections in a row that gave no frame."""

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._drain()
            except Exception as error:  # whatever a driver raises, the answer is to reconnect; the thread must not end unseen
                if not isinstance(error, CameraError):
                    log.exception("camera_driver_failed", camera=self._source.camera_id)
                self._source._lose(self, str(error))
            self._failures += 1
            wait_s = self._retry_wait_s()
            self._expect_answer(wait_s)
            self.stop.wait(wait_s)

    def _drain(self) -> None:
        """Connect and hand on frames until stopped, or broken (raises)."""
        self._expect_answer()
        connection = self._source._connect()
        lag = StreamLag(self._limits.max_age_s)
        connected = False
        try:
            while not self.stop.is_set():
                self._expect_answer()
                try:
                    grab = connection.grab()
                except BadImage as error:
                    self._source._skip(self, error)
                    continue
                if not connected:
                    connected = True
                    self._failures = 0
                    self._source._connected(self)
                self._source._offer(self, grab, lag.lag_s(grab.stream_time_s, time.monotonic()))
        finally:
            connection.close()

    def _expect_answer(self, wait_s: float = 0.0) -> None:
        self.answer_by = time.monotonic() + wait_s + self._limits.watchdog_s

    def _retry_wait_s(self) -> float:
        longest_s = min(self._limits.max_retry_s, self._limits.first_retry_s * 2.0 ** min(self._failures - 1, 30))
        return longest_s * random.uniform(0.5, 1.0)
