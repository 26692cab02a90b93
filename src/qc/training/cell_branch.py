"""Labelled branch with a place: a small convolutional head on the frozen maps, which says for each cell how defective it is.

It learns from masks where there are some, and elsewhere from the image label through the mean of its highest cells: one head
for both kinds of supervision (cf. SuperSimpleNet, Rolih et al., ICPR 2024, arXiv 2408.03143).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from qc.training.branches import Index, Material
from qc.training.features import Taps
from qc.training.patch_branch import top_mean

HIDDEN = 48
DROPOUT = 0.1
MASK_WEIGHT, MASK_POSITIVE = 2.0, 5.0
TOP_SHARE = 0.005
"""Share of the cells that make the image's score; a defect need not be large."""


class CellBranch(nn.Module):
    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        low, middle, _ = channels
        self.from_low = nn.Conv2d(low, HIDDEN, 3, padding=1)
        self.from_middle = nn.Conv2d(middle, HIDDEN, 1)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.around = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1, groups=HIDDEN)
        self.mix = nn.Conv2d(HIDDEN, HIDDEN, 1)
        self.to_map = nn.Conv2d(HIDDEN, 1, 1)

    def cells(self, taps: Taps) -> Tensor:
        """(N, h, w): log-odds of a defect in each cell of the low tap's grid."""
        middle = self.from_middle(taps.middle)
        x = functional.relu(self.from_low(taps.low) + functional.interpolate(middle, scale_factor=2.0, mode="bilinear"))
        x = self.dropout(x)
        x = x + functional.relu(self.mix(functional.relu(self.around(x))))
        out: Tensor = self.to_map(x)
        return out[:, 0]

    def score(self, cells: Tensor) -> Tensor:
        """(N, h, w) -> (N,): mean of the highest cells."""
        return top_mean(cells, TOP_SHARE)

    def forward(self, taps: Taps, as_cells: bool = False) -> Tensor:
        """(N,) score, or the cells: training goes through forward, so that several processes can share it."""
        cells = self.cells(taps)
        return cells if as_cells else self.score(cells)


def new_cells(material: Material, index: Index) -> CellBranch:
    """Start on standardised channels: the first convolutions absorb the mean and deviation of each tap."""
    branch = CellBranch(material.channels)
    taps = material.store.taps(index[:: max(1, len(index) // 32)])
    branch.to(taps.low.device)
    with torch.no_grad():
        for layer, tap in ((branch.from_low, taps.low), (branch.from_middle, taps.middle)):
            mean, deviation = tap.mean((0, 2, 3)), tap.std((0, 2, 3)) + 1e-3
            layer.weight.div_(deviation[None, :, None, None])
            assert layer.bias is not None
            layer.bias.sub_((layer.weight.sum((2, 3)) * mean).sum(1))
        branch.to_map.weight.mul_(0.1)
    return branch


def cell_loss(branch: nn.Module, taps: Taps, labels: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """labels: (N,) smoothed; masks: (N, h, w) in [0, 1]; known: (N,) whether the mask is."""
    cells = branch(taps, as_cells=True)
    loss = functional.binary_cross_entropy_with_logits(top_mean(cells, TOP_SHARE), labels)
    if known.any():
        positive = torch.tensor(MASK_POSITIVE, device=cells.device)
        pixels = functional.binary_cross_entropy_with_logits(cells[known], masks[known], pos_weight=positive)
        loss = loss + MASK_WEIGHT * pixels
    return loss
