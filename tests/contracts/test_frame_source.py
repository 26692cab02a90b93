"""What every frame source promises, run on every back-end and its fakes.

Each case builds a source that gives at least three pictures, and a way to take the camera away, where that is possible.
"""

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from qc.domain.errors import BadImage, CameraError, EndOfStream
from qc.domain.frame import CameraState, Frame, Pixels
from qc.domain.ports import FrameSource
from qc.ingest.device import device_source
from qc.ingest.fake import FakeCamera, ScriptedSource
from qc.ingest.folder import FolderReplay
from qc.ingest.live import LiveLimits, LiveSource
from qc.ingest.rtsp import rtsp_source
from qc.ingest.video import VideoFile
from qc.ingest.watch import FolderWatch

PATIENCE_S = 20.0  # for things that take milliseconds on an idle machine
RTSP_SERVER = Path(__file__).parents[1] / "system" / "rtsp_server.py"


def picture(number: int) -> Pixels:
    return np.full((48, 64, 3), 40 + number % 200, np.uint8)


@dataclass
class Case:
    source: FrameSource
    length: int = 0
    """Good pictures of a finite source."""


def write_pictures(folder: Path) -> None:
    folder.mkdir()
    for number in range(5):
        cv2.imwrite(str(folder / f"part-{number}.png"), picture(number))


def replay(folder: Path, _: ExitStack) -> Case:
    write_pictures(folder / "in")
    return Case(FolderReplay("cam", folder / "in"), length=5)


def looped_replay(folder: Path, _: ExitStack) -> Case:
    write_pictures(folder / "in")
    return Case(FolderReplay("cam", folder / "in", loop=True))


def watch(folder: Path, _: ExitStack) -> Case:
    write_pictures(folder / "in")
    return Case(FolderWatch("cam", folder / "in", inspected=lambda part_id, source_ref: False, settle_s=0.05, poll_s=0.02))


def video(folder: Path, _: ExitStack) -> Case:
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="bgr24")))
        container.mux(stream.encode(None))
    return Case(VideoFile("cam", path), length=5)


def scripted(_: Path, __: ExitStack) -> Case:
    return Case(ScriptedSource("cam", [picture(0), None, picture(1), BadImage("damaged"), picture(2)]), length=3)


def fake_live(_: Path, stack: ExitStack) -> Case:
    fake = FakeCamera()
    shoot_steadily(lambda number: fake.show(picture(number)), stack)
    return Case(LiveSource("cam", fake.connect))


class FakeCapture:
    """Stands in for cv2.VideoCapture: a 100 Hz camera."""

    def __init__(self) -> None:
        self.number = 0

    def isOpened(self) -> bool:
        return True

    def set(self, prop: int, value: float) -> bool:
        return True

    def get(self, prop: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.01)
        self.number += 1
        return True, picture(self.number)

    def release(self) -> None: ...


def device(_: Path, __: ExitStack) -> Case:
    return Case(device_source("cam", 0, open_capture=lambda device, backend: FakeCapture()))


def rtsp(_: Path, stack: ExitStack) -> Case:
    server = stack.enter_context(subprocess.Popen([sys.executable, RTSP_SERVER, "0", "20"], stdout=subprocess.PIPE, text=True))
    stack.callback(server.kill)
    port = server.stdout.readline().strip()
    return Case(rtsp_source("cam", f"rtsp://operator:secret@127.0.0.1:{port}/live"))


def absent_folder(folder: Path, _: ExitStack) -> Case:
    return Case(FolderReplay("cam", folder / "absent", poll_s=0.02))


def absent_watch(folder: Path, _: ExitStack) -> Case:
    return Case(FolderWatch("cam", folder / "absent", inspected=lambda part_id, source_ref: False, poll_s=0.02))


def absent_video(folder: Path, _: ExitStack) -> Case:
    return Case(VideoFile("cam", folder / "absent.mp4", poll_s=0.02))


def unplugged(_: Path, __: ExitStack) -> Case:
    fake = FakeCamera()
    fake.unplug()
    return Case(LiveSource("cam", fake.connect, limits=LiveLimits(first_retry_s=0.01)))


def hanging(_: Path, stack: ExitStack) -> Case:
    fake = FakeCamera()
    fake.hang()
    stack.callback(fake.hang, False)
    return Case(LiveSource("cam", fake.connect, limits=LiveLimits(watchdog_s=0.1, first_retry_s=0.01)))


def refused_rtsp(_: Path, __: ExitStack) -> Case:
    return Case(rtsp_source("cam", "rtsp://operator:secret@127.0.0.1:1/live", limits=LiveLimits(first_retry_s=0.01)))


def silent_rtsp(_: Path, stack: ExitStack) -> Case:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # accepts, never answers
    url = f"rtsp://operator:secret@127.0.0.1:{listener.getsockname()[1]}/live"
    return Case(rtsp_source("cam", url, open_timeout_s=0.2, read_timeout_s=0.2, limits=LiveLimits(watchdog_s=5)))


def refused_device(_: Path, __: ExitStack) -> Case:
    return Case(device_source("cam", 99, limits=LiveLimits(first_retry_s=0.01)))


def shoot_steadily(shoot: Callable[[int], None], stack: ExitStack) -> None:
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.wait(0.01):
            shoot(number)
            number += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    stack.callback(thread.join, 5)
    stack.callback(stop.set)


system = pytest.mark.system
FINITE = [replay, video, scripted]
WORKING = [*FINITE, looped_replay, watch, fake_live, device, pytest.param(rtsp, marks=system)]
ABSENT = [absent_folder, absent_watch, absent_video, unplugged, hanging, refused_device, refused_rtsp, silent_rtsp]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Case:
    case: Case = request.param(tmp_path, stack)
    stack.callback(case.source.close)
    return case


def next_frame(source: FrameSource) -> Frame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            frame = source.read(0.5)
        except EndOfStream:
            raise
        except CameraError:
            continue
        if frame is not None:
            return frame
    pytest.fail(f"no frame within {PATIENCE_S} s; {source.status()}")


@pytest.mark.parametrize("case", WORKING, indirect=True)
def test_frames_are_pictures_with_number_times_and_origin(case: Case) -> None:
    case.source.start()
    frames = [next_frame(case.source) for _ in range(3)]
    for frame in frames:
        assert frame.camera_id == "cam" == case.source.camera_id
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.ndim == 3
        assert frame.pixels.shape[2] == 3
        assert frame.captured_ns <= time.monotonic_ns()
        assert frame.captured_at.tzinfo is UTC
        assert "secret" not in frame.source_ref
    assert [a.captured_ns <= b.captured_ns for a, b in itertools.pairwise(frames)] == [True, True]


@pytest.mark.parametrize("case", WORKING, indirect=True)
def test_numbers_account_for_every_frame(case: Case) -> None:
    case.source.start()
    expected = 0
    for _ in range(3):
        time.sleep(0.05)  # lets a live source drop some
        bad_before = case.source.status().bad
        frame = next_frame(case.source)
        expected += frame.dropped_before + (case.source.status().bad - bad_before if case.source.lossless else 0)
        assert frame.number == expected
        assert frame.dropped_before == 0 or not case.source.lossless
        expected += 1
    status = case.source.status()
    assert status.state is CameraState.CONNECTED
    assert status.frames == 3
    assert status.hung == 0


@pytest.mark.parametrize("case", FINITE, indirect=True)
def test_a_finite_source_ends_for_good(case: Case) -> None:
    case.source.start()
    for _ in range(case.length):
        next_frame(case.source)
    for _ in range(2):
        with pytest.raises(EndOfStream):
            next_frame(case.source)
    assert case.source.status().state is CameraState.ENDED


@pytest.mark.parametrize("case", [*WORKING, *ABSENT], indirect=True)
@pytest.mark.parametrize("after_s", [0.0, 0.3])
def test_close_takes_less_than_two_seconds_and_can_be_repeated(case: Case, after_s: float) -> None:
    case.source.start()
    time.sleep(after_s)
    began = time.monotonic()
    case.source.close()
    case.source.close()
    assert time.monotonic() - began < 2.0
    assert case.source.status().state is CameraState.CLOSED
    with pytest.raises(EndOfStream, match="closed"):
        case.source.read(5)


@pytest.mark.parametrize("case", [*WORKING, *ABSENT], indirect=True)
def test_close_without_start(case: Case) -> None:
    assert case.source.status().state is CameraState.CONNECTING
    case.source.close()


@pytest.mark.parametrize("case", [*WORKING, *ABSENT], indirect=True)
def test_close_wakes_a_waiting_reader(case: Case) -> None:
    case.source.start()
    woken = threading.Event()

    def read_until_closed() -> None:
        while True:
            try:
                case.source.read(30)
            except EndOfStream:
                break
            except CameraError:
                continue
        woken.set()

    thread = threading.Thread(target=read_until_closed, daemon=True)
    thread.start()
    time.sleep(0.2)
    case.source.close()
    assert woken.wait(5)


@pytest.mark.parametrize("case", ABSENT, indirect=True)
def test_an_absent_camera_is_reported_in_time(case: Case) -> None:
    began = time.monotonic()
    case.source.start()
    assert time.monotonic() - began < 1.0, "start must return at once"
    deadline = time.monotonic() + PATIENCE_S
    error = ""
    while not error and time.monotonic() < deadline:
        began = time.monotonic()
        try:
            assert case.source.read(0.2) is None
        except CameraError as lost:
            error = str(lost)
        assert time.monotonic() - began < 2.0, "read must not block much longer than its time-out"
    assert error
    assert "secret" not in error
    status = case.source.status()
    assert status.state is CameraState.LOST
    assert status.last_error == error or not case.source.lossless  # a live source may have tried again meanwhile
    assert status.frames == 0
