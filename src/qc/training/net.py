"""The whole model as one module: pixels in, calibrated score, defect map and embedding out. This is what is exported."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from qc.training.backbone import Backbone
from qc.training.calibrate import Calibration, CalibrationLayer
from qc.training.cell_branch import CellBranch
from qc.training.features import Taps, pool
from qc.training.fusion import Fusion
from qc.training.patch_branch import PatchBranch

EMBEDDING_DIM = 64


class InspectionNet(nn.Module):
    """branches: the fused ones, and always "patch", which draws the map; with a map head that has learnt from masks the map is
    the mean of both. high: whether the frozen last stage is computed.
    """

    def __init__(
        self,
        backbone: Backbone,
        branches: Mapping[str, nn.Module],
        fusion: Fusion,
        *,
        score_calibration: Calibration,
        map_calibrations: Mapping[str, Calibration],
        embedding: "Embedding",
        high: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = nn.ModuleDict(branches)
        self.names = fusion.branches
        self.weights, self.centres, self.scales = fusion.weights, fusion.centres, fusion.scales
        self.score_calibration = CalibrationLayer(score_calibration)
        self.map_calibrations = nn.ModuleDict({name: CalibrationLayer(c) for name, c in map_calibrations.items()})
        self.embedding = embedding
        self.high = high
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: (N, H, W, 3) uint8 BGR -> score (N,), map (N, H/8, W/8), embedding (N, 64); score and map in (0, 1)."""
        low = self.backbone.stages[0](self.backbone.normalise(image))
        middle = self.backbone.stages[1](low)
        high = self.backbone.stages[2](middle) if self.high else None
        taps = Taps(low, middle, high, pool([tap for tap in (low, middle, high) if tap is not None]))
        maps = {"patch": self._patch().distances(taps)}
        if "cells" in self.branches:
            maps["cells"] = self._cells().cells(taps)
        raw = torch.zeros_like(taps.pooled[:, 0])
        for name, weight, centre, scale in zip(self.names, self.weights, self.centres, self.scales, strict=True):
            raw = raw + (self._score(name, taps, maps) - centre) * (weight / scale)
        drawn = [layer(maps[name]) for name, layer in self.map_calibrations.items()]
        return self.score_calibration(raw), torch.stack(drawn).mean(0), self.embedding(taps.pooled)

    def _score(self, name: str, taps: Taps, maps: Mapping[str, Tensor]) -> Tensor:
        if name == "patch":
            return self._patch().score(maps[name])
        if name == "cells":
            return self._cells().score(maps[name])
        score: Tensor = self.branches[name](taps)
        return score

    def _patch(self) -> PatchBranch:
        branch = self.branches["patch"]
        assert isinstance(branch, PatchBranch)
        return branch

    def _cells(self) -> CellBranch:
        branch = self.branches["cells"]
        assert isinstance(branch, CellBranch)
        return branch


class Embedding(nn.Module):
    """A fixed random projection of standardised pooled features: keeps distances (Johnson-Lindenstrauss), for drift detection."""

    projection: Tensor
    centre: Tensor

    def __init__(self, pooled: Tensor, columns: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        x = pooled[:, :columns]
        projection = torch.randn(columns, EMBEDDING_DIM, generator=generator) / columns**0.5
        projection = projection / (x.std(0, correction=0) + 1e-2)[:, None]
        self.register_buffer("projection", projection)
        self.register_buffer("centre", x.mean(0) @ projection)

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled[:, : self.projection.shape[0]] @ self.projection - self.centre
