"""Labelled branch for few labels: class-balanced logistic regression on the pooled features of the frozen backbone."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from qc.training.features import FeatureStore, Taps

INVERSE_PENALTY = 0.0025
"""Measured best between .002 and .003 for standardised features on five sets."""


class LogisticBranch(nn.Module):
    """weight: (P,) for the first P pooled features, the standardisation folded in; bias: scalar."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, taps: Taps) -> Tensor:
        """(N,): log-odds of a defect under balanced classes."""
        return taps.pooled[:, : self.weight.shape[0]] @ self.weight + self.bias


def fit_logistic(
    store: FeatureStore, index: NDArray[np.int64], labels: NDArray[np.int64], columns: int, weights: NDArray[np.float64]
) -> LogisticBranch:
    """index: images to learn from; labels, weights: of all images; columns: how many pooled features to use."""
    x = store.pooled[index][:, :columns].astype(np.float64)
    mean, scale = x.mean(0), x.std(0) + 1e-3
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=300, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the penalty, not the last digit, decides
        model.fit((x - mean) / scale, labels[index], sample_weight=weights[index])
    weight = model.coef_[0] / scale
    bias = model.intercept_[0] - mean @ weight
    return LogisticBranch(torch.tensor(weight, dtype=torch.float32), torch.tensor(float(bias)))
