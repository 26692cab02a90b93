"""A recorded sequence without a recording: pictures like electroluminescence images of solar cells, computed to the bit."""

from collections.abc import Iterator

import numpy as np

from qc.domain.errors import BadImage
from qc.domain.frame import CameraFault, Pixels
from qc.ingest.lossless import Item, Picture

SIZE = 300


def cell(number: int) -> Pixels:
    """A bright cell with busbars and grain; every third one has a dark crack, every seventh an inactive corner."""
    rng = np.random.default_rng(number)
    grey = 150 + rng.integers(-12, 13, (SIZE, SIZE))
    grey[:, :8] -= 60
    grey[:, -8:] -= 60
    for bar in (75, 150, 225):
        grey[bar - 2 : bar + 3] -= 70
    grey[:: 6 + number % 3] -= 8
    if number % 3 == 0:
        x, y = (int(value) for value in rng.integers(60, 240, 2))
        for step in range(90):
            x = int(np.clip(x + rng.integers(-1, 3), 2, SIZE - 3))
            y = int(np.clip(y + rng.integers(-2, 2), 2, SIZE - 3))
            grey[y - 1 : y + 2, x - 1 : x + 2] = 25 + step % 5
    if number % 7 == 0:
        grey[:90, : 60 + number] = 20 + rng.integers(0, 8, (90, 60 + number))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def faulty() -> Iterator[Item]:
    """What a camera gives when something is wrong with it."""
    yield Picture(np.zeros((SIZE, SIZE, 3), np.uint8), part_id="black")
    yield Picture(np.full((SIZE, SIZE, 3), 255, np.uint8), part_id="saturated")
    yield BadImage("cut.png: ends early", part_id="cut", source_ref="cut.png", fault=CameraFault.TRUNCATED)


def sequence(cells: int = 36) -> list[Item]:
    """Cells with the faulty ones in the middle."""
    pictures: list[Item] = [Picture(cell(number), part_id=f"cell-{number:03d}") for number in range(cells)]
    return [*pictures[: cells // 2], *faulty(), *pictures[cells // 2 :]]
