"""A camera of the operating system (USB, V4L2), read with OpenCV.

Tested against a stand-in for ``cv2.VideoCapture`` only: no test machine has such a device or the kernel module for a
virtual one. OpenCV's V4L2 back-end takes no time-outs: its read gives up after 10 s by itself
(``OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT``), its open may hang; the watchdog of LiveSource covers both.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import structlog

from qc.domain.errors import BadImage, CameraLost
from qc.domain.ports import Clock
from qc.ingest.live import Grab, LiveLimits, LiveSource

log = structlog.get_logger(__name__)


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool: ...  # noqa: N802 - OpenCV's name

    def set(self, propId: int, value: float) -> bool: ...

    def get(self, propId: int) -> float: ...

    def read(self) -> Sequence[Any]: ...

    def release(self) -> None: ...


OpenCapture = Callable[[int | str, int], Capture]


class DeviceConnection:
    """An open device. width, height in pixels, fps, fourcc (``MJPG``, ``YUYV``): asked for, not enforced; None keeps the default."""

    def __init__(
        self,
        device: int | str,
        *,
        width: int | None,
        height: int | None,
        fps: float | None,
        fourcc: str | None,
        open_capture: OpenCapture,
    ) -> None:
        self._name = f"device {device}"
        try:
            self._capture = open_capture(device, cv2.CAP_V4L2)
            if not self._capture.isOpened():
                self._capture.release()
                raise CameraLost(
                    f"{self._name}: cannot be opened (absent, in use, or no permission: is the user in group video?)"
                )
            # The pixel format decides which sizes and rates exist, so it is set first.
            self._ask(cv2.CAP_PROP_FOURCC, None if fourcc is None else float(cv2.VideoWriter.fourcc(*fourcc)), "fourcc")
            self._ask(cv2.CAP_PROP_FRAME_WIDTH, width, "width")
            self._ask(cv2.CAP_PROP_FRAME_HEIGHT, height, "height")
            self._ask(cv2.CAP_PROP_FPS, fps, "fps")
        except cv2.error as error:
            raise CameraLost(f"{self._name}: {error}") from error

    def grab(self) -> Grab:
        try:
            ok, pixels = self._capture.read()
        except cv2.error as error:
            raise CameraLost(f"{self._name}: {error}") from error
        if not ok or pixels is None:
            raise CameraLost(f"{self._name}: gave no frame (unplugged?)")
        if pixels.ndim == 2:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise BadImage(f"{self._name}: frame of shape {pixels.shape}, {pixels.dtype} instead of (H, W, 3) uint8")
        return Grab(pixels)

    def close(self) -> None:
        self._capture.release()

    def _ask(self, prop: int, value: float | None, name: str) -> None:
        if value is None:
            return
        self._capture.set(prop, value)
        actual = self._capture.get(prop)
        if actual != value:
            log.warning("camera_setting_refused", device=self._name, setting=name, asked=value, actual=actual)


def device_source(
    camera_id: str,
    device: int | str,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    fourcc: str | None = None,
    limits: LiveLimits | None = None,
    clock: Clock | None = None,
    open_capture: OpenCapture | None = None,
) -> LiveSource:
    """device: index (0 for /dev/video0) or a stable path such as /dev/v4l/by-id/...; open_capture: for tests."""

    def connect() -> DeviceConnection:
        opener = open_capture or _open_capture
        return DeviceConnection(device, width=width, height=height, fps=fps, fourcc=fourcc, open_capture=opener)

    return LiveSource(
        camera_id,
        connect,
        source_ref=f"device {device}",
        limits=limits,
        clock=clock,
    )


def _open_capture(device: int | str, backend: int) -> Capture:
    if isinstance(device, int):  # OpenCV's two signatures, to the type checker
        return cv2.VideoCapture(device, backend)
    return cv2.VideoCapture(device, backend)
