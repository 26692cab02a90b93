"""The model bundle's card: what a model is, what it expects and how good it was measured to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qc.domain.record import Json


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The graph's input ``image``: (N, height, width, 3) uint8, BGR, N >= 1. Normalisation is inside the graph.

    interpolation: how the ROI crop is resized: ``area`` (cv2.INTER_AREA) or ``linear``.
    """

    height: int
    width: int
    interpolation: str = "area"


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """A generated test picture and the score that the graph must reproduce for it.

    seed and kind determine the uint8 picture (see ``inspection/golden.py``; it is resized like any frame); map_mean checks the map.
    """

    kind: str
    seed: int
    score: float
    map_mean: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """``card.json``. Thresholds are the training's suggestion; the recipe decides.

    Rates are those of held-out data, written by the training as
    ``{"detection_rate": {"estimate": .., "low": .., "high": .., "n": ..}, ...}``; empty when unknown.
    golden_tolerance: largest allowed absolute score difference at load (CPU fp32: 1e-3).
    """

    model_id: str
    sha256: str
    input: InputSpec
    golden: tuple[GoldenVector, ...]
    review_at: float
    reject_at: float
    created_at: str
    opset: int
    variants: tuple[str, ...] = ()
    golden_tolerance: float = 1e-3
    embedding_dim: int = 0
    rates: Mapping[str, Json] = field(default_factory=dict)
    data: Mapping[str, Json] = field(default_factory=dict)
    """Data-set hash, composition, splits, licences."""
    training: Mapping[str, Json] = field(default_factory=dict)
    """Command, versions, seed, heads chosen and why, code commit."""
    limits: tuple[str, ...] = ()
    """Known limits, as sentences."""
    parent: str | None = None
    format: str = "qc.bundle/1"
