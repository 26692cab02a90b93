"""The logic around cv2.VideoCapture, against a stand-in; no test machine has a camera."""

from typing import Any

import cv2
import numpy as np
import pytest

from qc.domain.errors import BadImage, CameraLost
from qc.ingest.device import DeviceConnection


class FakeCapture:
    def __init__(self, frames: list[Any], opened: bool = True) -> None:
        self.frames = frames
        self.opened = opened
        self.released = 0
        self.settings: list[tuple[int, float]] = []

    def isOpened(self) -> bool:
        return self.opened

    def set(self, prop: int, value: float) -> bool:
        self.settings.append((prop, value))
        return True

    def get(self, prop: int) -> float:
        return dict(self.settings)[prop]

    def read(self) -> tuple[bool, Any]:
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return frame is not None, frame

    def release(self) -> None:
        self.released += 1


def connect(capture: FakeCapture, asked: list[tuple[int | str, int]] | None = None, **settings: Any) -> DeviceConnection:
    def open_capture(device: int | str, backend: int) -> FakeCapture:
        if asked is not None:
            asked.append((device, backend))
        return capture

    options: dict[str, Any] = {"width": None, "height": None, "fps": None, "fourcc": None} | settings
    return DeviceConnection("/dev/video3", open_capture=open_capture, **options)


def test_the_back_end_is_explicit_and_the_pixel_format_is_asked_for_first() -> None:
    capture = FakeCapture([])
    asked: list[tuple[int | str, int]] = []
    connect(capture, asked, width=1280, height=720, fps=30.0, fourcc="MJPG")
    assert asked == [("/dev/video3", cv2.CAP_V4L2)]
    assert capture.settings == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 30.0),
    ]


def test_a_device_that_does_not_open_is_released_and_lost() -> None:
    capture = FakeCapture([], opened=False)
    with pytest.raises(CameraLost, match="/dev/video3: cannot be opened"):
        connect(capture)
    assert capture.released == 1


def test_colour_and_grey_frames() -> None:
    connection = connect(FakeCapture([np.full((4, 6, 3), 9, np.uint8), np.full((4, 6), 7, np.uint8)]))
    assert connection.grab().pixels.shape == (4, 6, 3)
    assert (connection.grab().pixels == np.full((4, 6, 3), 7)).all()


@pytest.mark.parametrize("frame", [None, cv2.error("select() timeout")])
def test_no_frame_means_lost(frame: object) -> None:
    with pytest.raises(CameraLost, match="/dev/video3"):
        connect(FakeCapture([frame])).grab()


@pytest.mark.parametrize("frame", [np.zeros((4, 6, 2), np.uint8), np.zeros((4, 6, 3), np.uint16), np.zeros((1, 99, 1), np.uint8)])
def test_raw_formats_are_bad_images(frame: object) -> None:
    with pytest.raises(BadImage, match="shape"):
        connect(FakeCapture([frame])).grab()


def test_close_releases() -> None:
    capture = FakeCapture([])
    connect(capture).close()
    assert capture.released == 1
