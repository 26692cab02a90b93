"""Triggers, faults and counters of TriggeredCamera; what every camera promises is in tests/contracts/test_camera.py."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from qc.domain.errors import BadImage, CameraLost, CommandError, ConfigError, EndOfStream
from qc.domain.frame import CameraFault, Frame, Pixels, Shot, SourceStatus
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import FakeCamera, ScriptedSource
from qc.ingest.health import FrameHealth, HealthLimits
from qc.ingest.live import LiveSource
from qc.ingest.lossless import Picture
from qc.ingest.trigger import EachFrame, FreeRun, OnCommand, Trigger

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


class DirectSource:
    """A live source without threads: ``frame`` or ``error`` is what the next read gives; every read costs no time."""

    lossless = False

    def __init__(self, clock: HandClock, camera_id: str = "cam") -> None:
        self.camera_id = camera_id
        self.clock = clock
        self.waiting: list[Frame | Exception] = []
        self.wait_costs_s = 0.0
        self.number = 0

    def shoot(self, dropped_before: int = 0) -> None:
        self.waiting.append(
            Frame(
                picture(self.number),
                self.camera_id,
                self.number,
                self.clock.ns,
                self.clock.now(),
                dropped_before,
                source_ref="live",
            )
        )
        self.number += 1

    def start(self) -> None: ...

    def read(self, timeout_s: float) -> Frame | None:
        if not self.waiting:
            self.clock.advance(self.wait_costs_s)
            return None
        item = self.waiting.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def status(self) -> SourceStatus:
        raise NotImplementedError

    def close(self) -> None: ...


def picture(level: int) -> Pixels:
    return np.full((4, 4, 3), 50 + level, np.uint8)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def source(clock: HandClock) -> DirectSource:
    return DirectSource(clock)


def scripted(*script: Pixels | Picture | BadImage | CameraLost | None, trigger: Trigger | None = None) -> TriggeredCamera:
    camera = TriggeredCamera(ScriptedSource("cam", script), trigger or EachFrame())
    camera.start()
    return camera


def shot_of(camera: TriggeredCamera) -> Shot:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        shot = camera.next_shot(0.2)
        if shot is not None:
            return shot
    pytest.fail("no shot")


# Each frame


def test_each_frame_takes_the_sources_name_or_gives_one() -> None:
    camera = scripted(Picture(picture(1), "part-7", "part-7.png"), picture(2))
    named, unnamed = shot_of(camera), shot_of(camera)
    assert (named.part_id, named.source_ref) == ("part-7", "part-7.png")
    assert unnamed.part_id.startswith("cam-")
    for shot in (named, unnamed):
        assert shot.frame is not None
        assert shot.frame.part_id == shot.part_id
        assert shot.triggered_ns == shot.frame.captured_ns
        assert shot.quality is not None
        assert shot.fault is None
    camera.close()


def test_each_frame_a_bad_picture_is_a_shot_with_its_fault() -> None:
    camera = scripted(BadImage("cut", part_id="part-1", source_ref="part-1.jpg", fault=CameraFault.TRUNCATED), picture(1))
    bad = shot_of(camera)
    assert (bad.part_id, bad.frame, bad.fault, bad.fault_detail) == ("part-1", None, CameraFault.TRUNCATED, "cut")
    assert bad.source_ref == "part-1.jpg"
    assert shot_of(camera).fault is None
    assert (camera.status().triggers, camera.status().faults) == (2, 1)
    camera.close()


def test_each_frame_while_the_source_is_lost_there_are_no_parts() -> None:
    camera = scripted(CameraLost("share away"), picture(1))
    assert shot_of(camera).fault is None
    assert camera.status().triggers == 1
    camera.close()


def test_each_frame_a_picture_that_came_during_the_pause_waits_for_the_resume() -> None:
    camera = scripted(*[None] * 30, Picture(picture(1), "late"))
    early: list[Shot | None] = []
    reader = threading.Thread(target=lambda: early.append(camera.next_shot(PATIENCE_S)))
    reader.start()
    time.sleep(0.05)  # the reader waits inside the source, whose picture comes after 0.3 s
    camera.pause()
    reader.join()
    assert early == [None]
    began = time.monotonic()
    assert camera.next_shot(0.1) is None
    assert time.monotonic() - began >= 0.09, "a paused camera waits; its caller must not spin"
    camera.resume()
    assert shot_of(camera).part_id == "late"
    camera.close()


def test_each_frame_close_while_paused_ends() -> None:
    camera = scripted(*[None] * 20, picture(1))
    reader = threading.Thread(target=lambda: camera.next_shot(PATIENCE_S))
    reader.start()
    time.sleep(0.05)
    camera.pause()
    reader.join()
    camera.close()
    with pytest.raises(EndOfStream):
        camera.next_shot(0)


def test_each_frame_needs_a_source_that_keeps_every_picture(source: DirectSource) -> None:
    with pytest.raises(ConfigError, match="keeps every picture"):
        TriggeredCamera(source, EachFrame())


# Free run


def test_free_run_never_bursts_after_a_pause_of_the_reader(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, FreeRun(10.0), clock=clock)
    source.shoot()
    assert camera.next_shot(0) is not None
    clock.advance(1.05)  # nobody asked for ten ticks and a half
    source.shoot(dropped_before=3)
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert shot.dropped_before == 3
    assert camera.next_shot(0) is None, "one shot for the missed ticks, not ten"
    assert camera._missed == 9
    clock.advance(0.05)
    assert camera.next_shot(0) is not None, "and the grid of ticks goes on"


def test_free_run_waits_for_its_tick() -> None:
    camera = scripted(picture(1), picture(2), picture(3), trigger=FreeRun(20.0))
    began = time.monotonic()
    shots = [shot_of(camera) for _ in range(3)]
    assert time.monotonic() - began >= 0.1
    assert [shot.frame.number if shot.frame else None for shot in shots] == [0, 1, 2]
    camera.close()


def test_free_run_a_tick_without_a_frame_is_a_fault(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, FreeRun(1.0, timeout_s=0.5), clock=clock)
    source.wait_costs_s = 0.1
    source.waiting.append(CameraLost("cable"))
    shot = camera.next_shot(PATIENCE_S)
    assert shot is not None
    assert (shot.frame, shot.fault) == (None, CameraFault.NO_FRAME)
    assert shot.fault_detail == "no frame within 0.50 s: cable"
    assert shot.part_id.startswith("cam-")


def test_free_run_a_late_frame_comes_with_a_later_call(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, FreeRun(1.0), clock=clock)
    assert camera.next_shot(0) is None
    clock.advance(0.3)
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert shot.frame is not None
    assert shot.frame.captured_ns - shot.triggered_ns == 300_000_000


def test_free_run_ends_with_its_source_without_an_extra_part() -> None:
    camera = scripted(picture(1), trigger=FreeRun(200.0))
    assert shot_of(camera).fault is None
    with pytest.raises(EndOfStream):
        shot_of(camera)
    assert camera.status().triggers == 1
    camera.close()


def test_free_run_after_the_resume_only_frames_captured_since(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, FreeRun(1.0), clock=clock)
    camera.pause()
    source.shoot()
    assert camera.next_shot(0) is None
    clock.advance(5)
    camera.resume()
    assert camera.next_shot(0) is None
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert shot.frame is not None
    assert (shot.frame.number, shot.dropped_before) == (1, 1)
    assert (camera._missed, camera._discarded) == (0, 1)


@pytest.mark.parametrize("rate_hz", [0.0, -1.0])
def test_free_run_needs_a_rate(source: DirectSource, rate_hz: float) -> None:
    with pytest.raises(ConfigError, match="above 0 Hz"):
        TriggeredCamera(source, FreeRun(rate_hz))


# On command


def test_on_command_takes_the_first_frame_captured_after_the_trigger(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(), clock=clock)
    assert camera.next_shot(0) is None
    source.shoot(dropped_before=2)
    clock.advance(0.1)
    assert camera.trigger("part-1") == "part-1"
    clock.advance(0.1)
    source.shoot()
    shot = camera.next_shot(1)
    assert shot is not None
    assert shot.frame is not None
    assert (shot.part_id, shot.frame.number, shot.dropped_before) == ("part-1", 1, 3)
    assert camera._discarded == 1


def test_on_command_passes_over_what_was_exposed_before_the_trigger(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(latency_s=0.2), clock=clock)
    camera.trigger("part-1")
    clock.advance(0.1)
    source.shoot()  # arrived after the trigger, but it was on its way
    clock.advance(0.1)
    source.shoot()
    shot = camera.next_shot(1)
    assert shot is not None
    assert shot.frame is not None
    assert shot.frame.number == 1


def test_on_command_a_frame_long_after_the_trigger_is_another_part(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(timeout_s=1.0), clock=clock)
    camera.trigger("part-1")
    clock.advance(5.0)  # the line was busy and did not ask
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert (shot.part_id, shot.fault) == ("part-1", CameraFault.NO_FRAME)
    camera.trigger("part-2")
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert (shot.part_id, shot.fault) == ("part-2", None)


def test_on_command_every_trigger_gets_its_own_shot_in_order(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(timeout_s=1.0), clock=clock, part_id_prefix="press-3")
    first, second = camera.trigger(), camera.trigger("second")
    assert first.startswith("press-3-")
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert (shot.part_id, shot.fault) == (first, None)
    source.wait_costs_s = 0.3
    shot = camera.next_shot(PATIENCE_S)
    assert shot is not None
    assert (shot.part_id, shot.fault) == (second, CameraFault.NO_FRAME)
    assert camera.next_shot(0) is None


def test_on_command_too_many_waiting_are_refused(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(max_waiting=2), clock=clock)
    camera.trigger()
    camera.trigger()
    with pytest.raises(CommandError, match="2 triggers already wait") as caught:
        camera.trigger()
    assert caught.value.code == "busy"
    source.shoot()
    camera.next_shot(0)
    camera.trigger()


def test_on_command_at_the_end_of_the_source_the_trigger_still_gets_its_shot() -> None:
    camera = scripted(picture(1), trigger=OnCommand())
    for part_id in ("a", "b"):
        camera.trigger(part_id)
    assert (shot_of(camera).part_id, camera.status().faults) == ("a", 0)
    shot = shot_of(camera)
    assert (shot.part_id, shot.fault) == ("b", CameraFault.NO_FRAME)
    assert "no more pictures" in shot.fault_detail
    with pytest.raises(EndOfStream):
        camera.next_shot(0)
    camera.close()


def test_on_command_pause_refuses_new_triggers_and_serves_accepted_ones(source: DirectSource, clock: HandClock) -> None:
    camera = TriggeredCamera(source, OnCommand(), clock=clock)
    camera.trigger("accepted")
    camera.pause()
    with pytest.raises(CommandError) as caught:
        camera.trigger()
    assert caught.value.code == "paused"
    source.shoot()
    shot = camera.next_shot(0)
    assert shot is not None
    assert shot.part_id == "accepted"


def test_on_command_close_answers_what_waits(clock: HandClock) -> None:
    camera = scripted(*[None] * 5, picture(1), trigger=OnCommand(timeout_s=60.0))
    camera.trigger("waiting")
    camera.close()
    shot = camera.next_shot(1)
    assert shot is not None
    assert (shot.part_id, shot.fault) == ("waiting", CameraFault.NO_FRAME)
    with pytest.raises(EndOfStream):
        camera.next_shot(0)
    with pytest.raises(CommandError) as caught:
        camera.trigger()
    assert caught.value.code == "closed"


def test_self_triggered_cameras_refuse_commands(source: DirectSource) -> None:
    with pytest.raises(CommandError) as caught:
        TriggeredCamera(source, FreeRun(1.0)).trigger()
    assert caught.value.code == "not_supported"


# Health, and a live source from end to end


def test_health_faults_keep_the_pixels_for_the_archive() -> None:
    camera = TriggeredCamera(
        ScriptedSource("cam", [np.zeros((4, 4, 3), np.uint8)]), EachFrame(), health=FrameHealth(HealthLimits())
    )
    camera.start()
    shot = shot_of(camera)
    assert shot.fault is CameraFault.BLACK
    assert shot.frame is not None
    assert shot.quality is not None
    assert camera.status().faults == 1
    camera.close()


@pytest.fixture
def live() -> Iterator[tuple[TriggeredCamera, FakeCamera]]:
    fake = FakeCamera()
    camera = TriggeredCamera(LiveSource("cam", fake.connect), OnCommand(timeout_s=PATIENCE_S))
    camera.start()
    yield camera, fake
    fake.unplug()
    camera.close()


def test_triggers_from_another_thread_wake_the_reader(live: tuple[TriggeredCamera, FakeCamera]) -> None:
    camera, fake = live

    def operator() -> None:
        camera.trigger("asked")
        fake.show(picture(5))

    thread = threading.Timer(0.05, operator)
    thread.start()
    shot = camera.next_shot(PATIENCE_S)
    thread.join()
    assert shot is not None
    assert (shot.part_id, shot.fault) == ("asked", None)


def test_close_wakes_the_reader(live: tuple[TriggeredCamera, FakeCamera]) -> None:
    camera, _ = live
    timer = threading.Timer(0.05, camera.close)
    timer.start()
    with pytest.raises(EndOfStream):
        camera.next_shot(PATIENCE_S)
    timer.join()
