"""From detectors to words: what moved in a variant, and which parts show it best."""

import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.alarm import Cause
from qc.monitor.cause import Findings
from qc.monitor.input_watch import EMBEDDING, QUALITY, REJECT_RATE, SCORE, InputWatch
from qc.monitor.label_watch import DETECTION, FALSE_POSITIVE, PREVALENCE, LabelWatch
from qc.monitor.novelty import strikes
from qc.monitor.reference import QUALITY_FEATURES, SCORE_FEATURES
from qc.monitor.score_move import ScoreMove

Floats: TypeAlias = NDArray[np.float64]

SUSPICIOUS = math.log(20.0)
"""Label evidence that counts when a cause is sought, beyond log of the windows seen; far below an alarm."""

REJECT_RATE_FALL = "reject_rate_fall"
"""Not a quantity of its own: the words and the grades of a reject rate that fell."""

_WORDS = {
    DETECTION: "the detection rate is below its floor",
    FALSE_POSITIVE: "the false-positive rate is above its ceiling",
    PREVALENCE: "more parts are defective than the bound",
    SCORE: "the scores have moved",
    QUALITY: "the picture quality has moved",
    EMBEDDING: "the parts look different",
    REJECT_RATE: "the reject rate has risen",
    REJECT_RATE_FALL: "the reject rate has fallen",
}


def findings_of(
    watches: Mapping[str, InputWatch], labels: LabelWatch, *, faulty_share: float, label_threshold: float
) -> Findings:
    """watches: by camera, of one variant. label_threshold: log of the alarm threshold of the label streams."""
    learned = [watch for watch in watches.values() if watch.reference is not None]
    latest = [lot for watch in learned if (lot := watch.latest()) is not None]
    score_z, quality_z = _farthest([lot.score_z for lot in latest]), _farthest([lot.quality_z for lot in latest])
    score_moved, quality_moved = (any(watch.moved(what) for watch in learned) for what in (SCORE, QUALITY))
    move = max((watch.score_move() for watch in learned), key=lambda move: abs(move.tail), default=ScoreMove())
    effect = next((found for watch in learned if (found := watch.threshold_effect()) is not None), None)
    shift = labels.shift()
    unlike, rejects = max((watch.unlike_rejects for watch in learned), key=lambda of: of[0] / max(of[1], 1), default=(0, 0))
    suspicion = SUSPICIOUS + math.log(max(labels.windows, 1))
    return Findings(
        watched=bool(learned),
        faulty_share=faulty_share,
        quality_moved=quality_moved,
        quality_text=_feature_text(QUALITY_FEATURES, quality_z) if quality_moved else "",
        accepted_pictures_as_before=bool(learned) and all(watch.accepted_pictures_as_before for watch in learned),
        embedding_moved=any(watch.moved(EMBEDDING) for watch in learned),
        score_moved=score_moved,
        score_text=_feature_text(SCORE_FEATURES, score_z) if score_moved else "",
        only_high_scores=move.only_high,
        high_scores_text=move.text,
        threshold_text=_threshold_text(effect) if effect else "",
        rejects_unlike=strikes(unlike, rejects),
        rejects_text=f"{unlike} of the latest {rejects} rejected parts look like none before" if unlike else "",
        reject_rate_moved=any(watch.moved(REJECT_RATE) for watch in learned),
        rejects_rose=any(watch.moved(REJECT_RATE) and watch.rejects_rose for watch in learned),
        defects_moved=shift.more_defects or shift.fewer_defects,
        false_rejects_rose=shift.more_false_rejects,
        labels_text=shift.text,
        prevalence_moved=labels.log_value(PREVALENCE) >= suspicion,
        detection_fell=labels.log_value(DETECTION) >= label_threshold,
        false_positives_rose=labels.log_value(FALSE_POSITIVE) >= label_threshold,
    )


def message(quantity: str, name: str, log_value: float, log_threshold: float) -> str:
    """One sentence for people. quantity: also ``REJECT_RATE_FALL``."""
    evidence, bar = log_value / math.log(10), log_threshold / math.log(10)
    return f"{name}: {_WORDS[quantity]} (evidence 10^{evidence:.1f}, alarm from 10^{bar:.1f})"


def telling_parts(quantity: str, watch: InputWatch) -> list[str]:
    """Event ids of the latest parts that show the move best, most telling first."""
    lot = watch.latest(fewest=2) if quantity == REJECT_RATE else watch.latest()
    if lot is None:
        return []
    data = lot.data
    if quantity == REJECT_RATE and not watch.rejects_rose:  # the nearest to being rejected, which perhaps should have been
        accepted = np.flatnonzero(~data.rejected)
        return [data.event_ids[int(i)] for i in accepted[np.argsort(-data.scores[accepted], kind="stable")]]
    if quantity == REJECT_RATE:
        rejects = np.flatnonzero(data.rejected)
        return [data.event_ids[int(i)] for i in rejects[np.argsort(-data.scores[rejects], kind="stable")]]
    if quantity == EMBEDDING:
        return [data.event_ids[data.sketched[int(i)]] for i in np.argsort(-lot.projection, kind="stable")]
    values, z = (data.scores[:, None], lot.score_z[:1]) if quantity == SCORE else (data.quality, lot.quality_z)
    if not len(values):
        return []
    far = int(np.abs(z).argmax())
    return [data.event_ids[int(i)] for i in np.argsort(-np.sign(z[far]) * values[:, far], kind="stable")]


def parts_for(cause: Cause, watches: Iterable[InputWatch]) -> list[str]:
    """Event ids that show a cause best, for an alarm that was raised without knowing it."""
    quantity = {Cause.ENVIRONMENT: QUALITY, Cause.NEW_APPEARANCE: EMBEDDING}.get(cause, REJECT_RATE)
    return [part for watch in watches for part in telling_parts(quantity, watch)]


def _threshold_text(effect: tuple[float, float, int]) -> str:
    then, now, n = effect
    return (
        f"the threshold was changed: {100 * now:.1f} % of the latest {n} parts are rejected, "
        f"{100 * then:.1f} % would be with the reference's"
    )


def _farthest(candidates: list[Floats]) -> Floats:
    """The camera whose features are farthest off."""
    return max(candidates, key=lambda z: float(np.abs(z).max()), default=np.zeros(5))


def _feature_text(names: tuple[str, ...], z: Floats) -> str:
    far = int(np.abs(z).argmax())
    return f"{names[far]} {'rose' if z[far] > 0 else 'fell'} by {abs(z[far]):.1f} lot-to-lot standard deviations"
