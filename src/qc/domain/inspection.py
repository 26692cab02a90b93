"""What the model says about one part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """One connected area of the defect map above the recipe's map threshold, outside the ignored areas.

    x, y, width, height: bounding box relative to the whole frame, in [0, 1], origin top left.
    area: share of the frame's area in [0, 1]. peak: highest map value inside, in [0, 1].
    """

    x: float
    y: float
    width: float
    height: float
    area: float
    peak: float


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Milliseconds per stage of one part; total runs from the trigger to the verdict."""

    queued_ms: float = 0.0
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """Output of the model for one part.

    score: calibrated, in [0, 1], higher is more defective. defect_map: (h, w) float32 in [0, 1] over the
    model's view of the part (the recipe's ROI bounding box). embedding: (d,) float32 or None when the
    model exports none. view: the ROI bounding box (x, y, width, height) relative to the frame, in [0, 1].
    """

    score: float
    defect_map: NDArray[np.float32]
    model_id: str
    view: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    embedding: NDArray[np.float32] | None = None
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
