"""Parts of equal columns as one row with a weight."""

from dataclasses import replace

import numpy as np

from qc.evaluate.slices import Labels, Parts


def in_cells(parts: Parts, labels: Labels) -> tuple[Parts, Labels]:
    """The same parts as weighted cells of equal columns, so that every further slice costs next to nothing."""
    sizes = [max(len(parts.levels[name]), 1) for name in parts.columns] + [max(len(parts.stratum_names), 1), 2]
    codes = [*parts.columns.values(), parts.stratum, parts.reviewed]
    cell = np.zeros(len(parts.stratum), np.int64)
    known = 1
    for size, code in zip(sizes, codes, strict=True):
        if known * size > 2**62:  # squeeze out the combinations that do not occur
            cell = np.unique(cell, return_inverse=True)[1].astype(np.int64)
            known = len(cell)
        cell = cell * size + code.astype(np.int64)
        known *= size
    _, first, cell_of, weight = np.unique(cell, return_index=True, return_inverse=True, return_counts=True)
    columns = {name: column[first].astype(np.int64) for name, column in parts.columns.items()}
    condensed = replace(
        parts, columns=columns, stratum=parts.stratum[first], reviewed=parts.reviewed[first], weight=weight.astype(np.int64)
    )
    return condensed, replace(labels, row=cell_of[labels.row].astype(np.int64))
