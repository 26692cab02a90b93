"""Other light on the same part: photometric views by torchvision.transforms.v2, for the branches trained by gradient.

Geometry is varied on the feature maps instead (mirrors and quarter turns, where the recipe allows them), together with masks.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qc.training.backbone import declare_torchvision_operators

GAMMA = (0.7, 1.4)
BRIGHTNESS = CONTRAST = 0.25
NOISE = 0.02
BLUR = (0.1, 1.2)


def other_light(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR under another gamma, brightness and contrast, sometimes noisy or slightly out of focus; seeded."""
    declare_torchvision_operators()
    from torchvision.transforms import v2

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255
        image = v2.functional.adjust_gamma(image, float(torch.empty(1).uniform_(*GAMMA)))
        steps = v2.Compose(
            [
                v2.ColorJitter(brightness=BRIGHTNESS, contrast=CONTRAST),
                v2.RandomApply([v2.GaussianBlur(5, BLUR)], 0.3),
                v2.RandomApply([v2.GaussianNoise(sigma=NOISE)], 0.5),
            ]
        )
        changed: Tensor = steps(image)
    return np.asarray((changed.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())
