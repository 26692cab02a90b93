from dataclasses import replace

import cv2
import numpy as np
import pytest

from qc.domain.frame import CameraFault, Pixels
from qc.ingest.health import FrameHealth, HealthLimits, image_quality


def textured(seed: int, height: int = 300, width: int = 300) -> Pixels:
    coarse = np.random.default_rng(seed).integers(40, 200, (height // 3, width // 3, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def flat(level: int) -> Pixels:
    return np.full((120, 160, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("pixels", "limits", "fault", "words"),
    [
        (textured(1), HealthLimits(), None, ""),
        (flat(2), HealthLimits(), CameraFault.BLACK, "mean grey level 2.0 is below 5"),
        (flat(2), HealthLimits(black_below=0), None, ""),
        (flat(255), HealthLimits(), CameraFault.SATURATED, "100% of the pixels"),
        (flat(255), HealthLimits(saturated_share=0), None, ""),
        (flat(100), HealthLimits(focus_below=20), CameraFault.OUT_OF_FOCUS, "focus 0.0 is below 20"),
        (flat(100), HealthLimits(), None, ""),
        (flat(100), HealthLimits(size=(160, 120)), None, ""),
        (flat(100), HealthLimits(size=(120, 160)), CameraFault.WRONG_SIZE, "160 x 120 pixels instead of 120 x 160"),
        (flat(0), HealthLimits(size=(10, 10)), CameraFault.WRONG_SIZE, "instead"),
    ],
)
def test_one_frame(pixels: Pixels, limits: HealthLimits, fault: CameraFault | None, words: str) -> None:
    report = FrameHealth(limits).check(pixels)
    assert report.fault is fault
    assert words in report.detail
    assert bool(report.detail) is (fault is not None)


def test_saturation_counts_pixels() -> None:
    half = flat(100)
    half[:60] = 255
    assert FrameHealth(HealthLimits(saturated_share=0.51)).check(half).fault is None
    assert FrameHealth(HealthLimits(saturated_share=0.50)).check(half).fault is CameraFault.SATURATED


def test_blur_lowers_focus_below_a_third() -> None:
    sharp = textured(3, 1500, 2000)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 12)
    limit = image_quality(sharp).focus / 3
    health = FrameHealth(HealthLimits(focus_below=limit))
    assert health.check(sharp).fault is None
    assert health.check(blurred).fault is CameraFault.OUT_OF_FOCUS


def faults(limits: HealthLimits, frames: list[Pixels]) -> list[CameraFault | None]:
    health = FrameHealth(limits)
    return [health.check(frame).fault for frame in frames]


def test_frozen_is_the_nth_equal_frame_in_a_row_and_ends_with_the_next_other() -> None:
    one, other = textured(1), textured(2)
    frozen = CameraFault.FROZEN
    assert faults(HealthLimits(frozen_after=3), [one, one.copy(), one.copy(), one, other, one, one]) == [
        None, None, frozen, frozen, None, None, None,
    ]  # fmt: skip


def test_one_changed_bit_anywhere_is_not_frozen() -> None:
    frames = [textured(1, 1200, 1600) for _ in range(4)]
    for number, frame in enumerate(frames):
        frame[601, 803, 1] ^= number  # between the pixels of the reduced copy
    assert faults(HealthLimits(frozen_after=2), frames) == [None] * 4


def test_frozen_is_off_by_default() -> None:
    assert faults(HealthLimits(), [textured(1)] * 20) == [None] * 20


def test_a_frozen_black_camera_is_black() -> None:
    assert faults(HealthLimits(frozen_after=2), [flat(0)] * 3) == [CameraFault.BLACK] * 3


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("size", [(300, 300), (1200, 1600)])
def test_features_of_known_noise(sigma: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    grey = np.clip(np.round(120 + rng.normal(0, sigma, size)), 0, 255).astype(np.uint8)
    quality = image_quality(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    assert quality.brightness == pytest.approx(120, abs=0.2)
    assert quality.contrast == pytest.approx(sigma, rel=0.06)
    assert quality.noise == pytest.approx(sigma, rel=0.06)
    assert quality.focus == pytest.approx(20 * sigma**2, rel=0.1)  # the Laplacian's squared weights: 4*4 + 4*1
    assert quality.colour == 0


def test_colour_is_red_minus_blue() -> None:
    reddish = np.zeros((50, 50, 3), np.uint8)
    reddish[:] = (10, 90, 60)
    assert image_quality(reddish).colour == 50


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2), (2048, 2448)])
def test_any_size(size: tuple[int, int]) -> None:
    quality = image_quality(np.full((*size, 3), 77, np.uint8))
    assert replace(quality, brightness=77.0) == quality
