"""Judge a bundle on labelled pictures, through the line's own inspector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.training.features import Progress, Roi
from qc.training.metrics import (
    aupro,
    auroc,
    average_precision,
    dr_at_fpr,
    fpr_at_dr,
    rates_at,
    review_share,
)
from qc.training.samples import Sample, read_image, read_mask

MAP_LIMIT = 200
"""Maps that are kept for the map's own metric: memory stays bounded however large the set is."""


@dataclass(frozen=True)
class Judged:
    """scores, labels: (n,). maps, masks: of up to MAP_LIMIT pictures, at the map's size. latency_ms: median of inference."""

    samples: tuple[Sample, ...]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    maps: list[NDArray[np.float32]]
    masks: list[NDArray[np.bool_]]
    latency_ms: float
    preprocess_ms: float


def judge(inspector: Inspector, samples: Sequence[Sample], roi: Roi, progress: Progress) -> Judged:
    """Inspect every picture as the line would. Raises DatasetError for an unreadable one."""
    card = inspector.card
    recipe = Recipe("", card.model_id, card.review_at, card.reject_at, roi=roi.roi, ignore=roi.ignore)
    scores, times, preparing = [], [], []
    maps: list[NDArray[np.float32]] = []
    masks: list[NDArray[np.bool_]] = []
    with_masks = any(s.mask or s.boxes for s in samples)
    stride = max(1, len(samples) // MAP_LIMIT)
    for number, sample in enumerate(samples):
        pixels = read_image(sample)
        prepared = inspector.prepare(pixels, recipe)
        inspection = inspector.inspect(prepared)
        scores.append(inspection.score)
        times.append(inspection.inference_ms)
        preparing.append(prepared.preprocess_ms)
        if with_masks and number % stride == 0 and (not sample.is_defect or sample.mask or sample.boxes):
            maps.append(inspection.defect_map)
            masks.append(_mask_on_map(sample, prepared.view, inspection.defect_map.shape))
        progress("evaluation", number + 1, len(samples))
    labels = np.array([int(s.is_defect) for s in samples], np.int64)
    middle = float(np.median(times)) if times else 0.0
    return Judged(
        tuple(samples), np.array(scores), labels, maps, masks, middle, float(np.median(preparing)) if preparing else 0.0
    )


def summary(judged: Judged, reject_at: float, review_at: float) -> dict[str, Json]:
    """Everything that ``tools/evaluate.py --json`` writes; README of the keys in docs/training.md."""
    report = _measures(judged.scores, judged.labels, reject_at, review_at)
    report["slices"] = {
        name: _slices(judged, key, reject_at, review_at)
        for name, key in (
            ("variant", lambda s: s.variant),
            ("environment", lambda s: s.environment),
            ("defect", lambda s: s.defect),
        )
    }
    if judged.maps and any(mask.any() for mask in judged.masks):
        report["aupro"] = aupro(judged.maps, judged.masks)
    report["latency_ms"] = round(judged.latency_ms, 3)
    report["preprocess_ms"] = round(judged.preprocess_ms, 3)
    return report


def _measures(scores: NDArray[np.float64], labels: NDArray[np.int64], reject_at: float, review_at: float) -> dict[str, Json]:
    detection, false_positive = rates_at(scores, labels, reject_at)
    caught, held_up = rates_at(scores, labels, review_at)
    return {
        "n": len(scores),
        "good": int((labels == 0).sum()),
        "defects": int(labels.sum()),
        "auroc": auroc(scores, labels),
        "average_precision": average_precision(scores, labels),
        "threshold": reject_at,
        "review_at": review_at,
        "detection_rate": detection.as_json(),
        "false_positive_rate": false_positive.as_json(),
        "rejected_or_reviewed": {"detection_rate": caught.as_json(), "false_positive_rate": held_up.as_json()},
        "review_share": float(((scores >= review_at) & (scores < reject_at)).mean()) if len(scores) else None,
        "review_share_for_94_8": review_share(scores, labels),
        "dr_at_fpr_8": dr_at_fpr(scores, labels, 0.08),
        "fpr_at_dr_94": fpr_at_dr(scores, labels, 0.94),
    }


def _slices(judged: Judged, key: Callable[[Sample], str], reject_at: float, review_at: float) -> dict[str, Json]:
    """By value of the key; a defect type is judged against all good pictures."""
    keys = np.array([key(s) for s in judged.samples])
    slices: dict[str, Json] = {}
    for value in sorted(set(keys) - {""}):
        inside = keys == value
        if not (judged.labels[inside] == 0).any():
            inside = inside | (judged.labels == 0)
        slices[str(value)] = _measures(judged.scores[inside], judged.labels[inside], reject_at, review_at)
    return slices


def _mask_on_map(sample: Sample, view: tuple[float, float, float, float], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask over the model's view at the map's size: a cell is defect when a part of it is."""
    import cv2

    mask = read_mask(sample) if sample.is_defect else None
    if mask is None:
        return np.zeros(shape, np.bool_)
    height, width = mask.shape
    x, y, w, h = view
    crop = mask[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)]
    small = cv2.resize(crop.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0.25 if (small > 0.25).any() else small > 0)
