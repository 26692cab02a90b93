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


@pytest.mark.parametrize(("defects", "kind"), [(10, "known defects"), (0, "pasted on good pictures")])
def test_sizes_are_tried_on_defects_or_on_pasted_ones(backbone, tmp_path, defects, kind):
    stages = []
    source = write_product(tmp_path / "set", "casting", 14, defects, seed=3)
    spec, told = tried(source, backbone, tmp_path, lambda stage, _done, _total: stages.append(stage))
    assert set(stages) == {"trial at 224 x 224", "trial at 320 x 320"}  # the pictures have 384 pixels
    assert kind in told
    assert f"{spec.height} x {spec.width} is used" in told


def test_small_scratches_in_a_fabric_ask_for_a_finer_input(backbone, tmp_path):
    spec, _ = tried(write_product(tmp_path / "set", "fabric", 24, 16, seed=3), backbone, tmp_path)
    assert spec.height > 224


@pytest.mark.parametrize(("good", "masks"), [(6, False), (14, True)], ids=["too few good pictures", "masks"])
def test_nothing_is_tried_where_it_could_not_tell_or_masks_have_told(backbone, tmp_path, good, masks):
    source = write_product(tmp_path / "set", "casting", good, 3, seed=3, masks=masks)
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
