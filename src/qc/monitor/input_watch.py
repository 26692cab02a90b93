"""What the parts look like to one camera and variant, without labels: score, picture quality, embedding, reject rate.

Parts are collected into lots. The first lots are the reference (commissioning); from then on every full lot is tested. All work
is done once per lot; a part costs the reject-rate update and one append. Its state is that of the last full lot: after a
restart the records since then are fed again (``resume_after`` is the last record that the state knows).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import InspectionRecord, Json
from qc.label.strata import judged_rejected
from qc.monitor.embeddings import MEMORIES, direction_log_factors
from qc.monitor.evidence import log_mean, log_threshold
from qc.monitor.lots import DELTAS, log_odds, score_features, two_sided_log_factors
from qc.monitor.novelty import FEWEST, LATEST, LONG, strikes
from qc.monitor.reference import QUALITY_FEATURES, SCORE_FEATURES, LotData, Reference, sketches_of
from qc.monitor.reject_rate import TwoSidedRejectRate, null_rates
from qc.monitor.score_move import ScoreMove, ScoreTrail

Floats: TypeAlias = NDArray[np.float64]

SCORE, QUALITY, EMBEDDING, REJECT_RATE = "score", "image_quality", "embedding", "reject_rate"
STRIKING_Z = 4.0
"""A feature of the parts since the last lot this far off counts as moved when a cause is sought before the lot is full."""
FEWEST_PARTS = 30
AS_BEFORE_Z = 3.0
"""Five features of a lot in control all stay within it in 99 % of the lots."""
SHARES = slice(2, 5)
"""The shares above quantiles among the score features."""


@dataclass(frozen=True, slots=True)
class InputSettings:
    """lot_parts: shortest lot; merged while neighbouring lots are alike. horizon_parts: over which alpha holds, for all ``streams``.

    reject_tolerance: absolute change of the reject rate that lots may show without a cause. streams: slices x quantities.
    """

    lot_parts: int = 250
    reference_lots: int = 40
    horizon_parts: int = 1_000_000
    alpha: float = 0.01
    reject_tolerance: float = 0.03
    streams: int = 4


@dataclass(frozen=True, slots=True)
class TestedLot:
    """The last lot that was compared with the reference; z by feature, projection (accepted parts,) along the embedding's move."""

    data: LotData
    score_z: Floats
    quality_z: Floats
    projection: Floats


class InputWatch:
    """One camera and variant, one model. Feed it judged production parts only, in the order of their seq."""

    def __init__(self, settings: InputSettings) -> None:
        self.settings = settings
        self.resume_after = 0
        self.reference: Reference | None = None
        self.last: TestedLot | None = None
        self._parts: list[InspectionRecord] = []
        self._learned: list[Json] = []
        self._rejects: TwoSidedRejectRate | None = None
        self._rejects_after = 0
        self._log_s: dict[str, Floats] = {}
        self._past = np.zeros((len(MEMORIES), 0))
        self._lots_tested = 0
        self._trail = ScoreTrail()
        self._decided: deque[tuple[float, bool]] = deque(maxlen=settings.lot_parts)
        """Score and decision of the latest parts."""
        self._rejected: deque[NDArray[np.float32]] = deque(maxlen=LONG)
        self._state = self._between_lots()

    def update(self, record: InspectionRecord) -> bool:
        """Take one part; True when a lot was completed."""
        if record.seq and record.seq <= self.resume_after:
            return False
        if self._rejects is not None and (not record.seq or record.seq > self._rejects_after):
            self._rejects.update(bool(judged_rejected(record)))
            self._rejects_after = record.seq
        self._parts.append(record)
        self._decided.append((record.score or 0.0, bool(judged_rejected(record))))
        threshold = self.reference.accept_below if self.reference else record.review_at
        if record.embedding is not None and record.score is not None and record.score >= threshold:
            self._rejected.append(record.embedding)
        if len(self._parts) < self.settings.lot_parts * (self.reference.merge if self.reference else 1):
            return False
        self._finish_lot()
        return True

    @property
    def reject_rate_left(self) -> bool:
        """The reject rate's evidence is at its threshold; asked after every part."""
        return self._rejects is not None and self._rejects.alarming

    @property
    def rejects_rose(self) -> bool:
        """The direction in which the reject rate moved, if it did."""
        return self._rejects is not None and self._rejects.rose

    @property
    def worth_another_look(self) -> bool:
        """Every 30 parts of a lot: enough new ones for the cause of an open alarm to be asked again."""
        return bool(self._parts) and len(self._parts) % FEWEST_PARTS == 0

    @property
    def unfinished(self) -> bool:
        """There are parts since the last full lot, which the state does not hold."""
        return bool(self._parts)

    def log_value(self, quantity: str) -> float:
        """log S; -inf while the reference is being collected."""
        if quantity == REJECT_RATE:
            return self._rejects.log_value() if self._rejects else -np.inf
        return log_mean(self._log_s[quantity]) if quantity in self._log_s else -np.inf

    def log_threshold(self, quantity: str) -> float:
        s = self.settings
        lot_parts = s.lot_parts * (self.reference.merge if self.reference else 1)
        return log_threshold(s.horizon_parts / (1 if quantity == REJECT_RATE else lot_parts), s.streams, s.alpha)

    def moved(self, quantity: str) -> bool:
        """Weaker than an alarm, for naming causes: S is 20 times its mean when nothing happens, or the latest parts are far off."""
        if quantity == REJECT_RATE:
            return self.log_value(quantity) >= self.log_threshold(quantity)
        if self.log_value(quantity) > np.log(20.0 * max(self._lots_tested, 1)):
            return True
        return quantity != EMBEDDING and any(
            bool(np.abs(self.z(quantity, lot)).max() >= STRIKING_Z) for lot in (self.latest(), self.latest(newest=True)) if lot
        )

    def latest(self, fewest: int = FEWEST_PARTS, *, newest: bool = False) -> TestedLot | None:
        """The parts since the last lot when there are ``fewest``, z shrunk for their number; otherwise the last lot.

        newest: only the last ``fewest`` of them, which a change in the middle of the lot has not diluted."""
        if self.reference is None or len(self._parts) < fewest:
            return self.last
        parts = self._parts[-fewest:] if newest else self._parts
        data = LotData.of(parts, self.reference.accept_below)
        return self._compare(data, self.reference, share=len(parts) / (self.settings.lot_parts * self.reference.merge))

    def score_move(self) -> ScoreMove:
        """How the scores changed since the likeliest change point."""
        reference = self.reference
        if reference is None:
            return ScoreMove()
        unfinished, share = None, 0.0
        if len(self._parts) >= FEWEST_PARTS:
            scores = log_odds(np.array([record.score for record in self._parts], float))
            unfinished = score_features(scores, reference.quantiles)[SHARES] - reference.score.mean[SHARES]
            share = len(self._parts) / (self.settings.lot_parts * reference.merge)
        return self._trail.move(reference.score.sigma[SHARES], unfinished, share)

    def threshold_effect(self) -> tuple[float, float, int] | None:
        """Of the latest parts: share that the reference's threshold would have rejected, share that was; and how many they are.

        None unless the threshold itself, not the scores, explains the difference between the two."""
        if self.reference is None or not self._decided:
            return None
        n, p0 = len(self._decided), self.reference.reject_rate
        then = sum(score >= self.reference.accept_below for score, _ in self._decided) / n
        now = sum(rejected for _, rejected in self._decided) / n
        as_before = abs(then - p0) <= 3 * np.sqrt(p0 * (1 - p0) / n) + self.settings.reject_tolerance
        changed = any((score >= self.reference.accept_below) is not rejected for score, rejected in self._decided)
        return (then, now, n) if changed and as_before and abs(now - then) > abs(then - p0) else None

    @property
    def unlike_rejects(self) -> tuple[int, int]:
        """Of the latest rejects, how many look like nothing in the reference; (0, 0) when that cannot be told.

        Of the last few when these are striking, otherwise of as many as are kept."""
        if self.reference is None or self.reference.look is None or len(self._rejected) < FEWEST:
            return 0, 0
        unlike = self.reference.look.unlike(sketches_of(self._rejected))
        newest = unlike[-LATEST:]
        if strikes(int(newest.sum()), len(newest)):
            return int(newest.sum()), len(newest)
        return int(unlike.sum()), len(unlike)

    @property
    def accepted_pictures_as_before(self) -> bool:
        """Picture quality of the latest parts that the reference's threshold would accept is within what lots show: where the light
        changes it changes for them too; where a new product is rejected as a whole it does not."""
        lot = self.latest()
        if self.reference is None or self.reference.quality is None or lot is None or not len(lot.data.quality):
            return False
        accepted = lot.data.scores < log_odds(np.array([self.reference.accept_below]))[0]
        if accepted.sum() < FEWEST_PARTS / 2:
            return False
        share = float(accepted.sum()) / (self.settings.lot_parts * self.reference.merge)
        z = self.reference.quality.z(lot.data.quality[accepted].mean(0), share)
        return bool(np.abs(z).max() < AS_BEFORE_Z)

    @staticmethod
    def z(quantity: str, lot: TestedLot) -> Floats:
        return lot.score_z if quantity == SCORE else lot.quality_z

    def restart(self, quantity: str) -> None:
        """After an acknowledged alarm: the evidence starts again, the reference stays."""
        if quantity == REJECT_RATE:
            if self._rejects is not None:
                self._rejects.restart()
        elif quantity in self._log_s:
            self._log_s[quantity] = np.full_like(self._log_s[quantity], -np.inf)
            if quantity == EMBEDDING:
                self._past = np.zeros_like(self._past)
        self._state = self._between_lots()

    def relearn(self) -> None:
        """What is seen from now on is normal: collect a new reference."""
        self.resume_after = self._parts[-1].seq if self._parts else self.resume_after
        self.reference, self.last, self._rejects = None, None, None
        self._parts, self._learned, self._log_s, self._lots_tested = [], [], {}, 0
        self._trail.clear()
        self._decided.clear()
        self._rejected.clear()
        self._state = self._between_lots()

    # --- lots ---------------------------------------------------------------------------------------------

    def _finish_lot(self) -> None:
        parts, self._parts = self._parts, []
        data = LotData.of(parts, self.reference.accept_below if self.reference else None)
        if self.reference is None:
            self._learned.append(data.summary())
            if len(self._learned) >= self.settings.reference_lots:
                self._begin(Reference.of([lot for lot in self._learned if isinstance(lot, dict)]))
        else:
            self._test(data, self.reference)
        self.resume_after = max(self.resume_after, parts[-1].seq)
        self._state = self._between_lots()

    def _begin(self, reference: Reference) -> None:
        """Start the detectors on a fitted reference."""
        self.reference, self._learned = reference, []
        bounds = null_rates(reference.reject_rate, self.settings.reject_tolerance)
        self._rejects = TwoSidedRejectRate(*bounds, self.log_threshold(REJECT_RATE))
        self._log_s = {SCORE: np.full((len(SCORE_FEATURES), 2, len(DELTAS)), -np.inf)}
        if reference.quality is not None:
            self._log_s[QUALITY] = np.full((len(QUALITY_FEATURES), 2, len(DELTAS)), -np.inf)
        if reference.embedding is not None:
            self._log_s[EMBEDDING] = np.full((len(MEMORIES), len(DELTAS)), -np.inf)
            self._past = np.zeros((len(MEMORIES), reference.embedding.axes.shape[1]))

    def _test(self, data: LotData, reference: Reference) -> None:
        self._lots_tested += 1
        lot = self.last = self._compare(data, reference)
        shares = score_features(data.scores, reference.quantiles)[SHARES]
        self._trail.add(shares - reference.score.mean[SHARES])
        self._step(SCORE, two_sided_log_factors(lot.score_z, reference.score.tolerance))
        if reference.quality is not None and len(data.quality):
            self._step(QUALITY, two_sided_log_factors(lot.quality_z, reference.quality.tolerance))
        if reference.embedding is not None and len(data.sketches):
            z = reference.embedding.whiten(data.sketches.mean(0))
            factors, _, self._past = direction_log_factors(z, self._past, reference.embedding.tolerance)
            self._step(EMBEDDING, factors)

    def _compare(self, data: LotData, reference: Reference, share: float = 1.0) -> TestedLot:
        score_z = reference.score.z(score_features(data.scores, reference.quantiles), share)
        quality_z, projection = np.zeros(len(QUALITY_FEATURES)), np.zeros(0)
        if reference.quality is not None and len(data.quality):
            quality_z = reference.quality.z(data.quality.mean(0), share)
        if reference.embedding is not None and len(data.sketches):
            axes, lots = reference.embedding.axes, reference.embedding.lots
            projection = ((data.sketches @ axes - lots.mean) / lots.sigma) @ self._past[0]
        return TestedLot(data, score_z, quality_z, projection)

    def _step(self, quantity: str, factors: Floats) -> None:
        self._log_s[quantity] = np.logaddexp(self._log_s[quantity], 0) + factors

    # --- state --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Json]:
        """As of the last full lot; the reject rate, which needs no lot, as of ``rejects_after``. JSON, exact to the bit."""
        return self._state

    def _between_lots(self) -> dict[str, Json]:
        past: list[Json] = [[float(v) for v in row] for row in self._past]
        return {
            "resume_after": self.resume_after,
            "learned": list(self._learned),
            "reference": self.reference.state() if self.reference else None,
            "lots_tested": self._lots_tested,
            "log_s": {name: [None if v == -np.inf else float(v) for v in s.ravel()] for name, s in self._log_s.items()},
            "past": past,
            "trail": self._trail.state(),
            "rejects": self._rejects.state() if self._rejects else None,
            "rejects_after": self._rejects_after,
        }

    def restore(self, state: Mapping[str, Json]) -> None:
        learned, reference, log_s, rejects = state["learned"], state["reference"], state["log_s"], state["rejects"]
        assert isinstance(learned, list)
        assert isinstance(log_s, dict)
        self.resume_after, self._rejects_after = int(str(state["resume_after"])), int(str(state["rejects_after"]))
        self._learned, self._lots_tested = list(learned), int(str(state["lots_tested"]))
        if isinstance(reference, dict):
            self._begin(Reference.restored(reference))
            for name, values in log_s.items():
                assert isinstance(values, list)
                flat = [-np.inf if v is None else float(str(v)) for v in values]
                self._log_s[name] = np.array(flat).reshape(self._log_s[name].shape)
            self._past = np.array(state["past"], float).reshape(self._past.shape)
        self._trail.restore(state["trail"])
        if isinstance(rejects, dict):
            self._rejects = TwoSidedRejectRate.restored(rejects, self.log_threshold(REJECT_RATE))
        self._state = self._between_lots()
