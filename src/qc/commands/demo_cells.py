"""The demo's camera: real solar cells from the PyPI package ``elpv-dataset``, none of which the model was trained on.

Images: Deitsch et al., Solar Energy 185 (2019), CC BY-NC-SA 4.0. A cell counts as defective when its defect probability in
the data set exceeds 0.5. Defective cells are mixed in at ``DEFECT_SHARE``, as a production line might see them.
"""

import csv
import importlib.util
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qc.domain.errors import ConfigError
from qc.domain.ports import Clock
from qc.ingest.folder import load
from qc.ingest.lossless import Item, LosslessSource

DEFECT_SHARE = 0.1
_MAX_MEGAPIXELS = 10.0


@dataclass(frozen=True, slots=True)
class Cell:
    path: Path
    defective: bool
    part_id: str


def choose_cells(mono: int, poly: int, model_directory: Path, seed: int = 0) -> tuple[list[Cell], list[Cell]]:
    """So many cells of each kind in seeded random order. Raises ConfigError when the demo extra is not installed."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise ConfigError("the demo needs the demo extra: pip install 'qc-edge[demo]'")
    data = Path(spec.origin).parent / "data"
    trained = set(json.loads((model_directory / "split.json").read_text("utf-8"))["training"])
    known: dict[tuple[str, bool], list[Path]] = {
        (kind, defective): [] for kind in ("mono", "poly") for defective in (False, True)
    }
    with (data / "labels.csv").open(encoding="utf-8") as file:
        for name, probability, kind in csv.reader(file, delimiter=" ", skipinitialspace=True):
            if name not in trained:
                known[kind, float(probability) > 0.5].append(data / name)
    rng = np.random.default_rng(seed)
    return _draw("mono", mono, known, rng), _draw("poly", poly, known, rng)


def _draw(kind: str, count: int, known: dict[tuple[str, bool], list[Path]], rng: np.random.Generator) -> list[Cell]:
    defective = rng.random(count) < DEFECT_SHARE
    decks = {truth: _deck(known[kind, truth], rng) for truth in (False, True)}
    return [
        Cell(path := next(decks[bool(truth)]), bool(truth), f"{kind}-{number:05d}-{path.stem}")
        for number, truth in enumerate(defective)
    ]


def _deck(paths: Sequence[Path], rng: np.random.Generator) -> Iterator[Path]:
    """Every picture once in random order, then all of them again."""
    while True:
        for index in rng.permutation(len(paths)):
            yield paths[index]


class CellFeed(LosslessSource):
    """Gives the first list at ``rate_hz``, waits until ``go_on`` is set (the changeover), then gives the second."""

    def __init__(
        self, camera_id: str, first: Sequence[Cell], second: Sequence[Cell], rate_hz: float, clock: Clock | None = None
    ) -> None:
        super().__init__(camera_id, clock=clock, poll_s=0.02)
        self.go_on = threading.Event()
        self._first, self._second = first, second
        self._period_s = 1 / rate_hz

    def _items(self) -> Iterator[Item]:
        yield from self._paced(self._first)
        while self._second and not self.go_on.is_set():
            yield None
        yield from self._paced(self._second)

    def _paced(self, cells: Sequence[Cell]) -> Iterator[Item]:
        due_s = time.monotonic()
        for cell in cells:
            self._stop.wait(max(0.0, due_s - time.monotonic()))
            due_s += self._period_s
            yield load(cell.path, cell.part_id, cell.path.name, _MAX_MEGAPIXELS)
