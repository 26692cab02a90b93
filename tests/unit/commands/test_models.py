"""``qc models`` on a registry on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.edge_process import write_settings

from qc.commands import models
from qc.domain.errors import BundleError, ConfigError, ReleaseError
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_settings(tmp_path, 1)
    seal_bundle(tmp_path / "models" / "next", tiny_model_bytes(), replace(tiny_card("next"), parent="tiny", reject_at=0.7))
    return path


def listed(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    capsys.readouterr()
    models.list_models(config, as_json=True)
    return {row["model"]: row["used"] for row in json.loads(capsys.readouterr().out)}


def test_promote_rollback_and_what_is_listed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(config, capsys) == {"next": [], "tiny": ["active: cell", "active: other"]}
    with pytest.raises(ReleaseError, match="no passed gate report"):
        models.promote(config, "next", variant="", who="kim", why="w", override=False)
    models.promote(config, "next", variant="", who="kim", why="trial", override=True)
    assert listed(config, capsys) == {"next": ["active: cell"], "tiny": ["previous: cell", "active: other"]}
    models.show(config, "next", as_json=False)
    told = capsys.readouterr().out
    assert "lineage: next <- tiny" in told
    assert "(kim) trial gate overridden" in told
    models.rollback(config, variant="cell", who="kim", why="it was a drill")
    assert listed(config, capsys) == {"next": [], "tiny": ["active: cell", "active: other"]}
    assert models.gc(config, keep=0) == 0
    assert listed(config, capsys) == {"tiny": ["active: cell", "active: other"]}


def test_wrong_names_are_said_and_leave_no_trace(config: Path) -> None:
    with pytest.raises(BundleError, match="no model 'absent'"):
        models.promote(config, "absent", variant="", who="k", why="w", override=True)
    with pytest.raises(ConfigError, match="no recipe for 'absent'"):
        models.rollback(config, variant="absent", who="k", why="w")
    assert not (config.parent / "models" / "registry.json").exists()


def test_verify_and_diff_tell_by_their_exit_code(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models.verify(config, []) == 0
    assert models.diff(config, "tiny", "next") == 1
    assert "reject_at" in capsys.readouterr().out
    file = config.parent / "models" / "next" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    assert models.verify(config, []) == 1
    assert "WRONG next" in capsys.readouterr().out


def test_keygen_sign_export_import(config: Path, tmp_path: Path) -> None:
    bundle = config.parent / "models" / "next"
    models.keygen(tmp_path / "plant")
    models.sign(bundle, tmp_path / "plant.key")
    models.export(bundle, tmp_path / "next.zip")
    with pytest.raises(BundleError, match="exists already"):
        models.import_(config, tmp_path / "next.zip")
    other = write_settings(tmp_path / "other", 1)
    assert models.import_(other, tmp_path / "next.zip") == 0
