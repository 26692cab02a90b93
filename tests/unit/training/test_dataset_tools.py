"""The two scripts as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools"


def run(tool, *arguments):
    return subprocess.run(
        [sys.executable, TOOLS / tool, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def small(on_disk):
    for seed in range(8):
        on_disk.good(f"g{seed}", seed)
    on_disk.defect("d", 9)
    on_disk.done()
    return on_disk


def test_check_writes_both_reports_and_passes(small, tmp_path):
    done = run(
        "check_dataset.py", small.root, "--features", "classical", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html"
    )
    assert done.returncode == 0, done.stderr
    assert "0 errors" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["ok"] is True
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_check_fails_on_errors_and_explains_them(small):
    (small.root / "images/good/g3.png").unlink()
    done = run("check_dataset.py", small.root, "--features", "classical")
    assert done.returncode == 1
    assert "images/good/g3.png" in done.stdout


def test_check_of_no_data_set_is_one_sentence(tmp_path):
    done = run("check_dataset.py", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "there is no such file or folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_import_splits_and_merges(small, tmp_path):
    first = run("import_dataset.py", small.root, tmp_path / "clean", "--split")
    assert first.returncode == 0, first.stderr
    assert ",train" in (tmp_path / "clean/manifest.csv").read_text()
    again = run("import_dataset.py", tmp_path / "clean", tmp_path / "both", "--add", small.root)
    assert again.returncode == 0, again.stderr
    assert "9 pictures" in again.stderr
    assert "9 copies" in again.stderr
