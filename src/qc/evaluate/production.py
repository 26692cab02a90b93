"""From stored records and labels to what the estimators take: judged production parts with their strata, and settled truths.

Strata are those of the plan in force in each part's window, told apart by policy: labels drawn under different plans
are never thrown together as if they had been equally likely. Left out, and counted: parts in windows without a plan,
labels whose record is gone, and parts on which every look was unsure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.columns import FIELDS, LabelColumns, RecordColumns
from qc.domain.truth import Purpose, Rate
from qc.domain.verdict import Decision, Reason
from qc.evaluate.adjudicate import DEFECT, UNSURE, settle
from qc.evaluate.agreement import Answers
from qc.evaluate.challenge import challenge_detection_rate
from qc.evaluate.slices import Labels, Parts
from qc.label.plan import SamplingPlan
from qc.label.strata import is_accepted_stratum

SLICE_COLUMNS = ("variant", "camera_id", "shift", "model_id", "recipe_version")

Plans: TypeAlias = Mapping[tuple[str, str, str], SamplingPlan]
"""By (variant, recipe_version, window)."""
PlanOf: TypeAlias = Callable[[str, str, str], SamplingPlan | None]
"""The plan in force for (variant, recipe_version, window)."""


@dataclass(frozen=True, slots=True)
class Production:
    """parts and labels for ``slices``. row: (N,) index of each part in the RecordColumns; the rest counts what was left out."""

    parts: Parts
    labels: Labels
    row: NDArray[np.int64]
    unplanned: int
    orphaned: int
    unsure: int


def production(records: RecordColumns, labels: LabelColumns, plans: Plans, *, third_look: bool = True) -> Production:
    """Judged production parts of the active model and their labels for estimates."""
    combos = records.combinations
    judged = records.per_combination([_is_production(c) for c in combos]) & ~np.isnan(records.score)
    planned = judged & records.per_combination([(c[0], c[4], c[2]) in plans for c in combos])
    row = np.flatnonzero(planned)
    strata = strata_of(plans)
    stratum = _stratum_of_parts(records, row, plans, strata)
    columns, levels = {}, {}
    for name in SLICE_COLUMNS:
        codes, levels[name] = records.column(name)
        columns[name] = codes[row]
    reviewed = records.per_combination([c[5] == Decision.REVIEW.value for c in combos])[row]
    parts = Parts(columns, levels, stratum, reviewed, strata.names, strata.rejected)
    settled, orphaned, unsure = _labels(records.seq[row], labels, third_look)
    return Production(parts, settled, row, int(judged.sum() - planned.sum()), orphaned, unsure)


def _is_production(combination: tuple[str, ...]) -> bool:
    _, _, _, _, _, decision, _, role, challenge_id = combination
    return decision != Decision.NOT_INSPECTED.value and role == "active" and not challenge_id


def _is_rejected(combination: tuple[str, ...]) -> bool:
    """The model's decision, see ``label.strata.judged_rejected``."""
    return combination[5] != Decision.OK.value and combination[6] != Reason.REVIEW_ALL.value


@dataclass(frozen=True, slots=True)
class Strata:
    """names, rejected (H,): accepted ones of all policies first, each policy in score order. code_of: (policy, its stratum) -> code."""

    names: tuple[str, ...]
    rejected: NDArray[np.bool_]
    code_of: Mapping[tuple[str, int], int]


def strata_of(plans: Plans) -> Strata:
    """The strata of all these plans, told apart by policy."""
    by_policy = {plan.policy: plan for plan in plans.values()}
    order = [
        (policy, h) for accepted in (True, False) for policy, plan in sorted(by_policy.items()) for h in _side(plan, accepted)
    ]
    if not order:  # no plan, so no part either: two empty strata, from which every rate says why it cannot be had
        return Strata(("a1", "r1"), np.array([False, True]), {})
    names = tuple(f"{by_policy[policy].names[h]}@{policy}" for policy, h in order)
    rejected = np.array([not is_accepted_stratum(name) for name in names], bool)
    return Strata(names, rejected, {key: code for code, key in enumerate(order)})


def plans_among(records: RecordColumns, plan_of: PlanOf) -> Plans:
    """The plans that were in force among the records, where there was one."""
    variant, version, shift = (FIELDS.index(name) for name in ("variant", "recipe_version", "shift"))
    keys = sorted({(names[variant], names[version], names[shift]) for names in records.combinations})
    found = {key: plan_of(*key) for key in keys}
    return {key: plan for key, plan in found.items() if plan is not None}


def _stratum_of_parts(records: RecordColumns, row: NDArray[np.int64], plans: Plans, strata: Strata) -> NDArray[np.int64]:
    combos = records.combinations
    by_policy = {plan.policy: plan for plan in plans.values()}
    policies = sorted(by_policy)
    of_combination = [plans.get((c[0], c[4], c[2])) for c in combos]
    policy_code = np.array([policies.index(plan.policy) if plan else -1 for plan in of_combination], np.int64)
    which = policy_code[records.combination[row]] if len(combos) else np.zeros(0, np.int64)
    rejected = records.per_combination([_is_rejected(c) for c in combos])[row]
    stratum = np.zeros(len(row), np.int64)
    for code, policy in enumerate(policies):
        mine = which == code
        plan = by_policy[policy]
        table = np.array([strata.code_of[policy, h] for h in range(len(plan.names))], np.int64)
        stratum[mine] = table[plan.strata_of(records.score[row][mine], rejected[mine])]
    return stratum


def _side(plan: SamplingPlan, accepted: bool) -> list[int]:
    return [h for h, name in enumerate(plan.names) if is_accepted_stratum(name) is accepted]


def _labels(seq: NDArray[np.int64], labels: LabelColumns, third_look: bool) -> tuple[Labels, int, int]:
    """Settled truths of the parts with these seq (ascending); numbers of labels without a part and of unsure parts."""
    purposes = [code for code, name in enumerate(labels.purposes) if name in (Purpose.ESTIMATE.value, Purpose.ADJUDICATE.value)]
    use = np.flatnonzero(np.isin(labels.purpose, purposes))
    on_accepted = np.array([is_accepted_stratum(name) for name in labels.strata], bool)
    rejected = ~on_accepted[labels.stratum[use]] if len(use) else np.zeros(0, bool)
    event = labels.event[use].astype(np.int64)
    truth = settle(
        event, labels.review_round[use].astype(np.int64), labels.said[use].astype(np.int64), rejected, third_look=third_look
    )
    _, first = np.unique(event, return_index=True)
    of_event = use[first]
    # The type is that of the last look that saw a defect.
    kind = np.zeros(len(labels.events), np.int64)
    saw = use[labels.said[use] == DEFECT]
    saw = saw[np.argsort(labels.review_round[saw], kind="stable")]
    kind[labels.event[saw]] = labels.defect_type[saw]
    part_seq = labels.seq[of_event]
    row = np.searchsorted(seq, part_seq)
    found = (row < len(seq)) & (part_seq >= 0)
    found[found] = seq[row[found]] == part_seq[found]
    keep = found & ~truth.unsure
    settled = Labels(
        row=row[keep],
        defective=truth.defective[keep],
        inclusion_probability=labels.inclusion_probability[of_event][keep],
        unconfirmed=truth.unconfirmed[keep],
        defect_type=kind[truth.event[keep]],
        defect_types=labels.defect_types,
    )
    return settled, int((~found).sum()), int((found & truth.unsure).sum())


def challenge_rate(records: RecordColumns, *, variant: str | None = None, confidence: float = 0.95) -> Rate:
    """DR of the registered challenge parts in these records (of one variant), apart from production."""
    codes, _ = records.column("challenge_id")
    wanted = [
        bool(c[8]) and c[5] != Decision.NOT_INSPECTED.value and c[7] == "active" and variant in (None, c[0])
        for c in records.combinations
    ]
    passes = records.per_combination(wanted)
    rejected = records.per_combination([_is_rejected(c) for c in records.combinations])
    return challenge_detection_rate(rejected[passes], codes[passes].astype(np.int64), confidence)


def agreement_answers(labels: LabelColumns) -> Answers:
    """Every usable look of every labeller; known parts carry their settled truth. Training labels are left out."""
    training = [code for code, name in enumerate(labels.purposes) if name == Purpose.TRAINING.value]
    use = (labels.said != UNSURE) & ~np.isin(labels.purpose, training)
    return Answers(
        labels.event[use].astype(np.int64),
        labels.labeller[use].astype(np.int64),
        labels.said[use] == DEFECT,
        labels.known[use].astype(np.int64),
    )
