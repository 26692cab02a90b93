"""Generated pictures of generated parts: a plate with a disc, every part a little different, defects as bright scratches."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


def part(seed: int, *, variant: int = 0, size: tuple[int, int] = (96, 128)) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR; parts of one variant look alike, yet each has its own shading and grain."""
    rng = np.random.default_rng([seed, variant])
    height, width = size
    picture = np.full((height, width, 3), 70.0 + 25.0 * variant, dtype=np.float32)
    cv2.circle(picture, (width // 2, height // 2), height // 3, (170.0, 150.0 - 20.0 * variant, 120.0), -1)
    shading = cv2.resize(rng.normal(0.0, 7.0, (7, 7)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    picture += shading[:, :, None] + rng.normal(0.0, 3.0, (height, width, 1)).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def scratched(picture: NDArray[np.uint8], seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The part with a bright scratch, and its mask (H, W) uint8 of 0 and 255."""
    x, y = (int(v) for v in np.random.default_rng(seed).integers(30, 60, 2))
    damaged, mask = picture.copy(), np.zeros(picture.shape[:2], dtype=np.uint8)
    cv2.line(damaged, (x, y), (x + 25, y + 10), (250, 250, 250), 4)
    cv2.line(mask, (x, y), (x + 25, y + 10), 255, 4)
    return damaged, mask


def save(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


@dataclass
class SetOnDisk:
    """A manifest data set that a test builds row by row."""

    root: Path
    rows: list[str] = field(default_factory=list)
    columns: str = "image,label,defect,mask,variant,environment,group,split,boxes"

    def good(self, name: str, seed: int, *, group: str = "", split: str = "", variant: str = "a") -> Path:
        path = save(self.root / f"images/good/{name}.png", part(seed))
        self.rows.append(f"images/good/{name}.png,good,,,{variant},,{group},{split},")
        return path

    def defect(self, name: str, seed: int, *, masked: bool = True, group: str = "", split: str = "") -> Path:
        picture, mask = scratched(part(seed), seed)
        path = save(self.root / f"images/scratch/{name}.png", picture)
        if masked:
            save(self.root / f"masks/scratch/{name}.png", mask)
        named = f"masks/scratch/{name}.png" if masked else ""
        self.rows.append(f"images/scratch/{name}.png,defect,scratch,{named},a,,{group},{split},")
        return path

    def done(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        manifest = self.root / "manifest.csv"
        manifest.write_text("\n".join([self.columns, *self.rows]) + "\n", encoding="utf-8")
        return manifest


@pytest.fixture
def pictures() -> SimpleNamespace:
    """The functions above; test modules cannot import each other."""
    return SimpleNamespace(part=part, scratched=scratched, save=save)


@pytest.fixture
def on_disk(tmp_path: Path) -> SetOnDisk:
    return SetOnDisk(tmp_path / "set")
