"""Preprocessing: what training and the line both rely on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.domain.model import InputSpec
from qc.domain.recipe import Polygon
from qc.inspection.masks import keep_mask
from qc.inspection.preprocess import NEUTRAL_BGR, prepare_pixels

SPEC = InputSpec(24, 40)
SIDES = st.integers(1, 70)
UNIT = st.floats(0, 1)
SPECS = st.builds(InputSpec, st.integers(1, 40), st.integers(1, 40), st.sampled_from(["area", "linear"]))
POLYGONS: st.SearchStrategy[Polygon] = st.lists(st.tuples(UNIT, UNIT), min_size=3, max_size=6).map(tuple)


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(SIDES, SIDES, SPECS, st.none() | POLYGONS, st.lists(POLYGONS, max_size=2).map(tuple))
@settings(max_examples=200, deadline=None)
def test_any_frame_and_recipe_give_a_full_tensor_and_a_view_inside_the_frame(height, width, spec, roi, ignore):
    pixels = noise(height, width)
    before = pixels.copy()
    tensor, (x, y, view_width, view_height) = prepare_pixels(pixels, spec, roi, ignore)
    assert tensor.shape == (1, spec.height, spec.width, 3)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous
    assert x >= 0
    assert y >= 0
    assert view_width > 0
    assert view_height > 0
    assert x + view_width <= 1 + 1e-12
    assert y + view_height <= 1 + 1e-12
    np.testing.assert_array_equal(pixels, before)
    assert not np.shares_memory(tensor, pixels)


@given(SIDES, SIDES, SPECS, st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=100, deadline=None)
def test_a_constant_stays_that_constant(height, width, spec, colour):
    tensor, _ = prepare_pixels(np.full((height, width, 3), colour, np.uint8), spec)
    assert (tensor == np.array(colour, np.uint8)).all()


@given(SIDES, SIDES, SPECS, POLYGONS, st.lists(POLYGONS, max_size=2).map(tuple))
@settings(max_examples=150, deadline=None)
def test_pixels_that_do_not_count_cannot_change_the_tensor(height, width, spec, roi, ignore):
    pixels, other = noise(height, width), noise(height, width, seed=1)
    tensor, view = prepare_pixels(pixels, spec, roi, ignore)
    x0, y0 = round(view[0] * width), round(view[1] * height)
    box_keep = keep_mask(roi, ignore, view, round(view[3] * height), round(view[2] * width))
    counts = np.zeros((height, width), bool)
    counts[y0 : y0 + round(view[3] * height), x0 : x0 + round(view[2] * width)] = True if box_keep is None else box_keep > 0
    other[counts] = pixels[counts]
    np.testing.assert_array_equal(prepare_pixels(other, spec, roi, ignore)[0], tensor)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 5), SPECS)
@settings(max_examples=100, deadline=None)
def test_a_rectangular_roi_equals_the_cropped_frame(height, width, top, left, spec):
    frame = noise(height + top + 3, width + left + 2)
    total_height, total_width = frame.shape[:2]
    roi = box(left / total_width, top / total_height, (left + width) / total_width, (top + height) / total_height)
    tensor, view = prepare_pixels(frame, spec, roi)
    np.testing.assert_array_equal(tensor, prepare_pixels(frame[top : top + height, left : left + width], spec)[0])
    assert view == pytest.approx((left / total_width, top / total_height, width / total_width, height / total_height))


def test_the_whole_frame_as_roi_changes_nothing():
    frame = noise(33, 57)
    np.testing.assert_array_equal(prepare_pixels(frame, SPEC, box(0, 0, 1, 1))[0], prepare_pixels(frame, SPEC)[0])


def test_a_roi_whose_corners_are_decimal_fractions_does_not_gain_a_row():
    # .1 + .2 = .30000000000000004 must still mean pixel 3 of 10.
    assert prepare_pixels(noise(10, 10), SPEC, box(0.1, 0.1 + 0.2, 0.7, 0.9))[1] == pytest.approx((0.1, 0.3, 0.6, 0.6))


def test_pixels_outside_the_polygon_and_inside_ignored_areas_are_neutral():
    spec = InputSpec(100, 100)
    triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    tensor, _ = prepare_pixels(np.full((100, 100, 3), 255, np.uint8), spec, triangle, (box(0.1, 0.1, 0.2, 0.2),))
    picture = tensor[0]
    assert tuple(picture[90, 90]) == NEUTRAL_BGR
    assert tuple(picture[15, 15]) == NEUTRAL_BGR
    assert tuple(picture[30, 30]) == (255, 255, 255)
    assert tuple(picture[9, 9]) == (255, 255, 255)
    assert (picture != 255).any(axis=2).mean() == pytest.approx(0.495 + 0.01, abs=0.01)


def test_area_interpolation_averages_and_linear_does_not():
    stripes = np.zeros((80, 80, 3), np.uint8)
    stripes[:, ::8] = 255
    area, _ = prepare_pixels(stripes, InputSpec(10, 10, "area"))
    linear, _ = prepare_pixels(stripes, InputSpec(10, 10, "linear"))
    assert (area == 32).all()
    assert (linear == 0).all()


def test_a_strided_frame_gives_the_same_tensor_as_its_copy():
    view = noise(60, 90)[::2, 10:70]
    np.testing.assert_array_equal(prepare_pixels(view, SPEC)[0], prepare_pixels(view.copy(), SPEC)[0])


def test_masks_are_computed_once_per_recipe_and_frame_size():
    roi = ((0.01, 0.02), (0.9, 0.03), (0.5, 0.97))
    first = keep_mask(roi, (), (0.0, 0.0, 1.0, 1.0), 64, 48)
    assert first is keep_mask(roi, (), (0.0, 0.0, 1.0, 1.0), 64, 48)
    assert first is not keep_mask(roi, (), (0.0, 0.0, 1.0, 1.0), 64, 49)
    assert first is not None
    assert not first.flags.writeable


@pytest.mark.parametrize(("first", "last"), [(0, 10), (10, 20), (25, 50), (99, 100)])
def test_a_box_along_cell_borders_covers_exactly_its_cells(first, last):
    area = box(first / 100, first / 100, last / 100, last / 100)
    inside = np.zeros((100, 100), bool)
    inside[first:last, first:last] = True
    kept = keep_mask(area, (), (0.0, 0.0, 1.0, 1.0), 100, 100)
    dropped = keep_mask(None, (area,), (0.0, 0.0, 1.0, 1.0), 100, 100)
    assert kept is not None
    assert dropped is not None
    np.testing.assert_array_equal(kept > 0, inside)
    np.testing.assert_array_equal(dropped == 0, inside)


def test_a_polygon_far_outside_the_view_is_clipped_not_wrapped():
    tiny_view = (0.5, 0.5, 1e-4, 1e-4)
    covering = keep_mask(box(0, 0, 1, 1), (), tiny_view, 8, 8)
    beside = keep_mask(None, (box(0, 0, 0.1, 0.1),), tiny_view, 8, 8)
    assert covering is None
    assert beside is None
