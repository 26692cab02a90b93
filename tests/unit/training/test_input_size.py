"""Input size follows the pictures and the defects."""

import doctest

import numpy as np
import pytest

from qc.training import input_size
from qc.training.dataset import Sample
from qc.training.features import Roi
from qc.training.input_size import choose_input

pytestmark = pytest.mark.train


def test_documented_examples_are_exact():
    assert doctest.testmod(input_size).failed == 0


def pair(folder, pictures, size):
    """A good part, and one with a scratch of about 10 x 10 pixels at an input of 224."""
    picture = pictures.part(1, size=size)
    mask = np.zeros(size, np.uint8)
    mask[10 : 10 + size[0] // 22, 10 : 10 + size[1] // 22] = 255
    return (
        Sample(pictures.save(folder / "g.png", picture), "good"),
        Sample(pictures.save(folder / "d.png", picture), "defect", "spot", pictures.save(folder / "m.png", mask)),
    )


def test_small_defects_ask_for_more_pixels_and_the_recipe_overrules(tmp_path, pictures):
    samples = pair(tmp_path, pictures, (400, 480))
    assert choose_input(samples, 0, Roi()).height == 448
    assert choose_input(samples[:1], 0, Roi()).height == 224
    assert choose_input(samples, 96, Roi()).height == 96


def test_pictures_without_the_pixels_are_not_enlarged(tmp_path, pictures):
    assert choose_input(pair(tmp_path, pictures, (200, 240)), 0, Roi()).height == 224


def test_only_the_region_of_interest_counts(tmp_path, pictures):
    strip = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.2), (0.0, 0.2))
    spec = choose_input(pair(tmp_path, pictures, (400, 480))[:1], 0, Roi(strip))
    assert spec.width > 2 * spec.height
