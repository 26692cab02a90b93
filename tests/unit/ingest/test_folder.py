from collections.abc import Callable
from pathlib import Path

import pytest

from qc.domain.errors import BadImage, CameraLost, EndOfStream
from qc.domain.frame import CameraFault, CameraState, Pixels
from qc.ingest.folder import FolderReplay, is_picture_name

Encode = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path, scene: Pixels, encode: Encode) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.png", "a.png", "c.bmp"):
        (folder / name).write_bytes(encode(scene, "BMP" if name.endswith("bmp") else "PNG"))
    return folder


def names(source: FolderReplay, count: int) -> list[str | None]:
    source.start()
    try:
        return [frame.part_id if (frame := source.read(10)) else None for _ in range(count)]
    finally:
        source.close()


def test_sorted_by_name_without_hidden_partial_and_foreign_files(folder: Path, jpeg: bytes) -> None:
    for name in (".hidden.jpg", "~lock.jpg", "x.jpg.part", "y.tmp.jpg", "notes.txt"):
        (folder / name).write_bytes(jpeg)
    (folder / "directory.png").mkdir()
    (folder / "d.JPG").write_bytes(jpeg)
    source = FolderReplay("cam", folder)
    assert names(source, 4) == ["a", "b", "c", "d"]


def test_a_given_order_with_sub_folders(folder: Path, jpeg: bytes) -> None:
    (folder / "good").mkdir()
    (folder / "good" / "007.jpg").write_bytes(jpeg)
    assert names(FolderReplay("cam", folder, files=["c.bmp", "good/007.jpg", folder / "a.png"]), 3) == ["c", "good-007", "a"]


def test_loop(folder: Path) -> None:
    assert names(FolderReplay("cam", folder, loop=True), 7) == ["a", "b", "c", "a", "b", "c", "a"]


def test_a_bad_file_is_named_and_the_next_one_follows(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    source = FolderReplay("cam", folder)
    source.start()
    with pytest.raises(BadImage, match="0 bytes") as caught:
        source.read(10)
    assert caught.value.part_id == "a"
    assert caught.value.source_ref == str(folder / "a.png")
    assert caught.value.fault is CameraFault.UNREADABLE
    frame = source.read(10)
    assert frame is not None
    assert (frame.part_id, frame.number) == ("b", 1)
    assert source.status().bad == 1
    source.close()


def test_a_listed_file_that_is_gone_is_a_bad_image(folder: Path) -> None:
    source = FolderReplay("cam", folder, files=["gone.png"])
    source.start()
    with pytest.raises(BadImage, match=r"gone\.png: cannot be read"):
        source.read(10)
    source.close()


@pytest.mark.parametrize("loop", [False, True])
def test_an_empty_folder_ends(tmp_path: Path, loop: bool) -> None:
    source = FolderReplay("cam", tmp_path, loop=loop)
    source.start()
    with pytest.raises(EndOfStream, match="no more pictures after 0"):
        source.read(10)
    source.close()


def test_an_absent_folder_is_waited_for(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "later"
    source = FolderReplay("cam", folder, poll_s=0.01)
    source.start()
    with pytest.raises(CameraLost, match=r"later: No such file or directory"):
        source.read(0.5)
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "a.jpg").write_bytes(jpeg)
    staging.rename(folder)
    frame = None
    while frame is None:
        try:
            frame = source.read(0.05)
        except CameraLost:
            continue
    assert frame.part_id == "a"
    assert source.status().state is CameraState.CONNECTED
    source.close()


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a.png", True),
        ("A.TIFF", True),
        ("a", False),
        (".a.png", False),
        ("a.png~", False),
        ("a.part.png", False),
        ("a.gif", False),
    ],
)
def test_picture_names(name: str, taken: bool) -> None:
    assert is_picture_name(name) is taken
