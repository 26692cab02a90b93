"""Which parts' pictures are kept, and in which form."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import cv2

from qc.domain.frame import Pixels
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """ok_share: share of OK parts in [0, 1], drawn by a seeded hash of the event id; all other parts are always kept.

    encoding: ``png`` is lossless, because retraining wants the pixels that the model saw; ``jpeg`` (jpeg_quality 1..100) is
    for lines whose pictures are too large for that. The price of both: see docs/record.md.
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
        """pixels: (H, W, 3) uint8 BGR. Raises cv2.error for what is no picture."""
        if self.encoding == "png":
            # Level 1: three times faster than the default for a few per cent of size.
            return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1].tobytes()
