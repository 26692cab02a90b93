"""Parts counted batch by batch into cells of equal columns, so that the rates of any number of parts need the memory of a few.

The result is what ``production`` makes of all records at once, with one weighted row per cell instead of one per part.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from qc.domain.columns import NO_LABELS, LabelColumns, RecordColumns, concatenate
from qc.evaluate.cells import in_cells
from qc.evaluate.production import SLICE_COLUMNS, PlanOf, plans_among, production, strata_of
from qc.evaluate.sample import Ints
from qc.evaluate.slices import Labels, Parts
from qc.label.plan import SamplingPlan

_Cell: TypeAlias = tuple[str, ...]
"""Levels of SLICE_COLUMNS, name of the stratum, ``reviewed`` or nothing."""


@dataclass(frozen=True, slots=True)
class Tallied:
    """parts: one weighted row per cell. special: the records of labelled and of challenge parts, in the order of seq.

    unplanned, orphaned, unsure: as in ``Production``.
    """

    parts: Parts
    labels: Labels
    special: RecordColumns
    unplanned: int
    orphaned: int
    unsure: int


class ProductionTally:
    """labels: those of the range whose records are added. plan_of: asked once per batch and window."""

    def __init__(self, labels: LabelColumns, plan_of: PlanOf) -> None:
        self._labels, self._plan_of = labels, plan_of
        self._labelled = np.unique(labels.seq)
        self._weights: Counter[_Cell] = Counter()
        self._special: list[RecordColumns] = []
        self._plans: dict[tuple[str, str, str], SamplingPlan] = {}
        self._unplanned = 0

    def add(self, records: RecordColumns) -> None:
        """The next batch, in the order of seq."""
        plans = plans_among(records, self._plan_of)
        self._plans.update(plans)
        made = production(records, NO_LABELS, plans)
        self._unplanned += made.unplanned
        cells, _ = in_cells(made.parts, made.labels)
        assert cells.weight is not None
        for cell, weight in zip(_names(cells), cells.weight, strict=True):
            self._weights[cell] += int(weight)
        special = records.per_combination([bool(names[8]) for names in records.combinations])
        special |= np.isin(records.seq, self._labelled, assume_unique=True)
        if special.any():
            self._special.append(records.where(special))

    def result(self) -> Tallied:
        """Of everything that was added."""
        special = concatenate(self._special)
        made = production(special, self._labels, self._plans)
        cells = sorted(self._weights)
        index = {cell: i for i, cell in enumerate(cells)}
        row_of_part = np.array([index[cell] for cell in _names(made.parts)], np.int64)
        labels = replace(made.labels, row=row_of_part[made.labels.row])
        weights = np.array([self._weights[cell] for cell in cells], np.int64)
        return Tallied(self._parts(cells, weights), labels, special, self._unplanned, made.orphaned, made.unsure)

    def _parts(self, cells: Sequence[_Cell], weights: Ints) -> Parts:
        columns, levels = {}, {}
        for i, name in enumerate(SLICE_COLUMNS):
            levels[name] = tuple(sorted({cell[i] for cell in cells}))
            columns[name] = np.array([levels[name].index(cell[i]) for cell in cells], np.int64)
        strata = strata_of(self._plans)
        stratum = np.array([strata.names.index(cell[-2]) for cell in cells], np.int64)
        reviewed = np.array([bool(cell[-1]) for cell in cells], bool)
        return Parts(columns, levels, stratum, reviewed, strata.names, strata.rejected, weights)


def _names(parts: Parts) -> Iterator[_Cell]:
    """The cell of each row."""
    columns = [(parts.columns[name], parts.levels[name]) for name in SLICE_COLUMNS]
    for row, (stratum, reviewed) in enumerate(zip(parts.stratum, parts.reviewed, strict=True)):
        named = [levels[codes[row]] for codes, levels in columns]
        yield (*named, parts.stratum_names[stratum], "reviewed" if reviewed else "")
