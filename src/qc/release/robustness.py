"""Does the candidate bear disturbances of the picture as well as the incumbent? On a share of the labelled parts, the same for both."""

from collections.abc import Callable, Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from qc.domain.frame import Pixels
from qc.release.evidence import Contender, Evidence, Progress, RecipeOf
from qc.release.paired import compare
from qc.release.report import Check, Outcome
from qc.release.rules import GateRules


def _levels(pixels: Pixels, gain: float, offset: float) -> Pixels:
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=gain, beta=offset), np.uint8)


def _contrast(pixels: Pixels, gain: float) -> Pixels:
    mean = float(pixels.mean())
    return np.asarray(np.clip((pixels.astype(np.float32) - mean) * gain + mean, 0, 255), np.uint8)


def _blur(pixels: Pixels) -> Pixels:
    """As half a per cent of the picture's width out of focus."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(0.6, pixels.shape[1] / 200)), np.uint8)


def _noise(pixels: Pixels) -> Pixels:
    """Eight grey levels; the same noise for the same picture, so that both models see one picture."""
    rng = np.random.default_rng(int(pixels[::7, ::7].sum()))
    return np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)


def _shift(pixels: Pixels) -> Pixels:
    """Three per cent to the right and down; the edge repeats."""
    height, width = pixels.shape[:2]
    move = np.array([[1, 0, 0.03 * width], [0, 1, 0.03 * height]], np.float32)
    return np.asarray(cv2.warpAffine(pixels, move, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _jpeg(pixels: Pixels) -> Pixels:
    packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


DISTURBANCES: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "darker": lambda pixels: _levels(pixels, 0.8, 0),
    "brighter": lambda pixels: _levels(pixels, 1.2, 0),
    "less contrast": lambda pixels: _contrast(pixels, 0.7),
    "more contrast": lambda pixels: _contrast(pixels, 1.3),
    "blur": _blur,
    "noise": _noise,
    "shift": _shift,
    "jpeg": _jpeg,
}
"""What a camera, a lamp or a conveyor does to pictures within a year, at a strength at which a person still sees the defects."""
ALONE: Final = 2.0
"""Margins by which the candidate may be worse under one disturbance; what that lets pass is simulated in docs/release.md."""


def robustness_checks(
    evidence: Evidence, pair: tuple[Contender, Contender], recipe_of: RecipeOf, rules: GateRules, progress: Progress
) -> Iterator[Check]:
    """Not worse by the margin over all disturbances together, nor by ``ALONE`` margins under any: right answers of the candidate against
    the incumbent's (pair), on the same disturbed pictures. One margin under each alone would take hundreds of parts even of equal models.
    """
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for truth in (True, False):  # as many defects as good parts, as far as there are any
        rows = np.flatnonzero((evidence.defective == truth) & evidence.independent)
        chosen += rng.permutation(rows)[: rules.robustness_parts // 2].tolist()
    answers = {name: np.zeros((len(chosen), 2), bool) for name in DISTURBANCES}
    for done, row in enumerate(chosen):
        progress("disturbances", done + 1, len(chosen))
        part, pixels = evidence.parts[row], evidence.parts[row].read()
        recipe = recipe_of(part.variant)
        for name, disturb in DISTURBANCES.items():
            picture = disturb(pixels)
            for column, model in enumerate(pair):
                answers[name][done, column] = (model.score(picture, recipe) >= model.slot.review_at) == part.defective
    yield on_average(np.stack(list(answers.values())) if chosen else np.zeros((1, 0, 2), bool), rules)
    for name, right in answers.items():
        gained, lost = int((right[:, 0] & ~right[:, 1]).sum()), int((right[:, 1] & ~right[:, 0]).sum())
        gain = compare(gained, lost, len(chosen), margin=min(ALONE * rules.robustness_margin, 0.99), confidence=rules.confidence)
        shares = right.mean(0) if len(chosen) else np.zeros(2)
        yield Check(
            name="robustness",
            slice=name,
            outcome=gain.outcome,
            message=f"right on {shares[0]:.1%} of the disturbed parts, the incumbent on {shares[1]:.1%}",
            estimate=gain.estimate,
            low=gain.low,
            high=gain.high,
            n=gain.n,
            labels_needed=f"{gain.needed} parts (robustness_parts)" if gain.needed else "",
        )


def on_average(right: NDArray[np.bool_], rules: GateRules) -> Check:
    """Not worse by the margin over all disturbances together; right: (disturbances, parts, 2), candidate first.

    Eight disturbances of one part are one observation: the mean of its differences. Normal interval, widened by two made-up parts, one
    wholly better and one wholly worse, so that few parts without any difference prove nothing (55 are needed for five points).
    """
    n = right.shape[1]
    differences = right[:, :, 0].mean(0) - right[:, :, 1].mean(0)
    estimate = float(differences.mean()) if n else 0.0
    spread, z = float(np.append(differences, [1.0, -1.0]).std(ddof=1)), float(ndtri((1 + rules.confidence) / 2))
    half = z * spread / np.sqrt(n) if n else 1.0
    low, high, margin = estimate - half, estimate + half, rules.robustness_margin
    outcome = Outcome.PASS if low > -margin else Outcome.FAIL if high < 0 else Outcome.NOT_ENOUGH_EVIDENCE
    needed = int(np.ceil((z * spread / (estimate + margin)) ** 2)) if estimate > -margin else None
    text = f"{needed} parts (robustness_parts)" if needed else "no number of parts is likely to show it; a better candidate is"
    return Check(
        name="robustness",
        outcome=outcome,
        message=f"right answers under all disturbances together: {estimate:+.1%} ({low:+.1%} to {high:+.1%}), margin {margin:.0%}",
        estimate=estimate if n else None,
        low=low if n else None,
        high=high if n else None,
        n=n,
        labels_needed=text if outcome is Outcome.NOT_ENOUGH_EVIDENCE else "",
    )
