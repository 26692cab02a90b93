"""Which parts' pictures are kept, and in which form."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from qc.domain.frame import Pixels
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """ok_share: share of OK parts in [0, 1], drawn by a seeded hash of the event id; all other parts are always kept.

    encoding: ``png`` is lossless, because retraining wants the pixels that the model saw; ``jpeg`` (jpeg_quality 1..100) is
    for lines whose pictures are too large for that. Measured on one core of a busy two-core machine, noisy grey pictures:
    300 x 300: PNG 5 ms, 50 kB, JPEG 95 0.4 ms, 28 kB; 1920 x 1080: PNG 120 ms, 1.2 MB, JPEG 95 16 ms, 0.6 MB.
    """

    ok_share: float = 0.02
    seed: int = 0
    encoding: Literal["png", "jpeg"] = "png"
    jpeg_quality: int = 95

    def always_keeps(self, record: InspectionRecord, *, ticketed: bool) -> bool:
        """NG, REVIEW, NOT_INSPECTED, known-defective parts, and whatever a person is asked to label."""
        return ticketed or record.challenge_id is not None or record.verdict.decision is not Decision.OK

    def samples(self, record: InspectionRecord) -> bool:
        """The draw is the same on every run, and independent of the one for labels as long as the seeds differ."""
        digest = hashlib.blake2b(f"archive:{self.seed}:{record.event_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.ok_share * 2.0**64

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.encoding]

    def encode(self, pixels: Pixels) -> bytes:
        """pixels: (H, W, 3) uint8 BGR. Raises cv2.error for what is no picture.

        A picture whose channels are equal (a grey camera) is stored as one channel: half the time and a third less space,
        and the same pixels when read as colour.
        """
        blue, green, red = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        picture = blue if np.array_equal(blue, green) and np.array_equal(green, red) else pixels
        if self.encoding == "png":
            return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1].tobytes()
