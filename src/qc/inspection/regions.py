"""From the defect map to the areas that a report and an operator can point at."""

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.inspection import Inspection, Region
from qc.domain.recipe import Recipe
from qc.inspection.masks import keep_mask

MAX_REGIONS = 20
"""More than an operator looks at; it also bounds the record and the MQTT message when a model sees defects everywhere."""


def find_regions(inspection: Inspection, recipe: Recipe) -> tuple[Region, ...]:
    """Connected areas (8 neighbours) of map values >= recipe.map_threshold, highest peak first, at most MAX_REGIONS.

    Cells that an ignored area touches and cells wholly outside the ROI never count. Regions smaller than
    recipe.min_defect_area are dropped. Boxes and areas are relative to the whole frame, in steps of one map cell.
    """
    defect_map = inspection.defect_map
    threshold = np.float32(recipe.map_threshold)  # the map's own precision, so that "equal" means the same everywhere
    if defect_map.max() < threshold:
        return ()
    height, width = defect_map.shape
    over = (defect_map >= threshold).astype(np.uint8)
    keep = keep_mask(recipe.roi, recipe.ignore, inspection.view, height, width)
    if keep is not None:
        over &= keep
    count, labels, stats, _ = cv2.connectedComponentsWithStats(over, connectivity=8)
    peaks = _peaks(np.asarray(labels, np.int32), defect_map, count)
    x, y, view_width, view_height = inspection.view
    cell_width, cell_height = view_width / width, view_height / height
    regions = [
        Region(
            x=x + int(left) * cell_width,
            y=y + int(top) * cell_height,
            width=int(columns) * cell_width,
            height=int(rows) * cell_height,
            area=int(cells) * cell_width * cell_height,
            peak=float(peak),
        )
        for (left, top, columns, rows, cells), peak in zip(stats[1:], peaks[1:], strict=True)
    ]
    large = [region for region in regions if region.area >= recipe.min_defect_area]
    return tuple(sorted(large, key=lambda region: (-region.peak, -region.area, region.y, region.x))[:MAX_REGIONS])


def _peaks(labels: NDArray[np.int32], defect_map: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Highest map value of every label, (count,)."""
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels.ravel(), defect_map.ravel())
    return np.minimum(peaks, np.float32(1.0))
