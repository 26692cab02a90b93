"""Good-only branch with a place: the distance of every patch to the nearest patch of a good part.

After PatchCore (Roth et al., CVPR 2022, arXiv 2106.08265): locally averaged features of two middle levels, a bank thinned
by greedy k-center selection, nearest-neighbour distance. Here the score is the mean of the largest 5 % of distances, the
bank is small and lives in a projection, so that the whole branch is two 1x1 convolutions in the exported graph.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from qc.training.features import FeatureStore, Taps

TOP_SHARE = 0.05
CANDIDATES = 20_000
BANK_SIZE = 1000
DIMENSIONS = 64
WHITENING = 0.3
"""How far the principal directions are brought to equal spread: 0 leaves them, 0.5 makes all alike. Directions in which good
patches hardly vary tell more, and the draw of the bank matters less. AUROC of the sum with the Mahalanobis distance at 0 / .25 / .4,
mean of two draws: bottles .980 / .984 / .988, cookies .968 / .967 / .964, magnetic tiles .827 / .826 / .821, boards .631 / .633 / .631.
"""


class PatchBranch(nn.Module):
    """to_low, to_middle: linear maps of the two taps into the bank's space; bank: (K, d) good patches."""

    to_low: Tensor
    to_middle: Tensor
    bias: Tensor
    twice_bank: Tensor
    minus_square: Tensor

    def __init__(self, to_low: Tensor, to_middle: Tensor, bias: Tensor, bank: Tensor) -> None:
        super().__init__()
        self.register_buffer("to_low", to_low[:, :, None, None].contiguous())
        self.register_buffer("to_middle", to_middle[:, :, None, None].contiguous())
        self.register_buffer("bias", bias)
        self.register_buffer("twice_bank", 2 * bank[:, :, None, None].contiguous())
        self.register_buffer("minus_square", -bank.square().sum(1))

    def embed(self, taps: Taps) -> Tensor:
        """(N, d, h, w): every patch of the low tap's grid in the bank's space."""
        low = _smooth(functional.conv2d(taps.low, self.to_low, self.bias))
        middle = _smooth(functional.conv2d(taps.middle, self.to_middle))
        return low + functional.interpolate(middle, scale_factor=2.0, mode="bilinear", align_corners=False)

    def distances(self, taps: Taps) -> Tensor:
        """(N, h, w): Euclidean distance to the nearest bank patch."""
        x = self.embed(taps)
        closeness = functional.conv2d(x, self.twice_bank, self.minus_square).amax(1)
        return (x.square().sum(1) - closeness).clamp_min(1e-6).sqrt()

    def score(self, distances: Tensor) -> Tensor:
        """(N, h, w) -> (N,): mean of the largest 5 % of the distances."""
        return top_mean(distances)

    def forward(self, taps: Taps) -> Tensor:
        return self.score(self.distances(taps))


def top_mean(values: Tensor, share: float = TOP_SHARE) -> Tensor:
    """(N, h, w) -> (N,): mean of the largest ``share`` of the values, at least one."""
    count = max(1, round(share * values.shape[1] * values.shape[2]))
    return values.flatten(1).topk(count, dim=1).values.mean(1)


def fit_patch_branch(
    store: FeatureStore, good: NDArray[np.int64], seed: int, bank_size: int = BANK_SIZE, dimensions: int = DIMENSIONS
) -> PatchBranch:
    """Channel statistics, principal directions and the bank from the good images with these indices."""
    generator = np.random.default_rng(seed)
    low, middle = _sample_patches(store, good, generator)
    parts = [(x - x.mean(0)) / (x.std(0) + 1e-3) / x.shape[1] ** 0.5 for x in (low, middle)]
    joined = torch.cat(parts, 1)
    vectors, spread, _ = torch.linalg.svd(joined.T @ joined / len(joined))
    spread = spread[:dimensions]
    directions = vectors[:, :dimensions] * (spread + 0.02 * spread.mean()) ** -WHITENING
    scales = [1 / (x.std(0) + 1e-3) / x.shape[1] ** 0.5 for x in (low, middle)]
    to_low = (directions[: low.shape[1]] * scales[0][:, None]).T
    to_middle = (directions[low.shape[1] :] * scales[1][:, None]).T
    bias = -(to_low @ low.mean(0) + to_middle @ middle.mean(0))
    bank = greedy_k_center(joined @ directions, bank_size, int(generator.integers(1 << 31)))
    return PatchBranch(to_low, to_middle, bias, bank)


def greedy_k_center(points: Tensor, count: int, seed: int) -> Tensor:
    """(min(count, n), d): each next point is the one farthest from those already taken (Gonzalez 1985)."""
    if len(points) <= count:
        return points
    # Half the squared distance up to a constant per point: one matrix-vector product per step instead of a difference.
    half = points.square().sum(1) / 2
    chosen = [int(np.random.default_rng(seed).integers(len(points)))]
    nearest = half + half[chosen[0]] - points @ points[chosen[0]]
    for _ in range(count - 1):
        last = int(nearest.argmax())
        chosen.append(last)
        nearest = torch.minimum(nearest, half + half[last] - points @ points[last])
    return points[chosen]


def _sample_patches(store: FeatureStore, good: NDArray[np.int64], generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    per_image = max(1, CANDIDATES // len(good))
    lows, middles = [], []
    for taps in store.batches(good):
        low = _smooth(taps.low)
        middle = functional.interpolate(_smooth(taps.middle), scale_factor=2.0, mode="bilinear", align_corners=False)
        positions = low.shape[2] * low.shape[3]
        for row in range(len(low)):
            pick = torch.from_numpy(generator.permutation(positions)[:per_image])
            lows.append(low[row].flatten(1)[:, pick].T)
            middles.append(middle[row].flatten(1)[:, pick].T)
    return torch.cat(lows), torch.cat(middles)


def _smooth(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
