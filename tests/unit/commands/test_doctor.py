"""Everything that can be wrong before a line starts is found, graded, and comes with what to do."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.system.broker import free_port
from tests.system.edge_process import write_images, write_settings
from tests.unit.publish.samples import NAME, record

from qc.commands.doctor import Finding, Grade, examine
from qc.domain.record import Entry
from qc.publish.events import inspection_event
from qc.record.database import Database
from qc.record.store import SqliteRecordStore


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A line that can start: pictures in its folder, no broker wanted."""
    path = write_settings(tmp_path, free_port(), mqtt="enabled = false", watch=False)
    write_images(tmp_path / "in", 2)
    return path


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))


def findings(config: Path) -> dict[str, Finding]:
    found = list(examine(config, camera_patience_s=0.5))
    for one in found:
        assert one.message
        assert one.remedy or one.grade is not Grade.FAILED, f"{one.check} failed without a word on what to do"
    return {one.check: one for one in found}


def test_a_line_in_order_gives_no_failure(config: Path) -> None:
    found = findings(config)
    assert {check for check, one in found.items() if one.grade is Grade.FAILED} == set()
    assert list(found) == ["settings", "recipes", "model tiny", "camera cam1", "storage", "disk", "clock", "http", "broker"]
    assert found["camera cam1"].message.startswith("32 x 32, brightness")
    assert "health.focus_below = " in found["camera cam1"].remedy
    assert found["broker"].grade is Grade.WARNING  # nobody outside hears of anything
    assert "none yet" in found["storage"].message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[edge", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"[mqtt]\nhots = 1\n", "did you mean 'host'"),
    ],
)
def test_settings_that_cannot_be_used_end_the_examination(config: Path, content: bytes, words: str) -> None:
    config.write_bytes(content)
    found = findings(config)
    assert list(found) == ["settings"]
    assert found["settings"].grade is Grade.FAILED
    assert words in found["settings"].message


def test_a_missing_file_and_a_folder_in_its_place_are_named(tmp_path: Path) -> None:
    assert "no such file" in findings(tmp_path / "line.toml")["settings"].message
    assert "cannot be read" in findings(tmp_path)["settings"].message


def test_a_broken_recipe_is_found(config: Path) -> None:
    (config.parent / "recipes" / "third.toml").write_text('variant = "third"\n')
    assert "third.toml: model: missing" in next(
        one.message for one in examine(config) if one.check == "settings" and one.grade is Grade.FAILED
    )


def test_an_active_variant_without_recipe_is_found(config: Path) -> None:
    change(config, 'active = "cell"', 'active = "third"')
    found = findings(config)["recipes"]
    assert found.grade is Grade.FAILED
    assert "cell, other" in found.remedy


def test_an_altered_and_a_missing_bundle_are_found_with_their_variants(config: Path) -> None:
    with (config.parent / "models" / "tiny" / "model.onnx").open("ab") as model:
        model.write(b"x")
    change(config.parent / "recipes" / "other.toml", 'model = "tiny"', 'model = "absent"')
    found = findings(config)
    assert found["model tiny"].grade is found["model absent"].grade is Grade.FAILED
    assert "needed by cell" in found["model tiny"].remedy
    assert "needed by other" in found["model absent"].remedy


def test_a_missing_camera_folder_fails_and_an_empty_one_warns(config: Path) -> None:
    for path in (config.parent / "in").iterdir():
        path.unlink()
    assert findings(config)["camera cam1"].grade is Grade.WARNING
    change(config, 'path = "in"', 'path = "nowhere"')
    found = findings(config)["camera cam1"]
    assert found.grade is Grade.FAILED
    assert "nowhere: no such folder" in found.message


@pytest.mark.parametrize("watch", [False, True])
def test_a_folder_of_broken_pictures_only_warns_with_the_reason(config: Path, watch: bool) -> None:
    change(config, "watch = false", f"watch = {str(watch).lower()}")
    for number, path in enumerate(sorted((config.parent / "in").iterdir())):
        path.write_bytes(path.read_bytes()[:40] if number else b"")
    found = findings(config)["camera cam1"]
    assert found.grade is Grade.WARNING
    assert "part-00000" in found.message
    assert "image" in found.remedy


def test_a_broken_picture_before_a_good_one_is_no_fault_of_the_camera(config: Path) -> None:
    (config.parent / "in" / "a-first.png").write_bytes(b"")
    assert findings(config)["camera cam1"].grade is Grade.OK


def test_a_black_picture_fails_with_its_fault(config: Path) -> None:
    for path in (config.parent / "in").iterdir():
        cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))
    found = findings(config)["camera cam1"]
    assert found.grade is Grade.FAILED
    assert "black" in found.message
    assert "cameras.health" in found.remedy


@pytest.mark.parametrize(
    ("source", "trigger"),
    [
        ('kind = "video", path = "absent.mp4"', 'kind = "each_frame"'),
        ('kind = "rtsp", url = "rtsp://127.0.0.1:{port}/s"', 'kind = "command"'),
        ('kind = "device", device = 97', 'kind = "command"'),
    ],
)
def test_a_camera_that_gives_nothing_fails_with_the_reason(config: Path, source: str, trigger: str) -> None:
    change(config, 'kind = "folder", path = "in", watch = false, settle_s = 0.05', source.format(port=free_port()))
    change(config, 'kind = "each_frame"', trigger)
    found = findings(config)["camera cam1"]
    assert found.grade is Grade.FAILED
    assert found.message != "no frame yet"


def test_a_store_that_cannot_be_opened_is_found(config: Path) -> None:
    (config.parent / "var").write_text("a file where the folder should be")
    found = findings(config)
    assert found["storage"].grade is Grade.FAILED
    assert str(config.parent / "var") in found["storage"].message
    assert "disk" not in found


@pytest.mark.parametrize(
    ("limits", "grade", "words"),
    [
        ("min_free_mb = 1e12", Grade.FAILED, "less than storage.min_free_mb"),
        ("min_free_mb = 1\nimage_budget_mb = 1e12", Grade.WARNING, "for a budget of"),
    ],
)
def test_a_disk_that_is_too_small_is_found(config: Path, limits: str, grade: Grade, words: str) -> None:
    change(config, "min_free_mb = 1", limits)
    found = findings(config)["disk"]
    assert found.grade is grade
    assert words in found.message
    assert found.remedy


@pytest.mark.parametrize(("ahead", "failed"), [(timedelta(hours=2), True), (timedelta(0), False)])
def test_a_clock_behind_the_newest_record_is_found(config: Path, ahead: timedelta, failed: bool) -> None:
    part = replace(record("P-1"), decided_at=datetime.now(UTC) + ahead)
    store = SqliteRecordStore(Database(config.parent / "var" / "qc.sqlite3"))
    store.append([Entry(inspection_event(part, NAME), part)])
    store.close()
    clocks = [one for one in examine(config) if one.check == "clock"]
    assert any(one.grade is Grade.FAILED and "from the future" in one.message for one in clocks) is failed


def test_a_busy_http_port_warns(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        change(config, "[http]\nport = 0", f"[http]\nport = {port}")
        found = findings(config)["http"]
        assert found.grade is Grade.WARNING
        assert str(port) in found.message
    assert findings(config)["http"].grade is Grade.OK
    change(config, "[http]", "[http]\nenabled = false")
    assert "http" not in findings(config)


def test_a_broker_that_is_away_fails_and_says_that_the_line_starts_anyway(config: Path) -> None:
    change(config, "enabled = false", "")
    found = findings(config)["broker"]
    assert found.grade is Grade.FAILED
    assert "nothing listens" in found.message
    assert "starts without the broker" in found.remedy
