"""Heat maps for people."""

import numpy as np
import pytest

from qc.domain.errors import BadImage
from qc.domain.inspection import Region
from qc.inspection.heatmap import MAX_ENCODED_SIDE, decode_map, encode_map, render_overlay


def test_a_map_survives_the_png():
    defect_map = np.random.default_rng(0).random((28, 31), dtype=np.float32)
    png = encode_map(defect_map)
    assert png.startswith(b"\x89PNG")
    assert decode_map(png) == pytest.approx(defect_map, abs=0.5 / 255 + 1e-6)


def test_a_large_map_is_reduced_without_losing_a_single_hot_cell():
    defect_map = np.zeros((500, 301), np.float32)
    defect_map[499, 300] = 1.0
    small = decode_map(encode_map(defect_map))
    assert max(small.shape) <= MAX_ENCODED_SIDE
    assert small[-1, -1] == 1.0
    assert small.sum() == 1.0
    assert len(encode_map(defect_map)) < 5000


@pytest.mark.parametrize("content", [b"", b"not a picture", encode_map(np.ones((9, 9), np.float32))[:20]])
def test_a_damaged_png_is_a_bad_image(content):
    with pytest.raises(BadImage, match="heat map"):
        decode_map(content)


def test_the_overlay_colours_only_the_view_and_leaves_unsuspicious_areas_alone():
    frame = np.full((100, 200, 3), 128, np.uint8)
    hot = np.zeros((10, 10), np.float32)
    hot[:, 5:] = 1.0
    picture = render_overlay(frame, hot, (0.5, 0.0, 0.5, 1.0))
    assert picture.shape == frame.shape
    assert picture.dtype == np.uint8
    assert (frame == 128).all()
    np.testing.assert_array_equal(picture[:, :140], frame[:, :140])
    blue, green, red = (int(value) for value in picture[50, 190])
    assert blue < 128 < min(green, red)  # cividis ends in yellow


def test_boxes_are_drawn_around_regions():
    frame = np.full((100, 200, 3), 128, np.uint8)
    region = Region(x=0.25, y=0.2, width=0.5, height=0.6, area=0.1, peak=0.9)
    picture = render_overlay(frame, np.zeros((4, 4), np.float32), (0.0, 0.0, 1.0, 1.0), [region])
    assert tuple(picture[20, 100]) == (255, 255, 255)
    assert tuple(picture[79, 100]) == (255, 255, 255)
    assert tuple(picture[50, 100]) == (128, 128, 128)


def test_a_one_pixel_frame_can_be_rendered():
    assert render_overlay(np.zeros((1, 1, 3), np.uint8), np.ones((7, 7), np.float32), (0.0, 0.0, 1.0, 1.0)).shape == (1, 1, 3)
