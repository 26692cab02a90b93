"""One folder with everything that can be wrong with a picture: each part gets a shot with a defined outcome."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from qc.domain.errors import EndOfStream
from qc.domain.frame import CameraFault, Pixels, Shot
from qc.ingest.camera import TriggeredCamera
from qc.ingest.folder import FolderReplay
from qc.ingest.health import FrameHealth, HealthLimits
from qc.ingest.trigger import EachFrame

Outcome = CameraFault | tuple[int, int]  # the fault, or (height, width) of a picture that is fit to be judged

EXPECTED: dict[str, Outcome] = {
    "alpha.png": (60, 80),
    "bomb.png": CameraFault.UNREADABLE,
    "cmyk.jpg": (60, 80),
    "deep.png": (60, 80),
    "deep.tif": (60, 80),
    "empty.jpg": CameraFault.UNREADABLE,
    "flipped.png": CameraFault.UNREADABLE,
    "grey.jpg": (60, 80),
    "ordinary.jpg": (60, 80),
    "palette.png": (60, 80),
    "pipe.png": CameraFault.UNREADABLE,
    "rotated.jpg": (80, 60),
    "text.png": CameraFault.UNREADABLE,
    "truncated.jpg": CameraFault.TRUNCATED,
    "truncated.png": CameraFault.TRUNCATED,
    "wrong_size.png": CameraFault.WRONG_SIZE,
    "zeros.bmp": CameraFault.UNREADABLE,
}


@pytest.fixture
def folder(tmp_path: Path, scene: Pixels, encode: Callable[..., bytes], jpeg: bytes) -> Path:
    image = Image.fromarray(scene[:, :, ::-1])
    png = encode(image, "PNG")
    transparent = image.convert("RGBA")
    transparent.putalpha(10)
    turned = Image.Exif()
    turned[0x0112] = 6
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = png[:8] + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0x55
    deep = scene.astype(np.uint16) * 257
    files = {
        "alpha.png": encode(transparent, "PNG"),
        "bomb.png": bomb,
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG"),
        "deep.png": cv2.imencode(".png", deep)[1].tobytes(),
        "deep.tif": cv2.imencode(".tif", deep[:, :, 1])[1].tobytes(),
        "empty.jpg": b"",
        "flipped.png": bytes(flipped),
        "grey.jpg": encode(image.convert("L"), "JPEG"),
        "ordinary.jpg": jpeg,
        "palette.png": encode(image.convert("P"), "PNG"),
        "rotated.jpg": encode(image, "JPEG", exif=turned),
        "text.png": b"this is a text with an image's name",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png[: len(png) // 2],
        "wrong_size.png": encode(image.crop((0, 0, 33, 44)), "PNG"),
        "zeros.bmp": bytes(5000),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "directory.png").mkdir()  # not a file: not a part
    return tmp_path


def shots_of(camera: TriggeredCamera) -> list[Shot]:
    camera.start()
    shots = []
    while True:
        try:
            shot = camera.next_shot(20)
        except EndOfStream:
            camera.close()
            return shots
        assert shot is not None
        shots.append(shot)


def test_every_file_has_its_outcome(folder: Path) -> None:
    source = FolderReplay("cam", folder)
    shots = shots_of(TriggeredCamera(source, EachFrame(), health=FrameHealth(HealthLimits(size=(80, 60)))))
    outcomes = {Path(shot.source_ref).name: shot.fault or shot_size(shot) for shot in shots}
    expected = EXPECTED | {"rotated.jpg": CameraFault.WRONG_SIZE}  # 60 x 80 once it is upright
    assert outcomes == expected
    for shot in shots:
        assert shot.part_id == Path(shot.source_ref).stem
        assert bool(shot.fault_detail) is (shot.fault is not None)
        assert Path(shot.source_ref).name in shot.fault_detail or shot.frame is not None


def test_without_an_expected_size_the_turned_and_the_small_picture_pass(folder: Path) -> None:
    shots = shots_of(TriggeredCamera(FolderReplay("cam", folder), EachFrame()))
    outcomes = {Path(shot.source_ref).name: shot.fault or shot_size(shot) for shot in shots}
    assert outcomes == EXPECTED | {"wrong_size.png": (44, 33)}


def shot_size(shot: Shot) -> tuple[int, ...]:
    assert shot.frame is not None
    return shot.frame.pixels.shape[:2]
