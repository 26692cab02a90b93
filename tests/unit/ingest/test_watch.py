import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qc.domain.errors import BadImage, CameraError, StoreError
from qc.domain.frame import Frame
from qc.ingest.watch import FolderWatch

Inspected = Callable[[str, str], bool]
PATIENCE_S = 20.0


def nothing_inspected(part_id: str, source_ref: str) -> bool:
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(folder: Path) -> Iterator[Callable[..., FolderWatch]]:
    started: list[FolderWatch] = []

    def start(inspected: Inspected = nothing_inspected, settle_s: float = 0.05) -> FolderWatch:
        source = FolderWatch("cam", folder, inspected=inspected, settle_s=settle_s, poll_s=0.01)
        source.start()
        started.append(source)
        return source

    yield start
    for source in started:
        source.close()


def items(source: FolderWatch, quiet_s: float = 0.4) -> list[Frame | BadImage]:
    """Everything that comes until nothing came for quiet_s."""
    result: list[Frame | BadImage] = []
    quiet_from = time.monotonic()
    while time.monotonic() - quiet_from < quiet_s:
        try:
            item = source.read(0.05)
        except BadImage as error:
            item = error
        except CameraError:
            continue
        if item is not None:
            result.append(item)
            quiet_from = time.monotonic()
    return result


def wait_for(source: FolderWatch, count: int) -> list[Frame | BadImage]:
    result: list[Frame | BadImage] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(result) < count and time.monotonic() < deadline:
        try:
            item = source.read(0.2)
        except BadImage as error:
            item = error
        except CameraError:
            continue
        if item is not None:
            result.append(item)
    assert len(result) == count
    return result


def part_ids(found: list[Frame | BadImage]) -> list[str | None]:
    return [item.part_id for item in found]


def write(path: Path, data: bytes, modified_s: int | None = None) -> None:
    path.write_bytes(data)
    if modified_s is not None:
        os.utime(path, (modified_s, modified_s))


def test_oldest_first_each_once(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    for name, age in (("c", 1), ("a", 2), ("b", 3)):
        write(folder / f"{name}.jpg", jpeg, age)
    source = watch()
    assert part_ids(items(source)) == ["c", "a", "b"]
    write(folder / "d.jpg", jpeg)
    assert part_ids(wait_for(source, 1)) == ["d"]
    assert items(source) == []


def test_a_file_is_taken_only_when_it_has_stopped_growing(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    source = watch(settle_s=1.0)
    seen: list[Frame | BadImage] = []
    with (folder / "slow.jpg").open("wb") as file:
        for start in range(0, len(jpeg), len(jpeg) // 10 + 1):
            file.write(jpeg[start : start + len(jpeg) // 10 + 1])
            file.flush()
            seen += items(source, quiet_s=0.1)
    assert seen == []
    (frame,) = wait_for(source, 1)
    assert isinstance(frame, Frame)


def test_renamed_into_place(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    source = watch()
    write(folder / ".part-1.jpg", jpeg)
    write(folder / "part-2.jpg.tmp", jpeg)
    assert items(source) == []
    (folder / ".part-1.jpg").rename(folder / "part-1.jpg")
    assert part_ids(wait_for(source, 1)) == ["part-1"]


def test_bad_files_are_named_and_others_go_on(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    write(folder / "empty.jpg", b"", 1)
    write(folder / "cut.jpg", jpeg[:-100], 2)
    write(folder / "good.jpg", jpeg, 3)
    (folder / "directory.jpg").mkdir()
    (folder / "dangling.jpg").symlink_to(folder / "nowhere")
    found = items(watch())
    assert part_ids(found) == ["empty", "cut", "good"]
    assert [type(item) for item in found] == [BadImage, BadImage, Frame]


def test_a_file_written_again_is_a_new_picture(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    write(folder / "latest.jpg", jpeg, 1)
    source = watch()
    (first,) = wait_for(source, 1)
    write(folder / "latest.jpg", jpeg, 2)
    (second,) = wait_for(source, 1)
    assert first.part_id == second.part_id == "latest"
    assert first.source_ref != second.source_ref


def test_the_folder_vanishes_and_comes_back(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    write(folder / "a.jpg", jpeg)
    source = watch()
    wait_for(source, 1)
    away = folder.with_name("away")
    folder.rename(away)
    error = ""
    while not error:
        try:
            source.read(0.05)
        except CameraError as lost:
            error = str(lost)
    assert "No such file or directory" in error
    write(away / "b.jpg", jpeg)
    away.rename(folder)
    assert part_ids(wait_for(source, 1)) == ["b"]  # a was delivered before
    assert items(source) == []
    assert source.status().reconnects == 1


def test_after_a_restart_only_what_has_no_record_comes(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    """The record store is the memory: a crash between delivery and record delivers again, a record never repeats."""
    for age, name in enumerate("abc"):
        write(folder / f"{name}.jpg", jpeg, age)
    records: dict[str, str] = {}
    first_run = watch()
    delivered = wait_for(first_run, 2)
    records[delivered[0].part_id or ""] = delivered[0].source_ref  # committed; then the process dies before b's verdict
    first_run.close()
    second_run = watch(lambda part_id, source_ref: records.get(part_id) == source_ref)
    assert part_ids(items(second_run)) == ["b", "c"]


def test_the_same_name_with_new_content_is_not_taken_for_inspected(
    folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes
) -> None:
    write(folder / "latest.jpg", jpeg, 1)
    (frame,) = wait_for(watch(), 1)
    write(folder / "latest.jpg", jpeg, 2)  # while the edge was off
    assert len(items(watch(lambda part_id, source_ref: source_ref == frame.source_ref))) == 1


def test_when_the_store_cannot_tell_twice_is_better_than_never(
    folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes
) -> None:
    def broken(part_id: str, source_ref: str) -> bool:
        raise StoreError("disk full")

    write(folder / "a.jpg", jpeg)
    assert part_ids(wait_for(watch(broken), 1)) == ["a"]


def test_many_files_while_they_are_written(folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes) -> None:
    def camera_program() -> None:
        for number in range(60):
            path = folder / f".{number:03}.jpg"
            path.write_bytes(jpeg)
            path.rename(folder / f"{number:03}.jpg")
            time.sleep(0.005)

    source = watch()
    writer = threading.Thread(target=camera_program)
    writer.start()
    found = wait_for(source, 60)
    writer.join()
    assert sorted(part_ids(found), key=str) == [f"{number:03}" for number in range(60)]
    assert items(source) == []


def test_a_file_removed_before_its_turn_still_gets_its_verdict(
    folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes
) -> None:
    """The question to the store comes just before the read; there the test takes the file away."""

    def remove(part_id: str, source_ref: str) -> bool:
        (folder / f"{part_id}.jpg").unlink()
        return False

    write(folder / "a.jpg", jpeg)
    (item,) = wait_for(watch(remove), 1)
    assert isinstance(item, BadImage)
    assert item.part_id == "a"
    assert "removed before it could be read" in str(item)


def test_a_folder_removed_before_a_files_turn_loses_nothing(
    folder: Path, watch: Callable[..., FolderWatch], jpeg: bytes, tmp_path: Path
) -> None:
    taken_away = threading.Event()

    def take_folder_away(part_id: str, source_ref: str) -> bool:
        if not taken_away.is_set():
            folder.rename(tmp_path / "away")
            taken_away.set()
        return False

    write(folder / "a.jpg", jpeg)
    source = watch(take_folder_away)
    assert taken_away.wait(PATIENCE_S)
    assert items(source) == []
    shutil.move(tmp_path / "away", folder)
    (item,) = wait_for(source, 1)
    assert isinstance(item, Frame)
