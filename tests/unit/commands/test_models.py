"""``qc models`` on a registry on disk."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.system.edge_process import write_settings

from qc.commands import models
from qc.domain.errors import BundleError, ConfigError, ReleaseError
from qc.domain.truth import Label, Purpose, SampleTicket, Truth
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.record.database import Database
from qc.record.shadow_store import CELLS, ShadowPart, ShadowStore
from qc.record.truth_store import SqliteTruthStore
from qc.release.shadow import run_name

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


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
    assert "cell: promote next for tiny by kim via cli: trial, gate OVERRIDDEN" in told
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


def test_shadow_and_canary_from_the_terminal(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models.shadow(config, "next", variant="", who="kim", share=0.5)
    models.canary(config, "next", variant="other", who="kim", why="gate passed", share=None, minutes=30)
    assert listed(config, capsys) == {"next": ["shadow: cell", "canary: other"], "tiny": ["active: cell", "active: other"]}
    index = models.open_registry(config)[0].index()
    canary = index.recipes["other"].canary
    assert canary is not None
    assert (canary.share, canary.until is not None) == (1.0, True)
    models.shadow(config, "", variant="", who="kim", share=1.0)
    assert "no shadow any more" in capsys.readouterr().out
    with pytest.raises(ReleaseError, match="no model runs in the shadow"):
        models.shadow(config, "", variant="", who="kim", share=1.0)
    with pytest.raises(ReleaseError, match="active already"):
        models.promote(config, "tiny", variant="other", who="kim", why="w", override=True)
    models.rollback(config, variant="other", who="kim", why="enough seen")
    models.show(config, "next", as_json=False)
    assert "other: rollback tiny for next by kim via cli: enough seen" in capsys.readouterr().out  # who lost the decision, too
    models.history(config, variant="cell", as_json=False)
    steps = capsys.readouterr().out.splitlines()
    assert [step.split(": ")[1].split()[0] for step in steps] == ["register", "shadow", "shadow-stop"]


def test_what_the_shadow_has_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from qc.commands.shadow_results import compare

    with pytest.raises(ConfigError, match="not recorded anything"):
        compare(config, model="", disagreements=2, as_json=False)
    database = Database(config.parent / "var" / "qc.sqlite3")
    assert compare(config, model="", disagreements=2, as_json=False) == 1
    run = run_name("cell", "ab" * 32, models.open_registry(config)[0].slot("next"))
    truth = SqliteTruthStore(database)
    for number in range(40):
        cell, event = CELLS[2] if number % 4 == 0 else CELLS[number % 2], f"e{number}"
        drawn = ticket_of(event, cell, f"shadow/{run}")
        ShadowStore(database).add(run, ShadowPart(event, cell, 0.7, 0.2, AT), drawn)
        defective = cell != CELLS[0]
        kind = "spot" if defective else ""
        truth.add(Label(f"l{number}", drawn.ticket_id, Truth.DEFECT if defective else Truth.GOOD, kind, "ann", AT))
    capsys.readouterr()
    assert compare(config, model="", disagreements=2, as_json=False) == 0
    told = capsys.readouterr().out
    assert "40 parts; both accept 10, both reject 20; 10 differ: only the active one rejects 10, only the candidate 0" in told
    assert "detection rate: -33.3%" in told
    assert told.count("only_active_rejects  0.7  0.2") == 2
    assert compare(config, model="next", disagreements=2, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["parts"]["only_active_rejects"] == 10
    assert compare(config, model="absent", disagreements=2, as_json=False) == 1


def ticket_of(event: str, stratum: str, policy: str) -> SampleTicket:
    later = AT + timedelta(hours=8)
    return SampleTicket(f"t-{event}", event, event, "w", stratum, 1.0, policy, Purpose.TRAINING, AT, later)
