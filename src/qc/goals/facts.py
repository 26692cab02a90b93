"""Counts that stand beside the rates: what was inspected, what was asked and answered, what was left out and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from qc.domain.ports import TruthStore
from qc.domain.verdict import Decision
from qc.goals.period import Period


@dataclass(frozen=True, slots=True)
class PartFacts:
    """decisions: all records of the period by decision, challenge parts apart. not_inspected: by reason.

    judged: production parts that the rates are about; unplanned: judged without a sampling plan, so without rates.
    """

    records: int
    decisions: Mapping[str, int]
    not_inspected: Mapping[str, int]
    challenge_passes: int
    judged: int
    rejected: int
    reviewed: int
    unplanned: int


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """asked, answered, expired: first looks. used: settled truths in the rates. unconfirmed: defects on accepted parts that wait for
    their second look. unsure: parts on which every look was unsure. orphaned: labels whose record is gone. seconds: spent labelling."""

    asked: int
    answered: int
    expired: int
    used: int
    defects: int
    unconfirmed: int
    unsure: int
    orphaned: int
    labellers: int
    seconds: float


def part_facts(period: Period) -> PartFacts:
    """Counted over all records of the period."""
    records = period.records
    parts = np.bincount(records.combination, minlength=len(records.combinations)) if len(records.seq) else np.zeros(0, int)
    decisions, reasons = Counter[str](), Counter[str]()
    challenge = 0
    for combination, count in zip(records.combinations, parts, strict=True):
        decision, reason, challenge_id = combination[5], combination[6], combination[8]
        if challenge_id:
            challenge += int(count)
            continue
        decisions[decision] += int(count)
        if decision == Decision.NOT_INSPECTED.value:
            reasons[reason] += int(count)
    return PartFacts(
        records=len(records.seq),
        decisions={decision.value: decisions[decision.value] for decision in Decision},
        not_inspected=dict(reasons.most_common()),
        challenge_passes=challenge,
        judged=period.judged,
        rejected=period.rejected,
        reviewed=period.reviewed,
        unplanned=period.production.unplanned,
    )


def label_facts(period: Period, truth: TruthStore, now: datetime) -> LabelFacts:
    """Counted over the shifts that the period touches."""
    progress = [truth.progress(window, now) for window in period.records.column("shift")[1]]
    looks, labels = period.looks, period.labels
    said = ~np.isnan(looks.seconds_spent)
    typical_s = float(looks.seconds_spent[said].mean()) if said.any() else 0.0
    return LabelFacts(
        asked=sum(one.asked for one in progress),
        answered=sum(one.answered for one in progress),
        expired=sum(one.expired for one in progress),
        used=len(labels.row),
        defects=int(labels.defective.sum()),
        unconfirmed=int(labels.unconfirmed.sum()),
        unsure=period.production.unsure,
        orphaned=period.production.orphaned,
        labellers=len(looks.labellers),
        # Who does not say how long it took is taken to need as long as the others.
        seconds=float(looks.seconds_spent[said].sum()) + typical_s * int((~said).sum()),
    )
