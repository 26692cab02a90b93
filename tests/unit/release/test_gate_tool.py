"""tools/gate.py as a person runs it: real bundles, a data set on disk, the report in the registry."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.release.registry import Registry
from qc.release.report import Check, Outcome
from qc.release.rules import GateRules
from qc.settings.gate import load_gate
from qc.training.dataset import read_dataset
from qc.training.gate_data import near_copies, trained_on

ROOT = Path(__file__).resolve().parents[3]


def write_set(folder: Path, parts: int, seed: int) -> Path:
    """Dark good parts and bright defects, each with a texture of its own."""
    rng = np.random.default_rng(seed)
    for number in range(parts):
        kind, level = ("good", 60) if number % 2 else ("defect", 190)
        coarse = rng.integers(-40, 40, (6, 6, 3)).astype(np.float32)
        pixels = np.clip(level + cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / kind / f"{seed}-{number}.png"), pixels)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for model_id in ("old", "new"):
        card = replace(tiny_card(model_id), variants=("cell",))
        seal_bundle(
            tmp_path / "models" / model_id,
            tiny_model_bytes(48, 48),
            replace(card, input=replace(card.input, height=48, width=48)),
        )
    return tmp_path / "models"


def run(models: Path, *more: str) -> tuple[int, list[Check]]:
    rules = models.parent / "gate.toml"
    rules.write_text("latency_ratio = 1000\nrobustness_margin = 0.2\nrobustness_parts = 60\n")
    command = [sys.executable, str(ROOT / "tools" / "gate.py"), str(models / "new"), "--against", str(models / "old")]
    done = subprocess.run(
        [*command, "--rules", str(rules), "--registry", str(models), *more], capture_output=True, text=True, check=False
    )
    reports = Registry(models).reports("new")
    assert reports, done.stderr
    return done.returncode, list(reports[-1].checks)


def test_a_candidate_goes_through_the_gate_and_may_then_be_promoted(models: Path, tmp_path: Path) -> None:
    data, training = write_set(tmp_path / "data", 260, 1), write_set(tmp_path / "train", 60, 2)
    code, checks = run(models, "--data", str(data), "--training-data", str(training))
    assert code == 0, [check for check in checks if check.outcome is not Outcome.PASS]
    assert {check.name for check in checks} >= {
        "signature", "numeric parity", "size", "data checks", "leakage", "detection rate", "false-positive rate", "latency", "robustness",
    }  # fmt: skip
    registry = Registry(models)
    assert registry.passed_report(registry.slot("new"), registry.slot("old"), "cell") is not None


def test_without_its_training_data_nothing_is_shown(models: Path, tmp_path: Path) -> None:
    code, checks = run(models, "--data", str(write_set(tmp_path / "data", 260, 1)))
    assert code == 3
    assert [check.name for check in checks if check.outcome is not Outcome.PASS] == ["data checks"]


def test_near_copies_of_training_pictures_are_a_leak(tmp_path: Path) -> None:
    training = write_set(tmp_path / "train", 80, 1)
    data = write_set(tmp_path / "data", 40, 2)
    for number in range(0, 20, 2):
        pixels = cv2.imread(str(training / "defect" / f"1-{number}.png"))
        assert pixels is not None
        cv2.imwrite(str(data / "defect" / f"again-{number}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    sets = [read_dataset(training)]
    found = near_copies(sets, read_dataset(data), trained_on(sets))
    assert found is not None
    assert found >= 8
    honest = write_set(tmp_path / "honest", 40, 3)
    assert near_copies(sets, read_dataset(honest), trained_on(sets)) == 0
    assert near_copies([], read_dataset(data), None) is None


def test_wrong_calls_end_in_a_sentence(models: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", 20, 1)
    for arguments, words in (
        (("new", "--against", "new", "--data", str(data)), "is the active model itself"),
        (
            ("new", "--against", "old", "--data", str(data), "--split", "test"),
            "no labelled part in split 'test'; its splits: none",
        ),
        (("new", "--against", "old", "--data", str(data), "--registry", str(tmp_path / "absent")), "no such folder"),
    ):
        paths = [str(models / word) if word in ("new", "old") else word for word in arguments]
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "gate.py"), *paths], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gate.py"), str(models / "new"), "--against", str(models / "old"), "--data", str(data), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert json.loads(done.stdout)["candidate"]["model"] == "new"  # nothing else on standard output


def test_the_shipped_rules_are_the_defaults() -> None:
    assert load_gate(ROOT / "configs" / "gate.toml") == GateRules()
