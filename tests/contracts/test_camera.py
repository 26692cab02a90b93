"""What every camera promises, for each trigger on the sources it makes sense with: one shot per trigger, never silence."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from qc.domain.errors import CommandError, EndOfStream
from qc.domain.frame import CameraFault, Pixels, Shot
from qc.domain.ports import Camera
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import FakeCamera, ScriptedSource
from qc.ingest.folder import FolderReplay
from qc.ingest.live import LiveLimits, LiveSource
from qc.ingest.trigger import EachFrame, FreeRun, OnCommand, Trigger
from qc.ingest.watch import FolderWatch

PATIENCE_S = 20.0

Make = Callable[[Path, ExitStack], Camera]


def picture(number: int) -> Pixels:
    return np.full((48, 64, 3), 40 + number % 200, np.uint8)


def write_pictures(folder: Path) -> Path:
    for number in range(5):
        cv2.imwrite(str(folder / f"part-{number}.png"), picture(number))
    return folder


def each_replayed(folder: Path, _: ExitStack) -> Camera:
    return TriggeredCamera(FolderReplay("cam", write_pictures(folder), loop=True), EachFrame())


def each_watched(folder: Path, stack: ExitStack) -> Camera:
    def shoot(number: int) -> None:
        cv2.imwrite(str(folder / ".part.png"), picture(number))
        (folder / ".part.png").rename(folder / f"part-{number}.png")

    shoot_steadily(shoot, stack)
    source = FolderWatch("cam", folder, inspected=lambda part_id, source_ref: False, settle_s=0.02, poll_s=0.01)
    return TriggeredCamera(source, EachFrame())


def free_running_replay(folder: Path, _: ExitStack) -> Camera:
    return TriggeredCamera(FolderReplay("cam", write_pictures(folder), loop=True), FreeRun(50.0))


def free_running_live(_: Path, stack: ExitStack) -> Camera:
    return TriggeredCamera(live(stack), FreeRun(50.0))


def commanded_live(_: Path, stack: ExitStack) -> Camera:
    return TriggeredCamera(live(stack), OnCommand())


def commanded_script(_: Path, __: ExitStack) -> Camera:
    return TriggeredCamera(ScriptedSource("cam", [picture(1), picture(2)], loop=True), OnCommand())


def free_running_unplugged(_: Path, __: ExitStack) -> Camera:
    fake = FakeCamera()
    fake.unplug()
    return TriggeredCamera(LiveSource("cam", fake.connect, limits=LiveLimits(first_retry_s=0.01)), FreeRun(50.0, timeout_s=0.1))


def commanded_hanging(_: Path, stack: ExitStack) -> Camera:
    fake = FakeCamera()
    fake.hang()
    stack.callback(fake.hang, False)
    return TriggeredCamera(LiveSource("cam", fake.connect, limits=LiveLimits(watchdog_s=0.2)), OnCommand(timeout_s=0.1))


def live(stack: ExitStack) -> LiveSource:
    fake = FakeCamera()
    shoot_steadily(lambda number: fake.show(picture(number)), stack)
    stack.callback(fake.unplug)
    return LiveSource("cam", fake.connect)


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


SELF_TRIGGERED: list[Make] = [each_replayed, each_watched, free_running_replay, free_running_live]
COMMANDED: list[Make] = [commanded_live, commanded_script]
BROKEN: list[Make] = [free_running_unplugged, commanded_hanging]


@pytest.fixture
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Camera]:
    make: Make = request.param
    with ExitStack() as stack:
        camera = make(tmp_path, stack)
        stack.callback(camera.close)
        yield camera


def ask_if_commanded(camera: Camera) -> str | None:
    try:
        return camera.trigger()
    except CommandError as error:
        return None if error.code == "not_supported" else error.code


def next_shot(camera: Camera) -> Shot:
    asked = ask_if_commanded(camera)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        shot = camera.next_shot(0.5)
        if shot is not None:
            assert asked is None or shot.part_id == asked
            return shot
    pytest.fail(f"no shot within {PATIENCE_S} s; {camera.status()}")


@pytest.mark.parametrize("camera", [*SELF_TRIGGERED, *COMMANDED], indirect=True)
def test_a_shot_is_complete(camera: Camera) -> None:
    camera.start()
    shots = [next_shot(camera) for _ in range(3)]
    for shot in shots:
        assert shot.camera_id == "cam" == camera.camera_id
        assert shot.part_id
        assert shot.frame is not None
        assert shot.frame.part_id == shot.part_id
        assert shot.frame.dropped_before == shot.dropped_before
        assert shot.quality is not None
        assert (shot.fault, shot.fault_detail) == (None, "")
        assert shot.triggered_at.tzinfo is not None
    numbers = [shot.frame.number for shot in shots if shot.frame]
    assert numbers == sorted(set(numbers)), "no frame twice"
    for before, shot in zip(numbers, shots[1:], strict=False):
        assert shot.frame is not None
        assert shot.frame.number == before + 1 + shot.dropped_before


@pytest.mark.parametrize("camera", BROKEN, indirect=True)
def test_without_a_frame_the_shot_says_so_in_time(camera: Camera) -> None:
    camera.start()
    shots = [next_shot(camera) for _ in range(3)]
    assert [(shot.frame, shot.fault) for shot in shots] == [(None, CameraFault.NO_FRAME)] * 3
    assert all("no frame within" in shot.fault_detail for shot in shots)
    assert len({shot.part_id for shot in shots}) == 3
    assert camera.status().faults == 3


@pytest.mark.parametrize("camera", [*SELF_TRIGGERED, *COMMANDED, *BROKEN], indirect=True)
def test_triggers_are_the_shots(camera: Camera) -> None:
    camera.start()
    for expected in range(1, 5):
        next_shot(camera)
        assert camera.status().triggers == expected


@pytest.mark.parametrize("camera", SELF_TRIGGERED, indirect=True)
def test_paused_a_self_triggered_camera_is_silent(camera: Camera) -> None:
    camera.start()
    next_shot(camera)
    camera.pause()
    camera.pause()
    assert camera.status().paused
    for _ in range(3):
        assert camera.next_shot(0.05) is None
    camera.resume()
    assert not camera.status().paused
    next_shot(camera)
    assert camera.status().triggers == 2


@pytest.mark.parametrize("camera", COMMANDED, indirect=True)
def test_paused_a_commanded_camera_refuses(camera: Camera) -> None:
    camera.start()
    camera.pause()
    with pytest.raises(CommandError) as caught:
        camera.trigger()
    assert caught.value.code == "paused"
    assert camera.next_shot(0.05) is None
    camera.resume()
    next_shot(camera)


@pytest.mark.parametrize("camera", [*SELF_TRIGGERED, *COMMANDED, *BROKEN], indirect=True)
def test_close_is_quick_and_ends_the_shots(camera: Camera) -> None:
    camera.start()
    time.sleep(0.1)
    began = time.monotonic()
    camera.close()
    assert time.monotonic() - began < 2.0
    camera.close()
    with pytest.raises(EndOfStream):
        camera.next_shot(5)


def test_several_cameras_in_one_process_do_not_disturb_each_other() -> None:
    """One hangs, one is unplugged, one works."""
    hanging, unplugged = FakeCamera(), FakeCamera()
    hanging.hang()
    unplugged.unplug()
    trigger: Trigger = FreeRun(100.0, timeout_s=0.1)
    cameras = [
        TriggeredCamera(LiveSource("hanging", hanging.connect), trigger),
        TriggeredCamera(LiveSource("unplugged", unplugged.connect), trigger),
        TriggeredCamera(ScriptedSource("working", [picture(1)], loop=True), trigger),
    ]
    for camera in cameras:
        camera.start()
    shots = [next_shot(camera) for _ in range(5) for camera in cameras]
    assert {(shot.camera_id, shot.fault) for shot in shots} == {
        ("hanging", CameraFault.NO_FRAME),
        ("unplugged", CameraFault.NO_FRAME),
        ("working", None),
    }
    hanging.hang(False)
    for camera in cameras:
        camera.close()
