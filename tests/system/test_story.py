"""A short story from end to end: real cells, training, gate, shadow, canary and promotion over a real broker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qc.release.index import Index

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("line"), pytest.mark.timeout(1300)]

SCENARIO = """
title = "Solar cells, in short"
variant = "cells"
data = "elpv"
known = ["solar-mono"]
arrivals = [["solar-poly"]]
expected_cause = "new_appearance"
training = "train.toml"
takes = 1
labels = 10
golden_defects = 12
golden_good = 20

[pools.known]
train = 0.08
before = 0.05
gate = 0.05
after = 0.05

[pools.new]
before = 0.05
gate = 0.03
after = 0.03

[length]
shift_parts = 40
healthy = 2
answer = 1
stretch = 1
shadow = 1
canary = 1
after = 1
"""


def test_a_short_story_ends_with_a_promoted_model_and_both_sides_of_every_rate(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(SCENARIO, "utf-8")
    (tmp_path / "train.toml").write_text("side = 224\ncells = false\nfinetune = false\nquantise = false\nviews = 0\n", "utf-8")
    (tmp_path / "gate.toml").write_text("robustness_parts = 4\nlatency_runs = 10\n", "utf-8")
    command = [sys.executable, "tools/story.py", "--scenario", str(tmp_path / "short.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1250)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "out" / "short-0.json").read_text("utf-8"))
    (only,) = told["rounds"]
    assert only["alarm"]["quantity"]
    assert only["gate"][0]["parts"] >= 32
    assert only["shadow"]["judged"] > 0
    assert only["canary"]["parts"] > 0
    assert (told["labels_refused"], told["requests_not_heard"], told["not_judged"]) == ([], 0, 0)
    for period in only["periods"].values():
        assert 0 <= period["truth"]["false_positive_rate"] <= 1
        assert period["estimated"]["false_positive_rate"][1] <= period["estimated"]["false_positive_rate"][2]
    index = Index.model_validate_json((tmp_path / "out" / "short-0" / "models" / "registry.json").read_bytes())
    assert index.recipes["cells"].active.model.startswith("short-2")
    last = [step for step in index.history if step.action == "promote"][-1]
    assert last.override is (only["gate"][-1]["outcome"] != "PASS")
    assert (tmp_path / "out" / "short-0" / "report-1.html").is_file()
    assert "| detection rate, truth |" in done.stdout
