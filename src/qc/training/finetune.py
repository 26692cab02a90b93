"""Labelled branch for many labels: the backbone's last stage is trained further, from the cached middle maps."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from qc.training.branches import Material
from qc.training.features import Taps

DROPOUT = 0.2


class TailBranch(nn.Module):
    """The last stage with a linear head on its averages and maxima: log-odds of a defect for the whole image."""

    def __init__(self, stage: nn.Module, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.stage = stage
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(2 * channels[2], 1)

    def forward(self, taps: Taps) -> Tensor:
        high = self.stage(taps.middle)
        out: Tensor = self.head(self.dropout(torch.cat([high.mean((2, 3)), high.amax((2, 3))], 1)))
        return out[:, 0]


def new_tail(stage: nn.Module, material: Material) -> TailBranch:
    branch = TailBranch(copy.deepcopy(stage), material.channels)
    with torch.no_grad():
        branch.head.weight.mul_(0.1)
    return branch


def tail_loss(branch: nn.Module, taps: Taps, labels: Tensor, masks: Tensor, known: Tensor) -> Tensor:  # noqa: ARG001  # the signature of every loss
    """labels: (N,) smoothed; masks say nothing to this branch."""
    return functional.binary_cross_entropy_with_logits(branch(taps), labels)
