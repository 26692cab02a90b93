"""The table of docs/release.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_test_that_the_release_page_names_exists() -> None:
    page = (ROOT / "docs" / "release.md").read_text("utf-8")
    named = re.findall(r"`\.\.([a-z_]+?)(?:\.\.)?`", page)
    assert len(named) > 20
    files = [*(ROOT / "tests" / "system").glob("*.py"), *(ROOT / "tests" / "unit" / "release").glob("*.py")]
    tests = [name for file in files for name in re.findall(r"def (test_[a-z_0-9]+)", file.read_text("utf-8"))]
    assert [part for part in named if not any(part in test for test in tests)] == []
