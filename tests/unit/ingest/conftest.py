import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from qc.domain.frame import Pixels


@pytest.fixture(scope="session")
def scene() -> Pixels:
    """(60, 80, 3) uint8 BGR, smooth, with different channel means, so that lossy coding and channel swaps show."""
    coarse = np.random.default_rng(7).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    coarse[:, :, 0] //= 4
    return cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a Pillow image or BGR pixels: encode(picture, "PNG", **options)."""

    def encoded(picture: Image.Image | Pixels, kind: str, **options: object) -> bytes:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture[:, :, ::-1])
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def jpeg(scene: Pixels, encode: Callable[..., bytes]) -> bytes:
    return encode(scene, "JPEG", quality=95)
