"""A model that takes over from a parent: what it gained and lost, variant by variant, on the same held-out pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from qc.domain.model import ModelCard
from qc.domain.record import Json
from qc.inspection.session import Runtime, load_inspector
from qc.training.evaluation import Judged, judge, summary
from qc.training.features import Progress, Roi

MAX_LOSS = 0.01


def compare_with_parent(card: ModelCard, parent: Path, judged: Judged, roi: Roi, progress: Progress) -> ModelCard:
    """The card with the parent's rates beside the new ones; a variant that lost more than a point of AUROC becomes a limit.

    Some of the pictures may have been in the parent's training, which flatters the parent, never the new model.
    """
    inspector = load_inspector(parent, Runtime(intra_op_threads=1))
    before = judge(inspector, judged.samples, roi, progress)
    old: Any = summary(before, inspector.card.reject_at, inspector.card.review_at)["slices"]
    new: Any = summary(judged, card.reject_at, card.review_at)["slices"]
    limits = list(card.limits)
    table: dict[str, Json] = {}
    for variant, row in new["variant"].items():
        was, now = old["variant"][variant]["auroc"], row["auroc"]
        table[variant] = {"parent_auroc": was, "auroc": now}
        if variant in inspector.card.variants and was is not None and now is not None and now < was - MAX_LOSS:
            limits.append(f"variant {variant}: AUROC {now:.3f}, the parent {inspector.card.model_id} had {was:.3f}")
    rates: dict[str, Json] = {**card.rates, "parent": {"model_id": inspector.card.model_id, "by_variant": table}}
    return replace(card, rates=rates, limits=tuple(limits), parent=inspector.card.model_id)
