"""Candidate against active model on production parts, from the shadow's counts and its labels with known probabilities."""

from collections.abc import Iterable, Mapping

import numpy as np

from qc.domain.truth import Answer, Truth
from qc.evaluate.compare import (
    Difference,
    PairedPopulation,
    paired_detection_difference,
    paired_false_positive_difference,
)
from qc.evaluate.sample import LabelledSample
from qc.record.shadow_store import CELLS


def shadow_comparison(
    run: str, cells: Mapping[str, int], answers: Iterable[Answer], confidence: float = 0.95
) -> tuple[Difference, Difference]:
    """(detection rate, false-positive rate), candidate minus active. answers: any; those of other runs are passed over.

    Unbiased for the parts that the shadow judged: each label counts for the parts of its joint decision. Raises EvaluationError.
    """
    said: dict[str, Answer] = {}
    for answer in answers:
        if answer.ticket.policy == f"shadow/{run}":
            said[answer.ticket.ticket_id] = answer  # a correction comes later and replaces what it corrects
    settled = [answer for answer in said.values() if answer.label.truth is not Truth.UNSURE]
    sample = LabelledSample(
        defective=np.array([answer.label.truth is Truth.DEFECT for answer in settled], bool),
        stratum=np.array([CELLS.index(answer.ticket.stratum) for answer in settled], np.int64),
        inclusion_probability=np.array([answer.ticket.inclusion_probability for answer in settled], float),
    )
    population = PairedPopulation(
        parts=np.array([cells[cell] for cell in CELLS], np.int64),
        rejected_a=np.array([cell in ("both_reject", "only_active_rejects") for cell in CELLS]),
        rejected_b=np.array([cell in ("both_reject", "only_candidate_rejects") for cell in CELLS]),
        names=CELLS,
    )
    return (
        paired_detection_difference(sample, population, confidence),
        paired_false_positive_difference(sample, population, confidence),
    )
