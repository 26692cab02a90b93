"""What the real model says about real cells: every held-out cell once per condition, through the real preprocessing and session.

Conditions are applied to the pixels of the elpv cells that the bundled model was not trained on (Deitsch et al. 2019,
CC BY-NC-SA 4.0); nothing is simulated behind the camera. Truth: defect probability above 0.5 in the data set.
"""

import csv
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import ConfigError
from qc.domain.frame import ImageQuality, Pixels
from qc.domain.inspection import Inspection
from qc.domain.recipe import Recipe
from qc.ingest.health import FrameHealth
from qc.inspection.session import OnnxInspector, Runtime, load_inspector

LEVELS = (-2, -1, 0, 1, 2)
"""Lots differ in exposure: steps of one percent."""
LEVEL_SHARES = (0.1, 0.2, 0.4, 0.2, 0.1)
POLY_CELLS = 250


def _scaled(pixels: Pixels, factor: "float | NDArray[np.float64]") -> Pixels:
    return np.clip(pixels * factor, 0, 255).round().astype(np.uint8)


def _gamma(pixels: Pixels) -> Pixels:
    table = (255 * (np.arange(256) / 255) ** 1.3).round().astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)


def _gradient(pixels: Pixels) -> Pixels:
    return _scaled(pixels, np.linspace(0.65, 1.0, pixels.shape[1])[None, :, None])


def _blur(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.2), np.uint8)


def _dirt(pixels: Pixels) -> Pixels:
    """A speck on the lens: out of focus, always at the same place, a fifteenth of the width."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - 0.63 * width, y - 0.42 * height)
    shade = 1 - 0.8 / (1 + np.exp((distance - width / 15) / (width / 100)))
    return _scaled(pixels, shade[..., None])


CONDITIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as it was": lambda pixels: pixels,
    "20 % less light": lambda pixels: _scaled(pixels, 0.8),
    "gamma 1.3": _gamma,
    "light falls off to one side": _gradient,
    "out of focus": _blur,
    "dirt on the lens": _dirt,
}
PLAIN = "as it was"


def levels_of(condition: str) -> tuple[int, ...]:
    """Exposure steps in which a condition was measured: each costs a pass of the model over all cells."""
    return LEVELS if condition == PLAIN else (-1, 0, 1)


@dataclass(frozen=True)
class Bank:
    """Inspections and picture quality by (condition, level), one per cell; mono cells first.

    defective, poly: (cells,) bool. paths: of the pictures.
    """

    paths: tuple[Path, ...]
    defective: NDArray[np.bool_]
    poly: NDArray[np.bool_]
    inspections: Mapping[tuple[str, int], list[Inspection]]
    quality: Mapping[tuple[str, int], list[ImageQuality]]

    def scores(self, condition: str = PLAIN, level: int = 0) -> NDArray[np.float64]:
        return np.array([inspection.score for inspection in self.inspections[condition, level]])

    def pixels(self, cell: int, condition: str = PLAIN, level: int = 0) -> Pixels:
        """As the camera would see the cell."""
        picture = np.asarray(cv2.imread(str(self.paths[cell]), cv2.IMREAD_COLOR), np.uint8)
        return _scaled(CONDITIONS[condition](picture), 1 + 0.01 * level) if level else CONDITIONS[condition](picture)


def held_out(model_directory: Path) -> tuple[tuple[Path, ...], NDArray[np.bool_], NDArray[np.bool_]]:
    """(paths, defective, poly) of the cells that the model was not trained on; a seeded choice of the many poly cells."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise ConfigError("this benchmark needs the demo extra: pip install 'qc-edge[demo]'")
    data = Path(spec.origin).parent / "data"
    trained = set(json.loads((model_directory / "split.json").read_text("utf-8"))["training"])
    with (data / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter=" ", skipinitialspace=True) if row[0] not in trained]
    mono = [row for row in rows if row[2] == "mono"]
    poly = [row for row in rows if row[2] == "poly"]
    chosen = np.random.default_rng(0).permutation(len(poly))[:POLY_CELLS]
    rows = mono + [poly[int(i)] for i in chosen]
    defective = np.array([float(row[1]) > 0.5 for row in rows])
    return tuple(data / row[0] for row in rows), defective, np.array([row[2] == "poly" for row in rows])


def build_bank(models: Path, model_id: str, recipe: Recipe) -> Bank:
    """Some minutes on two cores; kept in the temporary directory for the next run with the same model and recipe."""
    inspector = load_inspector(models / model_id, Runtime(intra_op_threads=1))
    paths, defective, poly = held_out(models / model_id)
    cache = Path(tempfile.gettempdir()) / f"qc-bench-bank-{inspector.card.sha256[:12]}"
    cache.mkdir(exist_ok=True)
    bank = Bank(paths, defective, poly, {}, {})
    for condition in CONDITIONS:
        for level in levels_of(condition):
            file = cache / f"{condition.replace(' ', '_').replace('%', 'percent')}{level:+d}.npz"
            if not file.exists():
                _measure(bank, inspector, recipe, (condition, level), file)
            _load(bank, inspector.card.model_id, (condition, level), file)
    return bank


def _measure(bank: Bank, inspector: OnnxInspector, recipe: Recipe, key: tuple[str, int], file: Path) -> None:
    scores, maps, embeddings, quality = [], [], [], []
    for cell in range(len(bank.paths)):
        if bank.poly[cell] and key != (PLAIN, 0):
            break  # poly cells, the last ones, only come in the plain light
        pixels = bank.pixels(cell, *key)
        inspection = inspector.inspect(inspector.prepare(pixels, recipe))
        q = FrameHealth().check(pixels).quality
        scores.append(inspection.score)
        maps.append(inspection.defect_map)
        embeddings.append(inspection.embedding)
        quality.append((q.brightness, q.contrast, q.focus, q.noise, q.colour))
    part = file.with_suffix(".part.npz")
    np.savez(part, scores=scores, maps=np.array(maps), embeddings=np.array(embeddings), quality=quality)
    part.replace(file)


def _load(bank: Bank, model_id: str, key: tuple[str, int], file: Path) -> None:
    stored = np.load(file)
    rows = zip(stored["scores"], stored["maps"], stored["embeddings"], strict=True)
    bank.inspections[key] = [Inspection(float(s), m, model_id, embedding=e) for s, m, e in rows]
    bank.quality[key] = [ImageQuality(*map(float, row)) for row in stored["quality"]]
