import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from qc.domain.errors import BadImage, CameraLost
from qc.domain.frame import CameraState, Frame, Pixels
from qc.ingest.fake import FakeCamera
from qc.ingest.live import Grab, LiveLimits, LiveSource, _Reader

PATIENCE_S = 20.0


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ns / 1e9, UTC)

    def monotonic_ns(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def picture(level: int) -> Pixels:
    return np.full((4, 4, 3), level, np.uint8)


@pytest.fixture
def fake() -> FakeCamera:
    return FakeCamera()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def live(fake: FakeCamera, clock: HandClock, watchdog_s: float) -> Iterator[LiveSource]:
    limits = LiveLimits(max_age_s=1.0, watchdog_s=watchdog_s, first_retry_s=0.01, max_retry_s=0.05)
    source = LiveSource("cam", fake.connect, limits=limits, clock=clock, source_ref="fake")
    source.start()
    yield source
    fake.hang(False)
    fake.unplug()
    source.close()


@pytest.fixture
def source(fake: FakeCamera, clock: HandClock) -> Iterator[LiveSource]:
    yield from live(fake, clock, watchdog_s=60.0)


@pytest.fixture
def guarded(fake: FakeCamera, clock: HandClock) -> Iterator[LiveSource]:
    """With a short watchdog."""
    yield from live(fake, clock, watchdog_s=0.3)


def frame_of(source: LiveSource) -> Frame:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            frame = source.read(0.1)
        except CameraLost:
            continue
        if frame is not None:
            return frame
    pytest.fail("no frame")


def read_until(source: LiveSource, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        with contextlib.suppress(CameraLost):
            source.read(0.1)


def lost_message(source: LiveSource) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            source.read(0.05)
        except CameraLost as error:
            return str(error)
    pytest.fail("never lost")


def test_the_newest_wins_and_the_rest_is_counted(source: LiveSource, fake: FakeCamera) -> None:
    for level in range(5):
        fake.show(picture(level))
    assert fake.wait_drained()
    frame = frame_of(source)
    assert (frame.pixels[0, 0, 0], frame.number, frame.dropped_before) == (4, 4, 4)
    fake.show(picture(9))
    frame = frame_of(source)
    assert (frame.pixels[0, 0, 0], frame.number, frame.dropped_before, frame.source_ref) == (9, 5, 0, "fake")
    assert (source.status().frames, source.status().dropped) == (2, 4)


def test_a_frame_is_delivered_once(source: LiveSource, fake: FakeCamera) -> None:
    fake.show(picture(1))
    frame_of(source)
    assert source.read(0.05) is None


def test_after_a_pause_nothing_stale(source: LiveSource, fake: FakeCamera, clock: HandClock) -> None:
    fake.show(picture(1))
    assert fake.wait_drained()
    clock.advance(3.0)  # nobody read
    assert source.read(0.05) is None
    fake.show(picture(2))
    frame = frame_of(source)
    assert (frame.pixels[0, 0, 0], frame.dropped_before) == (2, 1)


def test_a_burst_from_a_buffer_below_is_stale_by_its_time_stamps(source: LiveSource, fake: FakeCamera) -> None:
    """The network stood still for 3 s; then the frames of that time come at once, each just arrived."""
    fake.show(picture(0), stream_time_s=100.0)
    frame_of(source)
    for late in range(10):
        fake.show(picture(1), stream_time_s=97.0 + late / 10)
    assert fake.wait_drained()
    assert source.read(0.05) is None
    fake.show(picture(2), stream_time_s=100.1)
    frame = frame_of(source)
    assert (frame.pixels[0, 0, 0], frame.dropped_before) == (2, 10)


def test_a_late_frame_is_dated_back(source: LiveSource, fake: FakeCamera, clock: HandClock) -> None:
    fake.show(picture(0), stream_time_s=100.0)
    frame_of(source)
    fake.show(picture(1), stream_time_s=99.5)
    frame = frame_of(source)
    assert clock.ns - frame.captured_ns == pytest.approx(0.5e9, rel=0.5, abs=0)


def test_damaged_frames_are_skipped_and_counted(source: LiveSource, fake: FakeCamera) -> None:
    fake.show(BadImage("torn"))
    fake.show(picture(1))
    frame = frame_of(source)
    assert (frame.number, frame.dropped_before) == (1, 1)
    status = source.status()
    assert (status.bad, status.dropped, status.last_error) == (1, 1, "torn")


def test_reconnects_and_numbers_go_on(source: LiveSource, fake: FakeCamera) -> None:
    fake.show(picture(1))
    assert frame_of(source).number == 0
    fake.unplug()
    assert lost_message(source) == "fake camera: unplugged"
    assert source.status().state is CameraState.LOST
    fake.plug()
    fake.show(picture(2))
    assert frame_of(source).number == 1
    status = source.status()
    assert (status.state, status.reconnects) == (CameraState.CONNECTED, 1)
    assert status.last_error == "fake camera: unplugged"


def test_a_hanging_driver_is_given_up_and_replaced(guarded: LiveSource, fake: FakeCamera) -> None:
    fake.show(picture(1))
    frame_of(guarded)
    assert "no answer for 0.3 s" in lost_message(guarded)
    fake.show(picture(2))
    frame = frame_of(guarded)
    assert frame.number >= 1
    assert guarded.status().hung >= 1
    assert guarded.status().state is CameraState.CONNECTED


def test_hung_threads_are_limited(guarded: LiveSource, fake: FakeCamera) -> None:
    fake.hang()
    read_until(guarded, lambda: guarded.status().hung == 4)
    ends = time.monotonic() + 1.0  # three more watchdog periods
    read_until(guarded, lambda: time.monotonic() > ends)
    assert guarded.status().hung == 4
    assert sum(isinstance(thread, _Reader) and thread._source is guarded for thread in threading.enumerate()) == 5
    fake.hang(False)
    fake.show(picture(1))
    frame_of(guarded)


def test_what_a_given_up_thread_says_later_is_ignored() -> None:
    """The first connection hangs; the second delivers; then the first comes back with an old picture."""
    release = threading.Event()
    connections: list[int] = []

    class Connection:
        def __init__(self) -> None:
            self.index = len(connections)
            connections.append(self.index)

        def grab(self) -> Grab:
            if self.index == 0:
                release.wait(PATIENCE_S)
                return Grab(picture(66))
            time.sleep(0.01)
            return Grab(picture(1))

        def close(self) -> None: ...

    source = LiveSource("cam", Connection, limits=LiveLimits(watchdog_s=0.2, first_retry_s=0.01))
    source.start()
    assert frame_of(source).pixels[0, 0, 0] == 1
    release.set()
    levels = {int(frame_of(source).pixels[0, 0, 0]) for _ in range(20)}
    assert levels == {1}
    source.close()


def test_any_exception_of_a_driver_means_reconnect(clock: HandClock) -> None:
    attempts: list[int] = []

    class Connection:
        def __init__(self) -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise RuntimeError("driver bug")

        def grab(self) -> Grab:
            time.sleep(0.01)
            return Grab(picture(1))

        def close(self) -> None: ...

    source = LiveSource("cam", Connection, limits=LiveLimits(first_retry_s=0.01), clock=clock)
    source.start()
    frame_of(source)
    assert len(attempts) == 3
    source.close()


def test_back_off_doubles_up_to_its_limit_with_jitter() -> None:
    reader = _Reader(LiveSource("cam", FakeCamera().connect), LiveLimits(first_retry_s=1.0, max_retry_s=8.0))
    for failures, longest_s in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (5000, 8.0)]:
        reader._failures = failures
        waits = [reader._retry_wait_s() for _ in range(200)]
        assert longest_s / 2 <= min(waits) < max(waits) <= longest_s
