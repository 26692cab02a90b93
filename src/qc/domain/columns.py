"""Inspection records and labels as struct of arrays: what reports over millions of parts are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.int32]

FIELDS = ("variant", "camera_id", "shift", "model_id", "recipe_version", "decision", "reason", "role", "challenge_id")


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """Records in the order of seq; arrays of shape (N,). A row's strings are ``combinations[combination[row]]``.

    seq: int64. decided_us: int64, UTC microseconds. score: float64, nan where nothing was judged. brightness: float32, nan
    where unknown. combination: int32 code of the row's ``FIELDS``; challenge_id is empty for production. There are few combinations, however many parts.
    """

    seq: NDArray[np.int64]
    decided_us: NDArray[np.int64]
    score: NDArray[np.float64]
    brightness: NDArray[np.float32]
    combination: Codes
    combinations: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> tuple[Codes, tuple[str, ...]]:
        """One string field as codes (N,) into its levels (sorted)."""
        index = FIELDS.index(name)
        levels = tuple(sorted({combination[index] for combination in self.combinations}))
        code_of = {level: code for code, level in enumerate(levels)}
        table = np.array([code_of[combination[index]] for combination in self.combinations], np.int32)
        return (table[self.combination] if len(table) else self.combination), levels

    def where(self, keep: NDArray[np.bool_]) -> "RecordColumns":
        """Only the rows where ``keep`` (N,) is true."""
        return RecordColumns(
            self.seq[keep],
            self.decided_us[keep],
            self.score[keep],
            self.brightness[keep],
            self.combination[keep],
            self.combinations,
        )

    def per_combination(self, values: list[bool]) -> NDArray[np.bool_]:
        """(N,) of a truth that depends on the strings only; values: one per combination."""
        return np.array(values, bool)[self.combination] if values else np.zeros(len(self.seq), bool)


def concatenate(batches: Sequence[RecordColumns]) -> RecordColumns:
    """The batches' rows one after the other, their combinations brought together."""
    codes: dict[tuple[str, ...], int] = {}
    recoded = [np.zeros(0, np.int32)]
    for batch in batches:
        table = np.array([codes.setdefault(names, len(codes)) for names in batch.combinations], np.int32)
        recoded.append(table[batch.combination] if len(table) else batch.combination)
    return RecordColumns(
        seq=np.concatenate([np.zeros(0, np.int64), *(batch.seq for batch in batches)]),
        decided_us=np.concatenate([np.zeros(0, np.int64), *(batch.decided_us for batch in batches)]),
        score=np.concatenate([np.zeros(0), *(batch.score for batch in batches)]),
        brightness=np.concatenate([np.zeros(0, np.float32), *(batch.brightness for batch in batches)]),
        combination=np.concatenate(recoded),
        combinations=tuple(codes),
    )


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Labels that no later label corrects, with their tickets; arrays of shape (n,), in the order of labelled_us.

    seq: of the labelled part's record, -1 when that record is gone. said: 0 good, 1 defect, 2 unsure. known: the settled truth of
    a slipped-in part (0 good, 1 defect), -1 for all others. The remaining arrays are codes into the tuple beside them.
    """

    seq: NDArray[np.int64]
    event: Codes
    events: tuple[str, ...]
    labelled_us: NDArray[np.int64]
    inclusion_probability: NDArray[np.float64]
    review_round: Codes
    said: Codes
    known: Codes
    seconds_spent: NDArray[np.float64]
    purpose: Codes
    purposes: tuple[str, ...]
    stratum: Codes
    strata: tuple[str, ...]
    labeller: Codes
    labellers: tuple[str, ...]
    defect_type: Codes
    defect_types: tuple[str, ...]


_NONE = np.zeros(0, np.int32)
NO_LABELS = LabelColumns(
    seq=np.zeros(0, np.int64),
    event=_NONE,
    events=(),
    labelled_us=np.zeros(0, np.int64),
    inclusion_probability=np.zeros(0),
    review_round=_NONE,
    said=_NONE,
    known=_NONE,
    seconds_spent=np.zeros(0),
    purpose=_NONE,
    purposes=(),
    stratum=_NONE,
    strata=(),
    labeller=_NONE,
    labellers=(),
    defect_type=_NONE,
    defect_types=(),
)
