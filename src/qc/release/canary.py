"""Watching a candidate that decides parts: reasons to take the decision back from it, from one part to the next.

Asked in the line's judging thread, so it only computes: a microsecond per part. The reject rate is watched both ways, with e-detectors (see
``monitor.reject_rate``): P(a needless rollback within HORIZON canary parts) <= ALPHA while the true rate lies between a third of the
active model's and that plus TOLERANCE. A candidate that accepts everything is as wrong as one that rejects everything.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from qc.domain.record import InspectionRecord
from qc.domain.truth import Answer, Purpose
from qc.domain.verdict import Decision, Reason
from qc.label.strata import is_accepted_stratum
from qc.monitor.evidence import log_threshold
from qc.monitor.label_watch import DETECTION, FALSE_POSITIVE, LabelWatch, RateBounds
from qc.monitor.reject_rate import RejectRateDetector

HORIZON = 10_000
ALPHA = 0.01
TOLERANCE = 0.05
LARGEST_FALL = 3.0


@dataclass(frozen=True, slots=True)
class CanaryRules:
    """errors: model errors or missed deadlines that end it. slow_share of the recipe's deadline: the limit of the median
    time from trigger to verdict over the last ``window`` canary parts."""

    errors: int = 1
    slow_share: float = 0.5
    window: int = 20


class CanaryGuard:
    """baseline_reject_rate: of the active model, in [0, 1). measured: it was seen lately, not assumed; only then a fall below it counts."""

    def __init__(
        self, baseline_reject_rate: float, deadline_ms: float, rules: CanaryRules | None = None, *, measured: bool = True
    ) -> None:
        self._measured = measured
        self._rules = rules or CanaryRules()
        self._deadline_ms = deadline_ms
        self.baseline = min(max(baseline_reject_rate, 0.002), 0.9)
        bar = log_threshold(HORIZON, 2, ALPHA)
        self._rising = RejectRateDetector(min(self.baseline + TOLERANCE, 0.95), bar)
        self._falling = RejectRateDetector(1 - self.baseline / LARGEST_FALL, bar)
        self._times_ms: deque[float] = deque(maxlen=self._rules.window)
        self.errors = 0
        self.parts = 0

    def failed(self) -> str:
        """The candidate could not judge a part (the active model has); returns a reason to end it, or an empty text."""
        self.errors += 1
        return f"{self.errors} parts could not be judged by the candidate" if self.errors >= self._rules.errors else ""

    def judged(self, record: InspectionRecord) -> str:
        """One part that the candidate decided; returns a reason to end it, or an empty text."""
        self.parts += 1
        if record.verdict.reason in (Reason.MODEL_ERROR, Reason.DEADLINE_MISSED):
            return self.failed()
        if record.verdict.decision is Decision.NOT_INSPECTED or record.score is None or record.challenge_id is not None:
            return ""
        rejected = record.score >= record.review_at
        self._rising.update(rejected)
        self._falling.update(not rejected)
        self._times_ms.append(record.timings.total_ms)
        if self._rising.alarming:
            return f"its reject rate jumped above {self._rising.null_rate:.1%} within {self.parts} parts"
        if self._measured and self._falling.alarming:
            return f"it rejects far fewer than the active model's {self.baseline:.1%} within {self.parts} parts"
        limit_ms = self._rules.slow_share * self._deadline_ms
        if len(self._times_ms) == self._rules.window and sorted(self._times_ms)[self._rules.window // 2] > limit_ms:
            return f"it is too slow: half of its last {self._rules.window} parts took more than {limit_ms:.0f} ms"
        return ""


LowestQ: TypeAlias = Callable[[str, str, str], tuple[float, float]]
"""(variant, recipe version, window) -> smallest inclusion probability of the plan's rejected and accepted strata."""
WINDOWS = 100
"""Shifts over which the bound on needless rollbacks by labels holds."""


class CanaryLabels:
    """Detection and false-positive rate of the parts that the candidate decided: the monitor's e-detectors on their labels alone."""

    def __init__(self, bounds: RateBounds, lowest_q: LowestQ) -> None:
        self.taken = 0
        """Labels that count so far; a second look or a correction of a part counts again."""
        self._watch = LabelWatch(bounds)
        self._lowest_q = lowest_q
        self._lock = threading.Lock()

    def take(self, record: InspectionRecord, answer: Answer) -> str:
        """One label; returns a reason to end the canary, or an empty text. Labels drawn for other purposes say nothing here."""
        ticket, label = answer.ticket, answer.label
        if ticket.purpose not in (Purpose.ESTIMATE, Purpose.ADJUDICATE):
            return ""
        with self._lock:
            rejected_q, accepted_q = self._lowest_q(record.variant, record.recipe_version, ticket.window)
            self._watch.start(ticket.window, q_rejected=rejected_q, q_accepted=accepted_q)
            self.taken += self._watch.label(
                ticket.window,
                ticket.event_id,
                q=ticket.inclusion_probability,
                rejected=not is_accepted_stratum(ticket.stratum),
                review_round=label.review_round,
                truth=label.truth,
            )
            bar = log_threshold(WINDOWS, 2, 0.05)
            for quantity in (DETECTION, FALSE_POSITIVE):
                if self._watch.log_value(quantity) >= bar:
                    return f"labels say that its {quantity.replace('_', ' ')} is out of bounds"
        return ""
