"""From records to tickets to labels: what the tickets say about their chances is true, also when labellers cannot keep up."""

from typing import Any

import numpy as np
import pytest

from qc.domain.truth import PlanRecord
from qc.domain.verdict import Decision
from qc.label.fake import MemoryTruthStore
from qc.label.plan import PlanBudget, design_plan
from qc.label.sampler import Sampler

PARTS, WINDOWS = 1500, 40


@pytest.fixture(scope="module")
def line() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scores, rejected, defective: 3 % defects, some of them accepted."""
    rng = np.random.default_rng(3)
    y = rng.random(PARTS) < 0.03
    s = np.clip(np.where(y, rng.beta(5, 3, PARTS), rng.beta(2, 9, PARTS)), 0, 1)
    return s, s >= 0.5, y


def test_weighted_labels_count_every_defect_once_on_average(
    line: tuple[np.ndarray, np.ndarray, np.ndarray], make: Any, clock: Any
) -> None:
    s, side, y = line
    plan = design_plan("mono", s, side, np.clip(s**3, 0.001, 1), PlanBudget(labels=120, parts=PARTS, seed=11))
    store = MemoryTruthStore()
    sampler = Sampler(store, clock)
    missed, caught, half_labelled, tickets_drawn = [], [], [], 0
    for window in range(WINDOWS):
        store.add_plan(PlanRecord("mono", "v1", f"w{window}", plan.policy, clock.now(), plan.to_json()))
        records = [
            make.record(f"w{window}-{i}", Decision.NG if side[i] else Decision.OK, score=float(s[i]), shift=f"w{window}")
            for i in range(PARTS)
        ]
        drawn = [(i, ticket) for i, record in enumerate(records) if (ticket := sampler.ticket_for(record))]
        tickets_drawn += len(drawn)
        for i, ticket in drawn:
            assert (ticket.stratum, ticket.inclusion_probability) == plan.stratum(float(s[i]), bool(side[i]))
        missed.append(sum(y[i] / ticket.inclusion_probability for i, ticket in drawn if ticket.stratum.startswith("a")))
        caught.append(sum(y[i] / ticket.inclusion_probability for i, ticket in drawn if ticket.stratum.startswith("r")))
        # Nobody works longer than for half of the tickets: the first ones in the order of the queue.
        store.add(tickets=[ticket for _, ticket in drawn])
        part_of = {ticket.ticket_id: i for i, ticket in drawn}
        first = [ticket for ticket in store.open_tickets(clock.now()) if ticket.window == f"w{window}"][: len(drawn) // 2]
        done = sum(y[part_of[ticket.ticket_id]] / ticket.inclusion_probability for ticket in first)
        half_labelled.append(done * len(drawn) / max(len(first), 1))
    for estimates, truth in ((missed, (y & ~side).sum()), (caught, (y & side).sum()), (half_labelled, y.sum())):
        error = np.std(estimates, ddof=1) / np.sqrt(WINDOWS)
        assert abs(np.mean(estimates) - truth) < 4 * error
    assert tickets_drawn == pytest.approx(120 * WINDOWS, rel=0.1)
