"""The two commands as a person runs them, on generated parts: from a folder to a bundle and its evaluation; and what goes wrong."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qc.domain.errors import BundleError, DatasetError, TrainingError
from qc.inspection.session import load_inspector
from qc.training.console import silent_progress
from qc.training.judging import evaluate_bundle
from qc.training.pipeline import train
from qc.training.recipe import TrainingRecipe

pytestmark = [pytest.mark.train, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
RECIPE = TrainingRecipe(side=96, folds=3, quantise=False, finetune=False)


def make_set(root, pictures, *, good=28, defects=0):
    for seed in range(good):
        pictures.save(root / f"good/g{seed:02}.png", pictures.part(seed))
    for seed in range(100, 100 + defects):
        pictures.save(root / f"defect/d{seed}.png", pictures.scratched(pictures.part(seed), seed)[0])
    return root


@pytest.fixture(scope="module")
def shared_pictures():
    """The conftest's picture functions for module-scoped fixtures."""
    spec = importlib.util.spec_from_file_location("training_conftest", Path(__file__).with_name("conftest.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, shared_pictures):
    """(data set, bundle, card) of a plain good/ + defect/ folder with no splits, masks or groups."""
    folder = tmp_path_factory.mktemp("labelled")
    source = make_set(folder / "set", shared_pictures, good=32, defects=12)
    return source, folder / "models/plate-1", train(source, folder / "models/plate-1", RECIPE, silent_progress)


def test_a_plain_folder_becomes_a_bundle_that_the_line_loads(labelled):
    _, bundle, card = labelled
    assert load_inspector(bundle).card == card
    assert sorted(p.name for p in bundle.iterdir()) == ["card.json", "card.md", "model.onnx", "split.json"]
    assert not list(bundle.parent.glob(".*"))


def test_the_card_says_how_good_it_is_and_how_it_came_about(labelled):
    card = labelled[2]
    assert card.rates["held_out"]["auroc"] > 0.9
    assert set(card.rates["promised"]) >= {"false_positive_rate", "detection_rate", "rationale", "out_of_fold_auroc"}
    assert set(card.training["branches"]["out_of_fold_auroc"]) >= {"patch", "mahalanobis", "logistic"}
    assert card.training["parity"]["max_score_difference"] <= 1e-4
    assert card.training["parity"]["images"] >= 40
    assert card.training["int8"]["used"] is False
    assert card.data["licence"] == "not stated"
    assert 0 < card.review_at <= card.reject_at < 1


def test_evaluation_judges_the_pictures_that_were_held_out(labelled, tmp_path):
    source, bundle, card = labelled
    page = tmp_path / "report.html"
    report = evaluate_bundle(bundle, source, "test", variants=(), html=page, progress=silent_progress)
    assert report["n"] == card.rates["held_out"]["n"]
    assert report["auroc"] == pytest.approx(card.rates["held_out"]["auroc"])
    assert set(report["detection_rate"]) == {"estimate", "low", "high", "n"}
    assert {"average_precision", "threshold", "dr_at_fpr_8", "fpr_at_dr_94", "latency_ms", "slices"} <= set(report)
    assert "held out" in report["notes"][0]
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 3
    assert "http" not in html


def test_evaluation_on_training_pictures_says_so(labelled):
    source, bundle, _ = labelled
    report = evaluate_bundle(bundle, source, "all", variants=(), html=None, progress=silent_progress)
    assert any("were used in training" in note for note in report["notes"])


def test_a_bundle_is_never_overwritten(labelled):
    source, bundle, _ = labelled
    with pytest.raises(TrainingError, match="immutable"):
        train(source, bundle, RECIPE, silent_progress)


def test_judging_without_a_bundle_or_with_a_wrong_split_is_an_error(labelled, tmp_path):
    source, bundle, _ = labelled
    with pytest.raises(BundleError):
        evaluate_bundle(tmp_path / "none", source, "test", variants=(), html=None, progress=silent_progress)
    with pytest.raises(DatasetError, match="must be one of"):
        evaluate_bundle(bundle, source, "tst", variants=(), html=None, progress=silent_progress)


def test_good_pictures_alone_are_enough(tmp_path, pictures):
    source = make_set(tmp_path / "set", pictures, good=24)
    card = train(source, tmp_path / "plate-good", RECIPE, silent_progress)
    assert card.training["branches"]["chosen"] == "good-only"
    assert any("no defects were available" in limit for limit in card.limits)
    assert any("few images" in limit for limit in card.limits)
    inspector = load_inspector(tmp_path / "plate-good")
    judged = evaluate_bundle(
        tmp_path / "plate-good",
        make_set(tmp_path / "new", pictures, good=0, defects=6),
        "test",
        variants=(),
        html=None,
        progress=silent_progress,
    )
    assert judged["detection_rate"]["estimate"] >= 0.8
    assert inspector.card.rates["promised"]["detection_rate"]["estimate"] is None


def test_a_parent_whose_variant_is_missing_is_not_forgotten(labelled, tmp_path, pictures):
    _, bundle, card = labelled
    (tmp_path / "parent").mkdir()
    text = json.loads((bundle / "card.json").read_text(encoding="utf-8")) | {"variants": ["old-plate"]}
    (tmp_path / "parent/card.json").write_text(json.dumps(text), encoding="utf-8")
    source = make_set(tmp_path / "set", pictures, good=12)
    with pytest.raises(DatasetError, match="old-plate"):
        train(source, tmp_path / "new", RECIPE, silent_progress, parent=tmp_path / "parent")
    assert card.parent is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root, _: root.mkdir(), "good"),
        (lambda root, p: make_set(root, p, good=0, defects=8), "good"),
        (lambda root, p: make_set(root, p, good=3), "good"),
        (
            lambda root, _: (root / "good").mkdir(parents=True) or (root / "good/a.png").write_bytes(b"no picture"),
            "a.png|decoded|good",
        ),
    ],
    ids=["empty", "one class", "three pictures", "undecodable"],
)
def test_broken_sets_end_in_a_message_and_no_bundle(tmp_path, pictures, build, message):
    build(tmp_path / "set", pictures)
    with pytest.raises((DatasetError, TrainingError), match=message):
        train(tmp_path / "set", tmp_path / "models/broken", RECIPE, silent_progress)
    assert not (tmp_path / "models/broken").exists()


def test_missing_files_conflicting_labels_and_wrong_masks_stop_before_training(on_disk, tmp_path):
    for seed in range(8):
        on_disk.good(f"g{seed}", seed)
    on_disk.defect("d", 50)
    on_disk.rows.append("images/good/absent.png,good,,,a,,,,")
    with pytest.raises(DatasetError, match="absent"):
        train(on_disk.done(), tmp_path / "broken", RECIPE, silent_progress)
    assert not (tmp_path / "broken").exists()


def test_tiny_and_huge_pictures_are_prepared_like_any_other(tmp_path, pictures):
    from qc.domain.model import InputSpec
    from qc.training.features import Roi, load_tensor
    from qc.training.samples import Sample

    spec = InputSpec(height=96, width=128)
    for size in ((1, 1), (4000, 5000)):
        path = pictures.save(tmp_path / "p.png", np.full((*size, 3), 90, np.uint8))
        assert load_tensor(Sample(path, "good"), spec, Roi()).shape == (96, 128, 3)


def test_two_processes_train_the_same_model_together(tmp_path):
    """torchrun starts two CPU processes; both end with the same weights, close to those of one process."""
    script = tmp_path / "course.py"
    script.write_text(TWO_PROCESSES, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script, "alone"], timeout=200, cwd=tmp_path, env=environment, check=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, "of two"]
    together = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=tmp_path, env=environment, check=False)
    assert together.returncode == 0, together.stderr[-2000:]
    alone, first, second = (float((tmp_path / name).read_text()) for name in ("alone 0", "of two 0", "of two 1"))
    assert first == second
    assert first == pytest.approx(alone, rel=0.05)


TWO_PROCESSES = """
import sys
import numpy as np, torch
from qc.training import distributed
from qc.training.branches import Material
from qc.training.cell_branch import cell_loss, new_cells
from qc.training.course import Lesson, Plan, take_course
from qc.training.features import FeatureStore

distributed.start()
rng = np.random.default_rng(0)
maps = [rng.normal(size=(24, c, s, s)).astype(np.float16) for c, s in ((8, 8), (16, 4), (16, 2))]
store = FeatureStore(maps, rng.normal(size=(24, 120)).astype(np.float32))
material = Material(store, np.arange(24) % 2, np.ones(24), (8, 16, 16))
course = take_course(Lesson("cells", new_cells, cell_loss), material, np.arange(24), Plan(2, True, 0))
total = sum(float(p.detach().abs().sum()) for p in course.branch.parameters())
open(f"{sys.argv[1]} {distributed.rank()}", "w").write(str(total))
distributed.stop()
"""
