"""Counting batch by batch gives what all records at once give."""

import pytest
from tests.unit.evaluate.test_production import PLANS, line, read

from qc.domain.columns import FIELDS
from qc.domain.errors import EvaluationError
from qc.evaluate.production import challenge_rate
from qc.evaluate.slices import detection_rate_by_defect_type, slice_rates
from qc.evaluate.tally import ProductionTally
from qc.record import column_chunks
from qc.record.columns import ColumnReader

__all__ = ["line"]


def plan_of(variant, recipe_version, window):
    return PLANS.get(window) if (variant, recipe_version) == ("cell", "r1") else None


def tallied(database, labels=None):
    reader = ColumnReader(database)
    tally = ProductionTally(reader.labels() if labels is None else labels, plan_of)
    for batch in reader.batches():
        tally.add(batch)
    return tally.result()


@pytest.fixture(scope="module")
def packed(line):
    while column_chunks.pack_next(line[0], 300):
        pass
    assert len(list(ColumnReader(line[0]).batches())) == 14
    return line


@pytest.mark.parametrize("by", [(), ("shift",), ("variant", "camera_id")])
def test_the_rates_are_those_of_all_records_at_once(packed, by):
    whole, cells = read(packed), tallied(packed[0])
    assert slice_rates(cells.parts, cells.labels, by) == slice_rates(whole.parts, whole.labels, by)
    assert detection_rate_by_defect_type(cells.parts, cells.labels) == detection_rate_by_defect_type(whole.parts, whole.labels)
    assert (cells.unplanned, cells.orphaned, cells.unsure) == (whole.unplanned, whole.orphaned, whole.unsure)


def test_memory_goes_with_the_cells_not_with_the_parts(packed):
    cells = tallied(packed[0])
    assert len(cells.parts.stratum) < 12
    assert int(cells.parts.weight.sum()) == 4001


def test_challenge_parts_are_kept_apart(packed):
    cells = tallied(packed[0])
    assert challenge_rate(cells.special) == challenge_rate(ColumnReader(packed[0]).records())
    challenges = cells.special.column("challenge_id")
    assert set(challenges[1]) >= {"K1"}
    assert FIELDS[-1] == "challenge_id"


def test_nothing_at_all_still_says_why(packed):
    tally = ProductionTally(ColumnReader(packed[0]).labels(), lambda *_: None)
    for batch in ColumnReader(packed[0]).batches():
        tally.add(batch)
    found = tally.result()
    (pooled,) = slice_rates(found.parts, found.labels)
    assert pooled.parts == 0
    assert pooled.rates["detection_rate"].not_estimable
    with pytest.raises(EvaluationError, match="no column 'nonsense'"):
        slice_rates(found.parts, found.labels, ["nonsense"])
