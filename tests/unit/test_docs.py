"""Every link of the README and the docs leads to a file, and every command they name exists."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from qc.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    known = set(get_command(app).commands)
    named = set(re.findall(r"^(?:\.venv/bin/)?qc ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE))
    assert named <= known


def test_every_tool_that_is_named_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"python (tools/[a-z_]+\.py)", page.read_text("utf-8"))}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
