"""What to label next for training: uncertain, novel, under-covered and diverse parts.

Chosen because they look interesting, so their labels say nothing about rates: purpose training, apart from every estimation sample.
Parts that already have a ticket of any purpose are no candidates.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import uuid_utils
from numpy.typing import NDArray

from qc.domain.record import InspectionRecord
from qc.domain.truth import Purpose, SampleTicket

Floats: TypeAlias = NDArray[np.float64]

POOL = 5
"""Diversity is sought among this many times the wanted parts: the best of each reason."""
NEIGHBOURS = 5
REASONS = ("uncertain", "novel", "under_covered")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """reason: the strongest one of REASONS."""

    record: InspectionRecord
    reason: str


def suggest(candidates: Sequence[InspectionRecord], known: Sequence[InspectionRecord], count: int) -> list[Suggestion]:
    """At most ``count`` parts, the reasons in turn, each the farthest from what is known and chosen already.

    candidates, known: with embeddings of one model where possible; parts without are judged by score and coverage alone.
    """
    if not candidates or count < 1:
        return []
    vectors = _standardised([*candidates, *known])
    mine, theirs = vectors[: len(candidates)], vectors[len(candidates) :]
    scores = {
        "uncertain": -np.array([abs((record.score or 0.0) - record.review_at) for record in candidates]),
        "novel": _novelty(mine, theirs),
        "under_covered": _rarity(candidates, known),
    }
    pools = {reason: list(np.argsort(-values, kind="stable")[: POOL * count]) for reason, values in scores.items()}
    nearest = _distance(mine, theirs).min(1) if len(theirs) else np.full(len(mine), np.inf)
    chosen: list[Suggestion] = []
    taken: set[int] = set()
    for turn in range(min(count, len(candidates)) * len(REASONS)):
        if len(chosen) == count:
            break
        reason = REASONS[turn % len(REASONS)]
        left = [int(i) for i in pools[reason] if int(i) not in taken]
        if not left:
            continue
        # First the best of each reason; then, of the best third that is left, the one least like anything chosen (greedy k-centre).
        best = left[:1] if turn < len(REASONS) else left[: max(1, len(left) // 3)]
        pick = max(best, key=lambda i: (nearest[i], -best.index(i)))
        taken.add(pick)
        chosen.append(Suggestion(candidates[pick], reason))
        nearest = np.minimum(nearest, _distance(mine, mine[pick : pick + 1])[:, 0])
    return chosen


def tickets_of(suggestions: Sequence[Suggestion], now: datetime, lifetime: timedelta) -> list[SampleTicket]:
    """inclusion_probability 1: they were picked, not drawn."""
    return [
        SampleTicket(
            ticket_id=str(uuid_utils.uuid7()),
            event_id=s.record.event_id,
            part_id=s.record.part_id,
            window=s.record.shift,
            stratum=s.reason,
            inclusion_probability=1.0,
            policy="suggest/1",
            purpose=Purpose.TRAINING,
            created_at=now,
            expires_at=now + lifetime,
        )
        for s in suggestions
    ]


def _standardised(records: Sequence[InspectionRecord]) -> Floats:
    """(n, d): embeddings with zero mean and unit spread; rows of parts without one (or of another length) are zero."""
    sizes = Counter(len(r.embedding) for r in records if r.embedding is not None)
    if not sizes:
        return np.zeros((len(records), 1))
    size = sizes.most_common(1)[0][0]
    has = [r.embedding is not None and len(r.embedding) == size for r in records]
    table = np.zeros((len(records), size))
    table[has] = [r.embedding for r, there in zip(records, has, strict=True) if there]
    mean, spread = table[has].mean(0), table[has].std(0)
    table[has] = (table[has] - mean) / (spread + 1e-6)
    return table


def _distance(a: Floats, b: Floats) -> Floats:
    """(n, m) Euclidean distances."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)), float)


def _novelty(mine: Floats, theirs: Floats) -> Floats:
    """(n,) mean distance to the nearest known parts; without any, to the middle of all."""
    if len(theirs) == 0:
        return np.asarray(np.linalg.norm(mine, axis=1), float)
    nearest = np.sort(_distance(mine, theirs), axis=1)[:, :NEIGHBOURS]
    return np.asarray(nearest.mean(1), float)


def _rarity(candidates: Sequence[InspectionRecord], known: Sequence[InspectionRecord]) -> Floats:
    """(n,) how few known parts share variant, camera and brightness (in steps of 32 grey levels)."""
    counts = Counter(_cell(record) for record in known)
    return np.array([1.0 / (1 + counts[_cell(record)]) for record in candidates])


def _cell(record: InspectionRecord) -> tuple[str, str, int]:
    brightness = record.quality.brightness if record.quality else -1.0
    return record.variant, record.camera_id, int(brightness // 32)
