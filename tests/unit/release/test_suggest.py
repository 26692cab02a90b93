"""Suggestions: each reason finds its part, nothing is chosen twice, tickets are for training."""

from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.release.conftest import T0

from qc.domain.frame import ImageQuality
from qc.domain.record import InspectionRecord
from qc.domain.truth import Purpose
from qc.domain.verdict import Decision, Reason, Verdict
from qc.release.suggest import suggest, tickets_of


def part(
    number: int, *, score: float = 0.1, at: float = 0.0, camera: str = "cam1", brightness: float = 100.0
) -> InspectionRecord:
    rng = np.random.default_rng(number)
    return InspectionRecord(
        event_id=f"e{number}",
        part_id=f"p{number}",
        camera_id=camera,
        captured_at=T0,
        decided_at=T0,
        verdict=Verdict(Decision.OK, Reason.BELOW_REVIEW),
        variant="cell",
        recipe_version="0",
        model_id="m",
        model_sha256="0",
        review_at=0.5,
        reject_at=0.6,
        score=score,
        quality=ImageQuality(brightness, 20.0, 100.0, 1.0, 0.0),
        embedding=(rng.normal(0, 0.1, 8) + at).astype(np.float32),
    )


KNOWN = [part(1000 + number) for number in range(50)]


def test_each_reason_finds_its_part() -> None:
    common = [part(number) for number in range(60)]
    uncertain, novel, rare = part(100, score=0.49), part(101, at=5.0), part(102, camera="cam2", brightness=200.0)
    found = {s.reason: s.record for s in suggest([*common, uncertain, novel, rare], KNOWN, 3)}
    assert found["novel"] is novel
    assert found["under_covered"] is rare
    chosen = {s.record.event_id for s in suggest([*common, uncertain, novel, rare], KNOWN, 9)}
    assert {"e100", "e101", "e102"} <= chosen


def test_a_crowd_of_equal_novelties_is_not_all_that_is_asked() -> None:
    crowd = [part(200 + number, at=3.0) for number in range(30)]
    others = [part(300, at=-4.0), part(301, at=6.0)]
    chosen = {s.record.event_id for s in suggest([*crowd, *others], KNOWN, 9)}
    assert {"e300", "e301"} <= chosen


@given(st.integers(0, 30), st.integers(0, 40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_never_twice_never_more_than_asked(candidates: int, count: int, with_known: bool) -> None:
    parts = [part(number, score=number / 30) for number in range(candidates)]
    found = suggest(parts, KNOWN if with_known else [], count)
    names = [s.record.event_id for s in found]
    assert len(names) == len(set(names)) == min(candidates, count)


def test_tickets_never_enter_rates() -> None:
    tickets = tickets_of(suggest([part(1), part(2)], [], 2), T0, timedelta(hours=72))
    assert {ticket.purpose for ticket in tickets} == {Purpose.TRAINING}
    assert {ticket.inclusion_probability for ticket in tickets} == {1.0}
