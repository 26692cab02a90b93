"""A finer input is taken where it pays, and only where it is asked for; features are computed once for the same pixels."""

import numpy as np
import pytest
import torch

from qc.domain.model import InputSpec
from qc.training.backbone import load_backbone
from qc.training.console import silent_progress
from qc.training.dataset import read_dataset
from qc.training.feature_cache import FeatureCache
from qc.training.features import Roi, extract_features
from qc.training.rendered import write_product
from qc.training.resolution import finer_input
from qc.training.splits import part_groups

pytestmark = pytest.mark.train
BASE = InputSpec(height=224, width=224)


@pytest.fixture(scope="module")
def backbone():
    torch.set_num_threads(1)
    return load_backbone()


def tried(source, backbone, work, progress=silent_progress):
    dataset = read_dataset(source)
    groups = part_groups(dataset)
    return finer_input(dataset, groups, BASE, roi=Roi(), backbone=backbone, cache=None, work=work, seed=0, progress=progress)


def test_small_faint_defects_get_the_finer_input_or_the_card_says_why_not(backbone, tmp_path):
    stages = []
    source = write_product(tmp_path / "set", "casting", 14, 10, seed=3)
    spec, told = tried(source, backbone, tmp_path, lambda stage, _done, _total: stages.append(stage))
    assert set(stages) == {"trial at 224 x 224", "trial at 448 x 448"}
    assert "448 x 448" in told
    assert spec.height in {224, 448}


@pytest.mark.parametrize("masks", [False, True], ids=["few defects", "masks"])
def test_nothing_is_tried_without_enough_defects_or_with_masks(backbone, tmp_path, masks):
    source = write_product(tmp_path / "set", "casting", 6, 10 if masks else 3, seed=3, masks=masks)
    assert tried(source, backbone, tmp_path) == (BASE, "")


def test_cached_features_are_those_that_were_computed(backbone, tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(5)]
    cache = FeatureCache(tmp_path / "cache", backbone)

    def run(name, pictures):
        (tmp_path / name).mkdir()
        return extract_features(
            backbone, len(pictures), pictures.__getitem__, folder=tmp_path / name, progress=silent_progress, cache=cache
        )

    first = run("a", images)
    kept = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(kept) == 5
    kept[0].write_bytes(b"cut off")
    again = run("b", images[::-1])
    for a, b in zip(first.maps, again.maps, strict=True):
        np.testing.assert_allclose(a, b[::-1], atol=2e-3)
    np.testing.assert_allclose(first.pooled, again.pooled[::-1], atol=1e-4)
