"""Copies are found, parts that look alike are not."""

import cv2
import numpy as np
import pytest

from qc.training.duplicates import find_copies, thumbnail


@pytest.fixture
def alike(pictures):
    """Sixty parts of one product, as alike as a fixed camera shows them."""
    return [pictures.part(seed) for seed in range(60)]


def search(parts, variants=None):
    hashes = [picture.tobytes() for picture in parts]
    return find_copies(np.stack([thumbnail(p) for p in parts]), hashes, variants or ["a"] * len(parts)).groups


def test_parts_that_look_alike_are_no_copies(alike):
    plain = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(float).ravel() for p in alike[:2]]
    assert np.corrcoef(plain)[0, 1] > 0.9
    assert search(alike) == ()


CHANGES = {
    "jpeg": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR),
    "smaller": lambda p: cv2.resize(p, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA),
    "brighter": lambda p: np.clip(p * 1.1 + 5.0, 0, 255).astype(np.uint8),
    "noise": lambda p: np.clip(p + np.random.default_rng(0).normal(0, 3, p.shape), 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_saved_again_is_found(alike, change):
    groups = search([*alike, change(alike[7]), change(alike[23])])
    assert {g.members for g in groups} == {(7, 60), (23, 61)}
    assert not any(g.exact for g in groups)


def test_exact_copies_are_found_across_variants(alike):
    groups = search([*alike, alike[3], alike[3]], ["a"] * 61 + ["b"])
    assert [(g.members, g.exact) for g in groups] == [((3, 60, 61), True)]


def test_unreadable_and_even_pictures_are_left_out(alike):
    even = np.full_like(alike[0], 128)
    other = np.full_like(alike[0], 129)
    thumbs = np.stack([thumbnail(p) for p in [*alike, even, other, alike[0]]])
    hashes = [*(p.tobytes() for p in alike), even.tobytes(), other.tobytes(), b""]
    assert find_copies(thumbs, hashes, ["a"] * 63).groups == ()


def test_a_sequence_that_drifts_is_no_group_of_copies(pictures):
    """Each picture is close to the next, the first and the last are far apart: a continuum, not copies."""
    start, end = pictures.part(1).astype(float), pictures.part(2).astype(float)
    drift = [(start + (end - start) * t).astype(np.uint8) for t in np.linspace(0, 1, 40)]
    assert all(len(g.members) < 10 for g in search(drift))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_sets(pictures, n):
    thumbs = np.zeros((n, 32, 32), np.uint8)
    assert find_copies(thumbs, [b"%d" % i for i in range(n)], ["a"] * n).groups == ()


def test_full_buckets_are_counted(pictures):
    """A thousand pictures that differ by less than their thumbnails can tell: searched among neighbours only."""
    base = thumbnail(pictures.part(1)).astype(float)
    other = thumbnail(pictures.part(2, variant=1)).astype(float)
    rng = np.random.default_rng(0)
    crowd = [base + rng.normal(0, 0.3, (32, 32)) for _ in range(500)] + [other + rng.normal(0, 0.3, (32, 32)) for _ in range(500)]
    thumbs = np.clip(np.round(crowd), 0, 255).astype(np.uint8)
    assert find_copies(thumbs, [b"%d" % i for i in range(1000)], ["a"] * 1000).crowded > 0
