"""Each kind of camera and trigger in the settings becomes the right back-end, with its limits and credentials."""

import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from qc.domain.clock import SystemClock
from qc.domain.errors import CommandError, ConfigError, EndOfStream
from qc.domain.frame import CameraFault
from qc.domain.ports import FrameSource
from qc.ingest.camera import TriggeredCamera
from qc.ingest.folder import FolderReplay
from qc.ingest.health import FrameHealth
from qc.ingest.live import LiveSource
from qc.ingest.video import VideoFile
from qc.ingest.watch import FolderWatch
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.settings import load_line
from qc.settings.line import CameraSettings, HealthSettings
from qc.wiring.cameras import build_camera, build_source, health_limits

FOLDER = 'kind = "folder", path = "in"'
EACH_FRAME = 'kind = "each_frame"'
ON_COMMAND = 'kind = "command", frame_timeout_s = 0.2'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteRecordStore]:
    store = SqliteRecordStore(Database(tmp_path / "qc.sqlite3"))
    yield store
    store.close()


def camera_settings(
    tmp_path: Path, source: str, trigger: str, health: str = "", environ: dict[str, str] | None = None
) -> CameraSettings:
    """One camera as an integrator writes it."""
    (tmp_path / "in").mkdir(exist_ok=True)
    text = f"""
        edge = {{ site = "s", area = "a", line = "l", edge = "e" }}
        models = {{ directory = "models" }}
        recipes = {{ directory = "recipes", active = "cell" }}
        storage = {{ directory = "var" }}
        [[cameras]]
        id = "cam-1"
        source = {{ {source} }}
        trigger = {{ {trigger} }}
        health = {{ {health} }}
        """
    path = tmp_path / "line.toml"
    path.write_text(text)
    return load_line(path, environ or {}).cameras[0]


def write_picture(path: Path, level: int = 90) -> None:
    cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))


@pytest.mark.parametrize(
    ("source", "trigger", "kind", "lossless"),
    [
        (FOLDER, EACH_FRAME, FolderReplay, True),
        (FOLDER + ", watch = true", EACH_FRAME, FolderWatch, True),
        (FOLDER + ", loop = true", 'kind = "free_run", rate_hz = 5', FolderReplay, True),
        ('kind = "video", path = "v.mp4"', EACH_FRAME, VideoFile, True),
        ('kind = "rtsp", url = "rtsp://127.0.0.1:9/s"', 'kind = "free_run", rate_hz = 5', LiveSource, False),
        ('kind = "rtsp", url = "rtsp://127.0.0.1:9/s", transport = "udp"', ON_COMMAND, LiveSource, False),
        ('kind = "device", device = 0', ON_COMMAND, LiveSource, False),
        ('kind = "device", device = "/dev/v4l/by-id/x", width = 640, height = 480, fps = 5', ON_COMMAND, LiveSource, False),
    ],
)
def test_a_kind_of_source_becomes_its_back_end(
    tmp_path: Path, store: SqliteRecordStore, source: str, trigger: str, kind: type[FrameSource], lossless: bool
) -> None:
    settings = camera_settings(tmp_path, source, trigger)
    built = build_source(settings, store, SystemClock())
    assert type(built) is kind
    assert built.camera_id == "cam-1"
    assert built.lossless is lossless
    camera = build_camera(settings, store, SystemClock())
    assert (camera.camera_id, camera.lossless) == ("cam-1", lossless)


def part_ids(camera: TriggeredCamera) -> list[str]:
    ids = []
    while True:
        try:
            shot = camera.next_shot(5.0)
        except EndOfStream:
            return ids
        assert shot is not None
        ids.append(shot.part_id)


@pytest.mark.parametrize("trigger", [EACH_FRAME, 'kind = "free_run", rate_hz = 200'])
def test_a_self_triggered_camera_takes_every_picture_and_refuses_commands(
    tmp_path: Path, store: SqliteRecordStore, trigger: str
) -> None:
    camera = build_camera(camera_settings(tmp_path, FOLDER, trigger), store, SystemClock())
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "in" / f"{name}.png")
    camera.start()
    with pytest.raises(CommandError, match="triggers itself"):
        camera.trigger()
    assert part_ids(camera) == ["a", "b", "c"]
    camera.close()


def test_a_commanded_camera_waits_for_its_command_and_gives_up_after_its_timeout(
    tmp_path: Path, store: SqliteRecordStore
) -> None:
    camera = build_camera(camera_settings(tmp_path, FOLDER + ", watch = true, settle_s = 0.01", ON_COMMAND), store, SystemClock())
    camera.start()
    assert camera.next_shot(0.05) is None
    assert camera.trigger("P1") == "P1"
    shot = None
    while shot is None:
        shot = camera.next_shot(1.0)
    assert shot.fault is CameraFault.NO_FRAME
    assert shot.part_id == "P1"
    camera.close()


def test_health_limits_reach_the_check_of_every_frame(tmp_path: Path, store: SqliteRecordStore) -> None:
    for number, level in enumerate((90, 0, 255)):
        write_picture(tmp_path / f"{number}.png", level)
    (tmp_path / "in").mkdir()
    for path in tmp_path.glob("?.png"):
        path.rename(tmp_path / "in" / path.name)
    found = []
    for health in ("", "black_below = 0, saturated_share = 0", "width = 64, height = 50"):
        camera = build_camera(camera_settings(tmp_path, FOLDER, EACH_FRAME, health), store, SystemClock())
        camera.start()
        found.append([shot.fault for shot in (camera.next_shot(5.0) for _ in range(3)) if shot is not None])
        camera.close()
    assert found == [[None, CameraFault.BLACK, CameraFault.SATURATED], [None] * 3, [CameraFault.WRONG_SIZE] * 3]


def test_zero_or_nothing_switches_a_check_off() -> None:
    off = FrameHealth(health_limits(HealthSettings(black_below=0, saturated_share=0, focus_below=0)))
    for level in (0, 255, 255, 255):
        assert off.check(np.full((32, 32, 3), level, np.uint8)).fault is None
    limits = health_limits(HealthSettings(frozen_frames=3, focus_below=12.0, width=10, height=20))
    assert (limits.frozen_after, limits.focus_below, limits.size) == (3, 12.0, (10, 20))


@pytest.mark.parametrize("health", ["width = 64", "height = 48"])
def test_half_a_picture_size_is_a_mistake(tmp_path: Path, health: str) -> None:
    with pytest.raises(ConfigError, match=r"cameras\.0\.health: width and height belong together"):
        camera_settings(tmp_path, FOLDER, EACH_FRAME, health)


class RtspDoor:
    """Asks every RTSP client for a password and notes what it gives; lets nobody in."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.asked = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                sequence = "0"
                for raw in lines:
                    line = raw.decode().strip()
                    if line.startswith("CSeq:"):
                        sequence = line.split(":")[1].strip()
                    elif line.startswith("Authorization: Basic "):
                        self.given.append(base64.b64decode(line.split()[2]).decode())
                        self.asked.set()
                    elif not line:
                        answer = f'RTSP/1.0 401 Unauthorized\r\nCSeq: {sequence}\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n'
                        connection.sendall(answer.encode())

    def close(self) -> None:
        self._listener.close()


def test_an_rtsp_camera_gets_exactly_the_user_and_password_whatever_characters_they_hold(
    tmp_path: Path, store: SqliteRecordStore
) -> None:
    door = RtspDoor()
    password = "p@ss:w/rd?#%41 é"
    settings = camera_settings(
        tmp_path,
        f'kind = "rtsp", url = "rtsp://127.0.0.1:{door.port}/s", username = "us:er@x"',
        ON_COMMAND,
        environ={"QC_CAMERA_CAM_1_PASSWORD": password},
    )
    source = build_source(settings, store, SystemClock())
    source.start()
    try:
        assert door.asked.wait(20)
    finally:
        source.close()
        door.close()
    assert door.given[0].endswith(f"@x:{password}")
    assert "p@ss" not in source.status().last_error


def test_without_a_user_name_the_address_stays_as_it_is(tmp_path: Path, store: SqliteRecordStore) -> None:
    door = RtspDoor()
    url = f"rtsp://127.0.0.1:{door.port}/s"
    settings = camera_settings(
        tmp_path, f'kind = "rtsp", url = "{url}"', ON_COMMAND, environ={"QC_CAMERA_CAM_1_PASSWORD": "unused"}
    )
    source = build_source(settings, store, SystemClock())
    source.start()
    try:
        while not source.status().last_error:
            door.asked.wait(0.05)
    finally:
        source.close()
        door.close()
    assert door.given == []
    assert "401" in source.status().last_error or "nauthorized" in source.status().last_error
