import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from qc.domain.errors import BadImage, CameraLost, EndOfStream
from qc.domain.frame import Frame
from qc.ingest.video import VideoFile


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten pictures at 25 Hz, each a little brighter than the one before."""
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "10", "g": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            picture = np.full((48, 64, 3), 30 + 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def everything(source: VideoFile) -> Iterator[Frame | BadImage]:
    source.start()
    try:
        while True:
            try:
                frame = source.read(10)
            except BadImage as error:
                yield error
                continue
            except EndOfStream:
                return
            assert frame is not None
            yield frame
    finally:
        source.close()


def test_every_picture_in_order(clip: Path) -> None:
    frames = [frame for frame in everything(VideoFile("cam", clip)) if isinstance(frame, Frame)]
    assert [frame.source_ref for frame in frames] == [f"clip.mkv#{index}" for index in range(10)]
    assert [frame.part_id for frame in frames] == [None] * 10
    levels = [frame.pixels.mean() for frame in frames]
    assert levels == pytest.approx([30 + 20 * number for number in range(10)], abs=4)


def test_paced(clip: Path) -> None:
    began = time.monotonic()
    assert len(list(everything(VideoFile("cam", clip, paced=True)))) == 10
    assert time.monotonic() - began >= 9 / 25


def test_a_damaged_file_gives_what_it_can_and_ends(clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = b"\xa5" * 200
    clip.write_bytes(bytes(data))
    found = list(everything(VideoFile("cam", clip)))
    assert any(isinstance(item, Frame) for item in found)
    assert len(found) <= 11


def test_the_megapixel_limit(clip: Path) -> None:
    (item,) = everything(VideoFile("cam", clip, max_megapixels=0.001))
    assert isinstance(item, BadImage)
    assert "limit is 0.001" in str(item)


def test_no_video_at_all(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("this is no video")
    source = VideoFile("cam", path, poll_s=0.01)
    source.start()
    with pytest.raises(CameraLost, match=r"text\.mp4: Invalid data"):
        source.read(0.5)
    source.close()
