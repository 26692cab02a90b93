"""What every image archive promises: the one on disk and the one in memory."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from qc.domain.errors import UnknownPart
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.record.archive import DiskImageArchive
from qc.record.archive_policy import ArchivePolicy
from qc.record.database import Database
from qc.record.fake import MemoryImageArchive
from qc.record.image_reader import ImageBlob
from qc.record.retention import RetentionLimits

T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
Archive = DiskImageArchive | MemoryImageArchive


def encode_heatmap(defect_map: NDArray[np.float32]) -> bytes:
    return cv2.imencode(".png", np.round(defect_map * 255).astype(np.uint8))[1].tobytes()


@pytest.fixture
def policy() -> ArchivePolicy:
    return ArchivePolicy(ok_share=0.25, seed=3)


@pytest.fixture(params=["disk", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, policy: ArchivePolicy) -> Iterator[Archive]:
    if request.param == "memory":
        yield MemoryImageArchive(encode_heatmap=encode_heatmap, policy=policy)
        return
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        limits = RetentionLimits(min_free_bytes=0)
        with closing(
            DiskImageArchive(database, tmp_path / "images", encode_heatmap=encode_heatmap, policy=policy, limits=limits)
        ) as disk:
            yield disk


def record(name: str, decision: Decision = Decision.NG, **fields: Any) -> InspectionRecord:
    return InspectionRecord(
        event_id=name,
        part_id=f"part-{name}",
        camera_id="cam1",
        captured_at=T0,
        decided_at=T0,
        verdict=Verdict(decision, Reason.ABOVE_REJECT),
        variant="mono",
        recipe_version="0",
        model_id="m",
        model_sha256="0",
        review_at=0.3,
        reject_at=0.6,
        **fields,
    )


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)


def eventually_loaded(archive: Archive, event_id: str, kind: str = "picture") -> ImageBlob:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            return archive.load(event_id, kind)
        except UnknownPart:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def test_a_picture_comes_back_to_the_pixel_with_its_heatmap(archive: Archive) -> None:
    pixels, defect_map = picture(1), np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert archive.submit(record("a"), pixels, defect_map) is True
    blob = eventually_loaded(archive, "a")
    assert blob.media_type == "image/png"
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(blob.content, np.uint8), cv2.IMREAD_COLOR), pixels)
    heatmap = eventually_loaded(archive, "a", "heatmap")
    decoded = cv2.imdecode(np.frombuffer(heatmap.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(decoded / 255, defect_map, atol=0.5 / 255 + 1e-6)


def test_a_grey_picture_takes_one_channel_and_reads_the_same(archive: Archive) -> None:
    pixels = np.repeat(picture(5)[..., :1], 3, axis=2)
    archive.submit(record("grey"), pixels, None)
    content = np.frombuffer(eventually_loaded(archive, "grey").content, np.uint8)
    assert cv2.imdecode(content, cv2.IMREAD_UNCHANGED).ndim == 2
    np.testing.assert_array_equal(cv2.imdecode(content, cv2.IMREAD_COLOR), pixels)


def test_what_is_not_kept_is_unknown(archive: Archive) -> None:
    archive.submit(record("a"), picture(1), None)
    eventually_loaded(archive, "a")
    with pytest.raises(UnknownPart, match="heatmap"):
        archive.load("a", "heatmap")
    with pytest.raises(UnknownPart, match="nobody"):
        archive.load("nobody")


@pytest.mark.parametrize("decision", [Decision.NG, Decision.REVIEW, Decision.NOT_INSPECTED])
def test_everything_but_ok_is_always_wanted(archive: Archive, decision: Decision) -> None:
    assert all(archive.wants(record(f"e{n}", decision), ticketed=False) for n in range(200))


def test_ok_parts_are_sampled_by_a_seeded_hash_unless_somebody_needs_them(archive: Archive) -> None:
    names = [f"e{n}" for n in range(2000)]
    kept = [archive.wants(record(name, Decision.OK), ticketed=False) for name in names]
    assert kept == [archive.wants(record(name, Decision.OK), ticketed=False) for name in names]
    expected = [
        int.from_bytes(hashlib.blake2b(f"archive:3:{name}".encode(), digest_size=8).digest(), "big") / 2**64 < 0.25
        for name in names
    ]
    assert kept == expected
    assert 400 < sum(kept) < 600
    assert all(archive.wants(record(name, Decision.OK), ticketed=True) for name in names[:50])
    assert all(archive.wants(record(name, Decision.OK, challenge_id="k"), ticketed=False) for name in names[:50])


class TestJpeg:
    @pytest.fixture
    def policy(self) -> ArchivePolicy:
        return ArchivePolicy(encoding="jpeg", jpeg_quality=95)

    def test_jpeg_is_smaller_and_close(self, archive: Archive) -> None:
        pixels = cv2.GaussianBlur(picture(2), (0, 0), 3)
        archive.submit(record("a"), pixels, None)
        blob = eventually_loaded(archive, "a")
        assert blob.media_type == "image/jpeg"
        decoded = cv2.imdecode(np.frombuffer(blob.content, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(decoded.astype(int) - pixels).mean() < 3
