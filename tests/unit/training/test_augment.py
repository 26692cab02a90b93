"""Other light and synthetic defects: seeded, of the same shape, and visible."""

import numpy as np
import pytest

from qc.training.augment import other_light
from qc.training.synthetic import with_defect

pytestmark = pytest.mark.train


@pytest.mark.parametrize("change", [other_light, with_defect])
def test_the_same_seed_gives_the_same_picture_and_another_gives_another(change, pictures):
    picture = pictures.part(1)
    first = change(picture, 3)
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, change(picture, 3))
    assert (first != change(picture, 4)).any()


def test_other_light_changes_brightness_and_keeps_the_part(pictures):
    picture = pictures.part(1)
    views = [other_light(picture, seed) for seed in range(12)]
    assert np.std([view.mean() for view in views]) > 3
    correlations = [np.corrcoef(picture[..., 1].ravel(), view[..., 1].ravel())[0, 1] for view in views]
    assert min(correlations) > 0.8


def test_a_synthetic_defect_is_local(pictures):
    picture = pictures.part(1)
    shares = [(with_defect(picture, seed) != picture).any(2).mean() for seed in range(30)]
    assert max(shares) < 0.06
    assert np.median(shares) > 0.002


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (64, 64)])
def test_any_size_is_taken(size):
    picture = np.full((*size, 3), 99, np.uint8)
    assert with_defect(picture, 0).shape == picture.shape
