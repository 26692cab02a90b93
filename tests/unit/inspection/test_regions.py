"""Regions: what of the map a person is shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qc.domain.inspection import Inspection, Region
from qc.domain.recipe import Recipe
from qc.inspection.regions import MAX_REGIONS, find_regions

RECIPE = Recipe(variant="v", model_id="m", review_at=0.4, reject_at=0.6, map_threshold=0.5)
FULL = (0.0, 0.0, 1.0, 1.0)


def inspection(defect_map: np.ndarray, view: tuple[float, float, float, float] = FULL) -> Inspection:
    return Inspection(score=0.5, defect_map=np.asarray(defect_map, np.float32), model_id="m", view=view)


def two_spots() -> np.ndarray:
    spots = np.zeros((10, 20), np.float32)
    spots[1:3, 2:6] = 0.7
    spots[7, 15] = 0.95
    return spots


def test_two_spots_highest_peak_first():
    first, second = find_regions(inspection(two_spots()), RECIPE)
    assert first == Region(
        x=0.75, y=pytest.approx(0.7), width=0.05, height=0.1, area=pytest.approx(1 / 200), peak=pytest.approx(0.95)
    )
    assert second == Region(
        x=0.1, y=pytest.approx(0.1), width=pytest.approx(0.2), height=0.2, area=pytest.approx(8 / 200), peak=pytest.approx(0.7)
    )


def test_positions_are_relative_to_the_frame_not_the_view():
    (region,) = find_regions(inspection(np.ones((4, 4)), (0.5, 0.25, 0.2, 0.4)), RECIPE)
    assert (region.x, region.y, region.width, region.height) == pytest.approx((0.5, 0.25, 0.2, 0.4))
    assert region.area == pytest.approx(0.08)


def test_nothing_at_all_below_the_threshold_and_the_threshold_itself_counts():
    assert find_regions(inspection(np.full((4, 4), 0.49)), RECIPE) == ()
    assert len(find_regions(inspection(np.full((4, 4), 0.5)), RECIPE)) == 1


def test_ignored_areas_do_not_count():
    ignore = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    (only,) = find_regions(inspection(two_spots()), replace(RECIPE, ignore=(ignore,)))
    assert only.peak == pytest.approx(0.95)


def test_cells_outside_the_roi_polygon_do_not_count():
    triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    (only,) = find_regions(inspection(two_spots()), replace(RECIPE, roi=triangle))
    assert only.peak == pytest.approx(0.7)


def test_small_regions_are_dropped():
    (only,) = find_regions(inspection(two_spots()), replace(RECIPE, min_defect_area=2 / 200))
    assert only.peak == pytest.approx(0.7)


def test_diagonal_neighbours_are_one_region():
    assert len(find_regions(inspection(np.eye(6)), RECIPE)) == 1


def test_only_the_strongest_are_kept():
    board = np.zeros((40, 40), np.float32)
    board[::2, ::2] = np.linspace(0.5, 1.0, 400, dtype=np.float32).reshape(20, 20)
    regions = find_regions(inspection(board), RECIPE)
    assert len(regions) == MAX_REGIONS
    assert [region.peak for region in regions] == sorted((region.peak for region in regions), reverse=True)
    assert regions[0].peak == 1.0
    assert regions[-1].peak == pytest.approx(1.0 - 19 * 0.5 / 399, abs=1e-5)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats(0, 1, width=32)),
    st.floats(0.01, 1),
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.5), st.floats(0.01, 0.5)),
)
@settings(max_examples=200, deadline=None)
def test_regions_stay_inside_the_view_and_cover_what_is_over_the_threshold(defect_map, threshold, view):
    regions = find_regions(inspection(defect_map, view), replace(RECIPE, map_threshold=threshold))
    over = defect_map >= threshold
    assert (len(regions) > 0) == bool(over.any())
    for region in regions:
        assert view[0] - 1e-9 <= region.x
        assert view[1] - 1e-9 <= region.y
        assert region.x + region.width <= view[0] + view[2] + 1e-9
        assert region.y + region.height <= view[1] + view[3] + 1e-9
        assert 0 < region.area <= region.width * region.height * (1 + 1e-9)
        assert threshold <= region.peak + 1e-7
    if regions:
        assert regions[0].peak == defect_map.max()
    if len(regions) < MAX_REGIONS:
        assert sum(region.area for region in regions) == pytest.approx(over.mean() * view[2] * view[3])
