"""Features by content: the same prepared pixels through the same backbone are computed once, whatever training asks for them.

One file per picture, named by a hash of backbone and pixels, so that nothing can be stale: other preprocessing, another size or
other light are other pixels. It is never emptied; remove the folder to free the room (140 kB for a picture of 224 x 224).
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import TrainingError
from qc.training.backbone import Backbone

Arrays = list[NDArray[np.generic]]


class FeatureCache:
    """folder: created when missing; several trainings may share it."""

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        self.folder = folder
        digest = hashlib.sha256(backbone.name.encode())
        for _, tensor in sorted(backbone.state_dict().items()):
            digest.update(tensor.cpu().numpy().tobytes())
        self._backbone = digest.digest()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{folder}: the feature cache cannot be made ({error.strerror})") from error

    def get(self, pixels: NDArray[np.uint8]) -> Arrays | None:
        """Maps and pooled vector of one (H, W, 3) picture, or None."""
        try:
            with np.load(self._path(pixels)) as arrays:
                return [arrays[name] for name in arrays.files]
        except (OSError, ValueError, EOFError):  # absent, or cut off by a full disk: computed again
            return None

    def put(self, pixels: NDArray[np.uint8], arrays: Arrays) -> None:
        """Kept whole or not at all; a full disk only costs the saving."""
        path = self._path(pixels)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial.npz")
        try:
            path.parent.mkdir(exist_ok=True)
            np.savez(partial, *arrays)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)

    def _path(self, pixels: NDArray[np.uint8]) -> Path:
        name = hashlib.sha256(self._backbone + str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return self.folder / name[:2] / f"{name}.npz"
