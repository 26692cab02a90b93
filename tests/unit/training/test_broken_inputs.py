"""Broken inputs through the two commands, as a person runs them: one clear sentence, exit code 1, and nothing half-written."""

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from qc.domain.errors import TrainingError
from qc.training.memory import out_of_memory_told

pytestmark = [pytest.mark.train, pytest.mark.timeout(300)]

TOOLS = Path(__file__).parents[3] / "tools"
QUICK = "side = 96\nfolds = 3\nquantise = false\nfinetune = false\nviews = 0\n"


def tool(name):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def command(tmp_path, capsys):
    """Runs train.py on a data set; returns (exit code, what it said, the folder in which bundles are made)."""
    (tmp_path / "quick.toml").write_text(QUICK, encoding="utf-8")

    def run(dataset):
        models = tmp_path / "models"
        code = tool("train")([str(dataset), "--out", str(models / "plate"), "--recipe", str(tmp_path / "quick.toml")])
        return code, capsys.readouterr().err, models

    return run


def folders(root, pictures, good, defects=0):
    for seed in range(good):
        pictures.save(root / f"good/g{seed}.png", pictures.part(seed))
    for seed in range(defects):
        pictures.save(root / f"defect/d{seed}.png", pictures.scratched(pictures.part(100 + seed), seed)[0])
    return root


def refused(result, *words):
    code, said, models = result
    assert code == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("train.py: ")
    assert "Traceback" not in said
    for word in words:
        assert word in last
    assert not (models / "plate").exists()


def test_an_empty_folder_a_missing_one_and_an_empty_manifest(command, on_disk, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(command(tmp_path / "empty"), "empty", "good/")
    refused(command(tmp_path / "absent"), "absent")
    refused(command(on_disk.done()), "manifest.csv")


def test_only_defects(command, pictures, tmp_path):
    refused(command(folders(tmp_path / "set", pictures, 0, 8)), "good")


def test_one_picture_with_two_labels(command, pictures, tmp_path):
    source = folders(tmp_path / "set", pictures, 12, 6)
    pictures.save(source / "defect/same.png", pictures.part(3))
    refused(command(source), "same.png")


def test_a_missing_picture(command, on_disk):
    for seed in range(8):
        on_disk.good(f"g{seed}", seed).unlink() if seed == 5 else on_disk.good(f"g{seed}", seed)
    refused(command(on_disk.done()), "g5.png")


def test_masks_of_another_size(command, on_disk, pictures):
    for seed in range(10):
        on_disk.good(f"g{seed}", seed)
    for seed in range(20, 26):
        on_disk.defect(f"d{seed}", seed)
    pictures.save(on_disk.root / "masks/scratch/d22.png", np.full((20, 20), 255, np.uint8))
    refused(command(on_disk.done()), "d22.png", "Masks")


def test_a_truncated_picture(command, pictures, tmp_path):
    source = folders(tmp_path / "set", pictures, 12)
    whole = (source / "good/g4.png").read_bytes()
    (source / "good/g4.png").write_bytes(whole[: len(whole) // 2])
    refused(command(source), "g4.png")


def test_an_unknown_recipe_key_a_wrong_name_and_a_place_that_cannot_be_written(command, pictures, tmp_path, capsys):
    source = folders(tmp_path / "set", pictures, 8)
    (tmp_path / "wrong.toml").write_text("sied = 96\n", encoding="utf-8")
    assert tool("train")([str(source), "--out", str(tmp_path / "m/a"), "--recipe", str(tmp_path / "wrong.toml")]) == 1
    assert "did you mean side" in capsys.readouterr().err
    assert tool("train")([str(source), "--out", str(tmp_path / "m/a+b")]) == 1
    assert "cannot be a model's name" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert tool("train")([str(source), "--out", str(tmp_path / "file/models/a")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_disk_that_fills_up_leaves_no_bundle(pictures, tmp_path):
    """The process may not write files above 300 kB: the feature maps of twelve pictures do not fit."""
    source = folders(tmp_path / "set", pictures, 12)
    (tmp_path / "quick.toml").write_text(QUICK, encoding="utf-8")
    command = [
        sys.executable,
        TOOLS / "train.py",
        source,
        "--out",
        tmp_path / "models/plate",
        "--recipe",
        tmp_path / "quick.toml",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 1, done.stderr[-2000:]
    assert "cannot be written" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "models/plate").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), Exception("std::bad_alloc")]
)
def test_running_out_of_memory_is_told_in_one_sentence(error):
    with pytest.raises(TrainingError, match="smaller side"), out_of_memory_told():
        raise error
    with pytest.raises(ZeroDivisionError), out_of_memory_told():
        raise ZeroDivisionError


def test_one_group_pixel_sized_and_twenty_megapixel_pictures_still_train(command, on_disk, capsys):
    """Odd, but not wrong: the card says so."""
    for seed in range(14):
        on_disk.good(f"g{seed}", seed, group="one run")
    for seed in range(20, 26):
        on_disk.defect(f"d{seed}", seed, masked=False, group="one run")
    big = cv2.resize(cv2.imread(str(on_disk.good("big", 90))), (5000, 4000))
    cv2.imwrite(str(on_disk.root / "images/good/big.png"), big)
    cv2.imwrite(str(on_disk.good("dot", 91)), np.full((1, 1, 3), 120, np.uint8))
    manifest = on_disk.done()
    code, said, models = command(manifest)
    assert code == 0, said
    assert (models / "plate/card.json").exists()
    card = (models / "plate/card.md").read_text(encoding="utf-8")
    assert "dot.png" in card
    assert "one group" in card
    judge = tool("evaluate")
    assert judge([str(models / "plate"), str(manifest), "--split", "all", "--json", str(models / "r.json")]) == 0
    assert judge([str(models / "plate"), str(models), "--split", "test"]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("evaluate.py: ")
