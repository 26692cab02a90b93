"""The draw: right share, independent of order, seeds and phases independent, ids that tell nothing."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.truth import Purpose
from qc.label.draw import Draw, draw_ticket, training_ticket

N = 20_000
IDS = [f"0193-{i:08x}" for i in range(N)]
DRAW = Draw(seed=1, policy="p", purpose=Purpose.ESTIMATE)


def uniforms(draw: Draw) -> np.ndarray:
    return np.array([draw.uniform(name) for name in IDS])


def test_the_numbers_are_pinned_so_that_old_draws_can_be_audited() -> None:
    assert DRAW.uniform("part-1") == 0.5067714319421329
    assert DRAW.ticket_id("part-1", 1.0) == "a43b08098074e97391c079e3286b4613"


@pytest.mark.parametrize("q", [0.001, 0.01, 0.3, 0.9])
def test_the_share_drawn_is_q(q: float) -> None:
    drawn = sum(DRAW.ticket_id(name, q) is not None for name in IDS)
    assert abs(drawn - N * q) < 4.5 * math.sqrt(N * q * (1 - q))


def test_the_numbers_are_uniform() -> None:
    counts = np.histogram(uniforms(DRAW), bins=20, range=(0, 1))[0]
    chi_square = ((counts - N / 20) ** 2 / (N / 20)).sum()
    assert chi_square < 50  # 19 degrees of freedom: P < 0.0002


@pytest.mark.parametrize(
    "other",
    [Draw(2, "p", Purpose.ESTIMATE), Draw(1, "q", Purpose.ESTIMATE), Draw(1, "p", Purpose.ADJUDICATE)],
    ids=["seed", "policy", "phase"],
)
def test_other_seeds_policies_and_phases_draw_independently(other: Draw) -> None:
    assert abs(np.corrcoef(uniforms(DRAW), uniforms(other))[0, 1]) < 4.5 / math.sqrt(N)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_whoever_is_drawn_with_less_is_drawn_with_more(name: str, q: float, more: float) -> None:
    low, high = sorted((q, more))
    if DRAW.ticket_id(name, low) is not None:
        assert DRAW.ticket_id(name, high) == DRAW.ticket_id(name, low)
    assert 0 <= DRAW.uniform(name) < 1
    assert DRAW.ticket_id(name, 1.0) is not None
    assert DRAW.ticket_id(name, 0.0) is None


def test_the_same_part_gets_the_same_answer_in_any_order() -> None:
    forward = {name: DRAW.ticket_id(name, 0.05) for name in IDS[:2000]}
    again = Draw(1, "p", Purpose.ESTIMATE)
    assert {name: again.ticket_id(name, 0.05) for name in reversed(IDS[:2000])} == forward


def test_the_order_of_ticket_ids_is_not_the_order_of_the_numbers() -> None:
    """Labellers work in the order of ids: it must not run through the strata."""
    ids = np.array([int(DRAW.ticket_id(name, 1.0) or "", 16) / 2**128 for name in IDS])
    assert abs(np.corrcoef(ids, uniforms(DRAW))[0, 1]) < 4.5 / math.sqrt(N)


def test_a_drawn_record_becomes_a_ticket(make: Any) -> None:
    record = make.record("e1")
    ticket = draw_ticket(record, DRAW, "a2", 1.0, timedelta(hours=72))
    assert ticket is not None
    assert (ticket.event_id, ticket.part_id, ticket.window) == ("e1", "part-e1", "2026-11-24/early")
    assert (ticket.stratum, ticket.inclusion_probability, ticket.policy, ticket.purpose) == ("a2", 1.0, "p", Purpose.ESTIMATE)
    assert ticket.expires_at - record.decided_at == timedelta(hours=72)
    assert draw_ticket(record, DRAW, "a2", DRAW.uniform("e1"), timedelta(hours=72)) is None


def test_picked_parts_are_for_training_only(make: Any, clock: Any) -> None:
    record = make.record("e1")
    picked = training_ticket(record, "uncertain", clock.now(), timedelta(hours=1))
    assert picked.purpose is Purpose.TRAINING
    assert picked.ticket_id != training_ticket(record, "novel", clock.now(), timedelta(hours=1)).ticket_id
