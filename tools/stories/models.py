"""What the engineer does with models: data sets from captures, training, the gate; by the same code and commands that a user has."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from qc.domain.model import ModelCard
from qc.inspection.bundle import load_card
from qc.release.report import GateReport
from qc.training.console import silent_progress
from qc.training.dataset import Dataset, read_dataset, write_manifest
from qc.training.pipeline import train
from qc.training.recipe import load_recipe
from stories.home import ROOT, Home
from stories.pictures import Capture


def write_set(folder: Path, captures: Sequence[tuple[str, Capture]], *, keep_groups: bool = False) -> None:
    """(part id, capture) -> pictures and manifest. keep_groups: as the pictures' own set names them; else each part is one."""
    folder.mkdir(parents=True)
    samples = []
    for part, capture in captures:
        image = folder.resolve() / f"{part}.png"
        cv2.imwrite(str(image), capture.pixels())
        group = capture.sample.group if keep_groups else part
        samples.append(replace(capture.sample, image=image, mask=None, boxes=(), group=group, split=""))
    write_manifest(Dataset(folder.resolve(), tuple(samples)), folder / "manifest.csv")


def train_model(home: Home, data: Path, name: str, *, recipe_file: Path, seed: int, cache: Path, parent: str = "") -> ModelCard:
    """``tools/train.py DATA --out models/NAME --recipe ... --seed ...``, or the bundle that the same data and recipe gave before."""
    recipe = load_recipe(recipe_file, seed=seed)
    dataset = read_dataset(data)
    key = hashlib.sha256(f"{dataset.content_hash()} {recipe!r} {name} {parent}".encode()).hexdigest()[:16]
    kept = cache / key / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        train(data, kept, recipe, silent_progress, parent=home.models / parent if parent else None, cache=cache / "features")
    if not (home.models / name).exists():
        shutil.copytree(kept, home.models / name)
    return load_card(home.models / name / "card.json")


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What one run of the gate said. needed: further (defects, good parts) by variant or environment ("" for any), where it asked for labels."""

    outcome: str
    report: GateReport
    text: str

    @property
    def needed(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for check in self.report.checks:
            if match := re.fullmatch(r"(\d+) (defects|good parts)", check.labels_needed):
                variant = check.slice.removeprefix("variant ").removeprefix("environment ")
                defects, good = found.get(variant, (0, 0))
                count = int(match[1])
                found[variant] = (max(defects, count), good) if match[2] == "defects" else (defects, max(good, count))
        return found

    @property
    def open_checks(self) -> list[str]:
        """Checks that did not pass, as sentences."""
        return [
            f"{c.outcome.value}: {c.name}{f', {c.slice}' if c.slice else ''}: {c.message}"
            for c in self.report.checks
            if c.outcome.value != "PASS"
        ]


def run_gate(home: Home, candidate: str, active: str, *, data: Path, training: Path, rules: Path) -> GateAnswer:
    """``tools/gate.py`` as a user runs it; the report is kept in the registry. rules: a ``gate.toml``."""
    command = [sys.executable, str(ROOT / "tools" / "gate.py"), str(home.models / candidate)]
    command += ["--against", str(home.models / active), "--data", str(data), "--training-data", str(training)]
    command += ["--recipes", str(home.recipes), "--registry", str(home.models), "--rules", str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2, 3):
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    newest = max((home.models / ".gates").glob(f"{candidate}--*.json"), key=lambda path: path.stat().st_mtime_ns)
    report = GateReport.model_validate(json.loads(newest.read_text("utf-8")))
    return GateAnswer(report.outcome.value, report, done.stdout)
