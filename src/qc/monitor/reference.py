"""What the parts of one camera and variant look like when all is well: learned from the first lots, then kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import InspectionRecord, Json
from qc.label.strata import judged_rejected
from qc.monitor.embeddings import COMPONENTS, EmbeddingReference
from qc.monitor.lots import FEWEST_LOTS, LotReference, log_odds, lots_to_merge, score_features
from qc.monitor.novelty import RejectLook

Floats: TypeAlias = NDArray[np.float64]

SCORE_FEATURES = (
    "mean score",
    "spread of the scores",
    "share above the median",
    "share of high scores",
    "share of very high scores",
)
QUALITY_FEATURES = ("brightness", "contrast", "focus", "noise", "colour")
SKETCH = 64
"""Embeddings are reduced to this many dimensions at random (fixed seed) before anything is stored of them."""
KEPT_PER_LOT = 8
"""Embeddings of single parts kept per reference lot: 320 parts for the principal components."""


@dataclass(frozen=True, slots=True)
class LotData:
    """One lot as arrays. scores: (parts,) log-odds; quality: (parts, 5) or (0, 5); sketches: (accepted parts, <= 64) or (0, 0).

    sketched: row in ``event_ids`` of each sketch. rejects: (rejected parts, <= 64) or (0, 0).
    accept_below: the threshold between the two.
    """

    event_ids: list[str]
    scores: Floats
    rejected: NDArray[np.bool_]
    quality: Floats
    sketches: Floats
    sketched: list[int]
    rejects: Floats
    accept_below: float

    @classmethod
    def of(cls, parts: Sequence[InspectionRecord], accept_below: float | None = None) -> "LotData":
        """accept_below: the reference's threshold; None while the reference is being collected."""
        rejected = np.array([bool(judged_rejected(record)) for record in parts])
        scores = np.array([record.score for record in parts], float)
        # Embeddings of accepted parts only: more defects in the process are not a new appearance. Accepted by the thresholds of
        # the reference: other thresholds accept other parts, and that is not a new appearance either.
        unlikely = rejected if accept_below is None else scores >= accept_below
        rows = [i for i, r in enumerate(parts) if r.embedding is not None and not unlikely[i]]
        return cls(
            [record.event_id for record in parts],
            log_odds(scores),
            rejected,
            _quality(parts),
            sketches_of([np.asarray(parts[i].embedding) for i in rows]) if len(rows) >= 2 else np.zeros((0, 0)),
            rows if len(rows) >= 2 else [],
            sketches_of([r.embedding for r, no in zip(parts, unlikely, strict=True) if no and r.embedding is not None]),
            parts[-1].review_at if accept_below is None else accept_below,
        )

    def summary(self) -> dict[str, Json]:
        """What a reference needs of it, as JSON."""
        every = max(len(self.sketches) // KEPT_PER_LOT, 1)
        kept: list[Json] = [[float(v) for v in row] for row in self.sketches[::every][:KEPT_PER_LOT]]
        rejects: list[Json] = [[float(v) for v in row] for row in self.rejects[:KEPT_PER_LOT]]
        return {
            "scores": [float(v) for v in self.scores],
            "quality": [float(v) for v in self.quality.mean(0)] if len(self.quality) else [],
            "embedding": [float(v) for v in self.sketches.mean(0)] if len(self.sketches) else [],
            "kept": kept,
            "kept_rejects": rejects,
            "rejects": int(self.rejected.sum()),
            "accept_below": self.accept_below,
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """quantiles: 50, 90 and 98 % of the reference scores (log-odds). merge: how many lots make one, so that they are independent."""

    merge: int
    quantiles: tuple[float, float, float]
    score: LotReference
    quality: LotReference | None
    embedding: EmbeddingReference | None
    reject_rate: float
    look: RejectLook | None
    accept_below: float

    @classmethod
    def of(cls, lots: Sequence[Mapping[str, Json]]) -> "Reference":
        """From summaries of consecutive lots; at least 20 after merging."""
        scores = np.array([lot["scores"] for lot in lots], float)
        quality = np.array([lot["quality"] for lot in lots], float) if all(lot["quality"] for lot in lots) else None
        q50, q90, q98 = (float(v) for v in np.quantile(scores, [0.5, 0.9, 0.98]))
        quantiles = (q50, q90, q98)
        by_lot = score_features(scores, quantiles)
        merge = lots_to_merge(by_lot if quality is None else np.column_stack([by_lot, quality]))
        merge = min(merge, max(len(lots) // FEWEST_LOTS, 1))
        whole = len(lots) // merge * merge
        embedding, look = None, None
        if all(lot["embedding"] for lot in lots):
            kept = np.concatenate([np.array(lot["kept"], float) for lot in lots])
            means = np.array([lot["embedding"] for lot in lots], float)
            embedding = EmbeddingReference.of(kept, _merged(means[:whole], merge), COMPONENTS)
            rejects = [row for lot in lots for row in _rows(lot["kept_rejects"])]
            look = RejectLook.of(kept, np.array(rejects, float).reshape(len(rejects), -1), embedding.axes) if rejects else None
        return cls(
            merge=merge,
            quantiles=quantiles,
            score=LotReference.of(score_features(scores[:whole].reshape(whole // merge, -1), quantiles)),
            quality=None if quality is None else LotReference.of(_merged(quality[:whole], merge)),
            embedding=embedding,
            reject_rate=sum(int(str(lot["rejects"])) for lot in lots) / scores.size,
            look=look,
            accept_below=float(str(lots[-1]["accept_below"])),
        )

    def state(self) -> dict[str, Json]:
        """JSON, exact to the bit."""
        embedding: Json = None
        if self.embedding is not None:
            embedding = {"axes": self.embedding.axes.tolist(), "lots": _lots_state(self.embedding.lots)}
        return {
            "merge": self.merge,
            "quantiles": list(self.quantiles),
            "score": _lots_state(self.score),
            "quality": None if self.quality is None else _lots_state(self.quality),
            "embedding": embedding,
            "reject_rate": self.reject_rate,
            "accept_below": self.accept_below,
            "look": None if self.look is None else _look_state(self.look),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Json]) -> "Reference":
        quantiles, embedding = state["quantiles"], state["embedding"]
        assert isinstance(quantiles, list)
        q50, q90, q98 = (float(str(v)) for v in quantiles)
        axes = None
        if isinstance(embedding, dict):
            axes = EmbeddingReference(np.array(embedding["axes"], float), _lots_restored(embedding["lots"]))
        return cls(
            int(str(state["merge"])),
            (q50, q90, q98),
            _lots_restored(state["score"]),
            None if state["quality"] is None else _lots_restored(state["quality"]),
            axes,
            float(str(state["reject_rate"])),
            _look_restored(state["look"]),
            float(str(state["accept_below"])),
        )


def _lots_state(lots: LotReference) -> dict[str, Json]:
    return {"mean": lots.mean.tolist(), "sigma": lots.sigma.tolist(), "lots": lots.lots}


def _lots_restored(state: Json) -> LotReference:
    assert isinstance(state, dict)
    return LotReference(np.array(state["mean"], float), np.array(state["sigma"], float), int(str(state["lots"])))


def _look_state(look: RejectLook) -> dict[str, Json]:
    return {"centre": look.centre.tolist(), "axes": look.axes.tolist(), "radius": look.radius}


def _look_restored(state: Json) -> RejectLook | None:
    if not isinstance(state, dict):
        return None
    return RejectLook(np.array(state["centre"], float), np.array(state["axes"], float), float(str(state["radius"])))


def _rows(values: Json) -> list[Json]:
    assert isinstance(values, list)
    return values


def _merged(features: Floats, merge: int) -> Floats:
    averaged: Floats = features.reshape(len(features) // merge, merge, -1).mean(1)
    return averaged


def _quality(parts: Sequence[InspectionRecord]) -> Floats:
    """Brightness, log contrast, log focus, log noise, colour; empty when a picture has none."""
    found = [q for record in parts if (q := record.quality) is not None]
    if len(found) < len(parts):
        return np.zeros((0, len(QUALITY_FEATURES)))
    rows = np.array([(q.brightness, q.contrast, q.focus, q.noise, q.colour) for q in found])
    rows[:, 1:4] = np.log(rows[:, 1:4] + 1e-3)  # ratios, not differences, are alike from lot to lot
    return rows


def sketches_of(embeddings: Sequence[NDArray[np.float32]]) -> Floats:
    """(n, <= 64). Rounded to float16 as the record store keeps them, so that a replay from the records gives the same value."""
    if not embeddings:
        return np.zeros((0, 0))
    stacked = np.array(embeddings).astype(np.float16).astype(float)
    D = stacked.shape[1]
    if D <= SKETCH:
        return stacked
    # Count sketch (Charikar, Chen & Farach-Colton 2002): shuffled, signed, summed in groups. Keeps lengths on average,
    # needs no matrix product (whose threads would compete with the model's), and gives the same bits everywhere.
    rng = np.random.default_rng(D)
    order, sign = rng.permutation(D), rng.choice([-1.0, 1.0], D)
    each = -(-D // SKETCH)
    padded = np.zeros((len(stacked), SKETCH * each))
    padded[:, :D] = (stacked * sign)[:, order]
    pooled: Floats = padded.reshape(len(stacked), SKETCH, each).sum(-1)
    return pooled
