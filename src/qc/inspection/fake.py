"""An inspector without a model, for tests of everything around it: prepares as the real one does and scores by rule."""

import threading
from collections.abc import Iterable

import numpy as np

from qc.domain.errors import InspectionError
from qc.domain.frame import Pixels
from qc.domain.inspection import Inspection
from qc.domain.model import ModelCard
from qc.domain.ports import Prepared
from qc.domain.recipe import Recipe
from qc.inspection.preprocess import prepare_pixels
from qc.inspection.tiny import CELL, tiny_card


class FakeInspector:
    """Scores brightness exactly as ``tiny_model_bytes`` does: a part of constant grey g scores g / 255.

    script: what the next calls of inspect give instead, in order: a score, or an InspectionError to raise; then brightness again.
    """

    def __init__(self, card: ModelCard | None = None, script: Iterable[float | InspectionError] = ()) -> None:
        self.card = card or tiny_card("fake")
        self._script = iter(script)
        self._next = threading.Lock()

    def prepare(self, pixels: Pixels, recipe: Recipe) -> Prepared:
        tensor, view = prepare_pixels(pixels, self.card.input, recipe.roi, recipe.ignore)
        return Prepared(tensor, view, preprocess_ms=0.0)

    def inspect(self, prepared: Prepared) -> Inspection:
        size = self.card.input
        if prepared.tensor.shape != (1, size.height, size.width, 3):
            raise InspectionError(f"model {self.card.model_id} takes {size.height} x {size.width}, got {prepared.tensor.shape}")
        with self._next:
            scripted = next(self._script, None)
        if isinstance(scripted, InspectionError):
            raise scripted
        unit = prepared.tensor[0].astype(np.float32) / np.float32(255)
        cells = unit.reshape(size.height // CELL, CELL, size.width // CELL, CELL * 3).mean(axis=(1, 3), dtype=np.float32)
        return Inspection(
            score=float(cells.mean()) if scripted is None else scripted,
            defect_map=cells,
            model_id=self.card.model_id,
            view=prepared.view,
            embedding=unit.mean(axis=(0, 1), dtype=np.float32) if self.card.embedding_dim == 3 else None,
        )
