"""The plant's camera, which shows the captures that it is handed."""

import queue
from datetime import datetime

from simulations.leaping_clock import LeapingClock

from qc.domain.errors import EndOfStream
from qc.domain.frame import CameraState, CameraStatus, Frame, Shot, SourceStatus
from qc.ingest.health import FrameHealth, HealthLimits
from stories.pictures import Capture

_LIMITS = HealthLimits(saturated_share=0.0, black_below=0.0)
"""Binarised boards are mostly white; a story has no camera faults."""


class PlantCamera:
    """Camera port: shows the captures that it was handed; lossless."""

    lossless = True

    def __init__(self, clock: LeapingClock) -> None:
        self.camera_id = "cam1"
        self._clock = clock
        self._waiting: queue.SimpleQueue[tuple[str, datetime, Capture]] = queue.SimpleQueue()
        self._health = FrameHealth(_LIMITS)
        self._closed, self._given = False, 0

    def start(self) -> None: ...

    def hand(self, part_id: str, at: datetime, capture: Capture) -> None:
        self._waiting.put((part_id, at, capture))

    def next_shot(self, timeout_s: float) -> Shot | None:
        if self._closed:
            raise EndOfStream("closed")
        try:
            part_id, at, capture = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._clock.moment = max(self._clock.moment, at)
        self._given += 1
        pixels = capture.pixels()
        report = self._health.check(pixels)
        now_ns = self._clock.monotonic_ns()
        frame = Frame(pixels, self.camera_id, self._given, now_ns, at, part_id=part_id)
        return Shot(part_id, self.camera_id, now_ns, at, frame, report.quality, report.fault, report.detail)

    def trigger(self, part_id: str | None = None) -> str:
        raise NotImplementedError("the plant triggers by itself")

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def status(self) -> CameraStatus:
        return CameraStatus(self.camera_id, SourceStatus(CameraState.CONNECTED), False, self._given, 0, 0, 0)

    def close(self) -> None:
        self._closed = True
