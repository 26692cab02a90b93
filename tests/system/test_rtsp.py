"""A real RTSP session over loopback: frozen, killed and restarted server. The server stamps its clock into every picture."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qc.domain.errors import CameraLost
from qc.domain.frame import CameraFault, CameraState, Frame
from qc.ingest.camera import TriggeredCamera
from qc.ingest.live import LiveLimits, LiveSource
from qc.ingest.rtsp import rtsp_source
from qc.ingest.trigger import FreeRun, OnCommand

pytestmark = pytest.mark.system

SERVER = Path(__file__).with_name("rtsp_server.py")
sys.path.insert(0, str(SERVER.parent))
from rtsp_server import read_stamp  # noqa: E402 - a program beside this test, not a package

PATIENCE_S = 30.0
FPS = 20
MAX_AGE_S = 1.0
FRESH_S = MAX_AGE_S + 1.0  # with the way through encoder and decoder, on a busy machine; pauses here are longer

Start = Callable[[int], tuple[subprocess.Popen[str], int]]


@pytest.fixture
def start_server() -> Iterator[Start]:
    servers: list[subprocess.Popen[str]] = []

    def start(port: int) -> tuple[subprocess.Popen[str], int]:
        server = subprocess.Popen([sys.executable, SERVER, str(port), str(FPS)], stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None
        return server, int(server.stdout.readline())

    yield start
    for server in servers:
        server.kill()
        with server:  # closes its pipe and waits
            pass


@pytest.fixture
def source_of() -> Iterator[Callable[[int], LiveSource]]:
    sources: list[LiveSource] = []

    def make(port: int) -> LiveSource:
        limits = LiveLimits(max_age_s=MAX_AGE_S, watchdog_s=10.0, first_retry_s=0.1, max_retry_s=0.5)
        url = f"rtsp://operator:secret@127.0.0.1:{port}/live"
        sources.append(rtsp_source("cam", url, open_timeout_s=1.0, read_timeout_s=1.0, limits=limits))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def age_s(frame: Frame) -> float:
    """From the server's stamp in the picture to now: the whole way through encoder, socket, decoder and queue."""
    return ((round(time.monotonic() * 1000) - read_stamp(frame.pixels)) & 0xFFFFFFFF) / 1000


def frame_of(source: LiveSource) -> Frame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            frame = source.read(0.5)
        except CameraLost:
            continue
        if frame is not None:
            return frame
    pytest.fail(f"no frame; {source.status()}")


def read_until_lost(source: LiveSource, number: int) -> int:
    """The number of the last frame before the source is lost; number when none came."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        began = time.monotonic()
        try:
            frame = source.read(0.3)
        except CameraLost:
            break
        finally:
            assert time.monotonic() - began < 2.0, "read must not block much longer than its time-out"
        number = number if frame is None else frame.number
    status = source.status()
    assert status.state is CameraState.LOST
    assert "127.0.0.1" in status.last_error
    assert "secret" not in status.last_error
    return number


def test_frames_are_fresh_numbered_and_complete(start_server: Start, source_of: Callable[[int], LiveSource]) -> None:
    _, port = start_server(0)
    source = source_of(port)
    source.start()
    number = -1
    for pause_s in (0.0, 0.0, 0.0, 2.5, 0.0):
        time.sleep(pause_s)
        frame = frame_of(source)
        assert frame.number == number + 1 + frame.dropped_before
        assert age_s(frame) < FRESH_S
        assert frame.source_ref == f"rtsp://127.0.0.1:{port}/live"
        assert frame.pixels.shape == (240, 320, 3)
        number = frame.number
    assert source.status().dropped > 0, "the pause of 2.5 s dropped frames, and they are counted"


def test_a_frozen_server_then_a_thaw(start_server: Start, source_of: Callable[[int], LiveSource]) -> None:
    server, port = start_server(0)
    source = source_of(port)
    source.start()
    number = frame_of(source).number
    server.send_signal(signal.SIGSTOP)
    number = read_until_lost(source, number)
    time.sleep(2.0)
    server.send_signal(signal.SIGCONT)
    frame = frame_of(source)
    assert frame.number == number + 1 + frame.dropped_before
    assert age_s(frame) < FRESH_S, "nothing from before the freeze"


def test_a_killed_server_then_a_new_one(start_server: Start, source_of: Callable[[int], LiveSource]) -> None:
    server, port = start_server(0)
    source = source_of(port)
    source.start()
    number = frame_of(source).number
    server.kill()
    number = read_until_lost(source, number)
    server.wait()
    start_server(port)
    frame = frame_of(source)
    assert frame.number == number + 1 + frame.dropped_before
    assert age_s(frame) < FRESH_S
    status = source.status()
    assert status.state is CameraState.CONNECTED
    assert status.reconnects >= 1


def test_every_trigger_gets_its_shot_while_the_server_is_frozen(
    start_server: Start, source_of: Callable[[int], LiveSource]
) -> None:
    server, port = start_server(0)
    camera = TriggeredCamera(source_of(port), OnCommand(timeout_s=0.5))
    camera.start()
    frame_of_camera_source(camera)
    server.send_signal(signal.SIGSTOP)
    time.sleep(0.3)  # what was on its way has arrived
    for number in range(4):
        camera.trigger(f"part-{number}")
        began = time.monotonic()
        shot = camera.next_shot(10)
        assert time.monotonic() - began < 5
        assert shot is not None
        assert (shot.part_id, shot.frame, shot.fault) == (f"part-{number}", None, CameraFault.NO_FRAME)
    server.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    shot = None
    while (shot is None or shot.fault is not None) and time.monotonic() < deadline:
        camera.trigger()
        shot = camera.next_shot(10)
    assert shot is not None
    assert shot.frame is not None
    assert age_s(shot.frame) < FRESH_S


def test_free_run_on_a_frozen_server_says_no_frame(start_server: Start, source_of: Callable[[int], LiveSource]) -> None:
    server, port = start_server(0)
    camera = TriggeredCamera(source_of(port), FreeRun(5.0, timeout_s=0.3))
    camera.start()
    frame_of_camera_source(camera)
    server.send_signal(signal.SIGSTOP)
    time.sleep(MAX_AGE_S + 0.3)
    shots = [camera.next_shot(10) for _ in range(4)]
    assert {shot.fault if shot else "silence" for shot in shots} == {CameraFault.NO_FRAME}


def frame_of_camera_source(camera: TriggeredCamera) -> None:
    """Wait until the camera is connected and delivers."""
    deadline = time.monotonic() + PATIENCE_S
    while camera.status().source.state is not CameraState.CONNECTED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
