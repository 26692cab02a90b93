"""Challenge parts: rotation, recognition, and never production."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import CommandError, StoreError, UnknownPart
from qc.domain.truth import ChallengePart
from qc.domain.verdict import Decision, Reason, Verdict
from qc.label.challenge import ChallengeRegister, rotate
from qc.label.fake import MemoryTruthStore
from qc.label.windows import Shifts

SHIFTS = Shifts([("early", "06:00"), ("late", "14:00"), ("night", "22:00")], "UTC")


@pytest.fixture
def register(store: MemoryTruthStore, clock: Any) -> ChallengeRegister:
    register = ChallengeRegister(store, clock)
    for i, (kind, severity) in enumerate([("crack", "minor"), ("crack", "major"), ("spot", "minor"), ("spot", "major")] * 2):
        register.register(f"C{i}", part_id=f"CHAL-{i}", variant="mono", defect_type=kind, severity=severity)
    return register


def run(
    register: ChallengeRegister, clock: Any, make: Any, challenge_id: str, decision: Decision = Decision.NG, **fields: Any
) -> Any:
    clock.forward(minutes=1)
    shift = SHIFTS.window_of(clock.now()).name
    return register.passed(
        make.record(f"e-{clock.now()}", decision, challenge_id=challenge_id, decided_at=clock.now(), shift=shift, **fields)
    )


def ids(parts: list[ChallengePart]) -> list[str]:
    return [part.challenge_id for part in parts]


def test_a_rotation_covers_every_type_and_severity(register: ChallengeRegister, clock: Any) -> None:
    parts = register.rotation("mono", SHIFTS.window_of(clock.now()))
    assert len({(part.defect_type, part.severity) for part in parts}) == 4


def test_the_next_shift_takes_the_others_and_then_the_first_again(register: ChallengeRegister, clock: Any, make: Any) -> None:
    taken = []
    for _ in range(3):
        window = SHIFTS.window_of(clock.now())
        parts = ids(register.rotation("mono", window))
        for challenge_id in parts:
            run(register, clock, make, challenge_id)
        assert ids(register.rotation("mono", window)) == parts, "passes do not change the rotation of their own shift"
        assert register.due("mono", window) == []
        taken.append(set(parts))
        clock.time = window.end
    assert taken[0] | taken[1] == {f"C{i}" for i in range(8)}
    assert taken[0] & taken[1] == set()
    assert taken[2] == taken[0]


def test_what_no_model_judged_stays_due(register: ChallengeRegister, clock: Any, make: Any) -> None:
    window = SHIFTS.window_of(clock.now())
    first = ids(register.due("mono", window))[0]
    assert run(register, clock, make, first, Decision.NOT_INSPECTED) is None
    assert first in ids(register.due("mono", window))
    assert run(register, clock, make, first, Decision.REVIEW).rejected
    assert first not in ids(register.due("mono", window))


def test_a_miss_is_a_miss_even_while_everything_is_reviewed(register: ChallengeRegister, clock: Any, make: Any) -> None:
    assert not run(register, clock, make, "C1", Decision.OK).rejected
    assert not run(register, clock, make, "C1", verdict=Verdict(Decision.REVIEW, Reason.REVIEW_ALL), score=0.1).rejected


def test_production_is_no_pass(register: ChallengeRegister, make: Any, store: MemoryTruthStore) -> None:
    assert register.passed(make.record()) is None
    assert store.passes() == []


def test_recognised_by_part_id(register: ChallengeRegister) -> None:
    assert register.recognise("CHAL-3", "cam1") == "C3"
    assert register.recognise("CHAL-3", "cam2") == "C3"
    assert register.recognise("4711", "cam1") is None


def test_an_announcement_holds_for_the_next_part_of_its_camera(register: ChallengeRegister) -> None:
    register.announce("C5", camera_id="cam2")
    assert register.recognise("4711", "cam1") is None
    assert register.recognise("4712", "cam2") == "C5"
    assert register.recognise("4713", "cam2") is None


def test_an_announcement_can_name_the_part(register: ChallengeRegister) -> None:
    register.announce("C5", part_id="4713")
    assert [register.recognise(part, "cam1") for part in ("4711", "4713", "4713")] == [None, "C5", None]


def test_announcements_queue_and_expire(register: ChallengeRegister, clock: Any) -> None:
    register.announce("C1")
    register.announce("C2")
    assert register.recognise("a", "cam1") == "C1"
    clock.forward(seconds=600)
    assert register.recognise("b", "cam1") is None


def test_an_announced_part_must_be_registered(register: ChallengeRegister) -> None:
    with pytest.raises(CommandError) as error:
        register.announce("C99")
    assert error.value.code == "unknown_challenge"


def test_a_retired_part_is_production_again(register: ChallengeRegister, clock: Any, make: Any) -> None:
    run(register, clock, make, "C3")
    register.retire("C3")
    assert register.recognise("CHAL-3", "cam1") is None
    with pytest.raises(CommandError):
        register.announce("C3")
    assert "C3" not in ids(register.rotation("mono", SHIFTS.window_of(clock.now()), size=99))
    assert register.part("C3").retired_at == clock.now()
    with pytest.raises(UnknownPart):
        register.part("C99")


def test_other_variants_have_their_own_rotation(register: ChallengeRegister, clock: Any) -> None:
    assert register.rotation("poly", SHIFTS.window_of(clock.now())) == []


def test_registering_wants_every_field_and_new_ids(register: ChallengeRegister) -> None:
    with pytest.raises(CommandError, match="part_id"):
        register.register("C9", part_id=" ", variant="mono", defect_type="crack", severity="major")
    with pytest.raises(StoreError, match="C0"):
        register.register("C9", part_id="CHAL-0", variant="mono", defect_type="crack", severity="major")


def test_changes_by_another_process_are_seen_after_reload(
    register: ChallengeRegister, store: MemoryTruthStore, clock: Any
) -> None:
    ChallengeRegister(store, clock).register("C9", part_id="CHAL-9", variant="mono", defect_type="crack", severity="major")
    assert register.recognise("CHAL-9", "cam1") is None
    register.reload()
    assert register.recognise("CHAL-9", "cam1") == "C9"


@given(
    parts=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.none() | st.integers(0, 50)), max_size=12),
    size=st.integers(1, 6),
)
def test_rotation_spreads_and_prefers_the_stale(parts: list[tuple[str, str, int | None]], size: int) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    all_parts = [ChallengePart(f"C{i}", f"P{i}", "v", kind, severity, day) for i, (kind, severity, _) in enumerate(parts)]
    last = {f"C{i}": day + timedelta(hours=used) for i, (_, _, used) in enumerate(parts) if used is not None}
    picked = rotate(all_parts, last, size)
    assert len(picked) == len(set(ids(picked))) == min(size, len(parts))
    cells = Counter((part.defect_type, part.severity) for part in picked)
    in_register = Counter((part.defect_type, part.severity) for part in all_parts)
    for cell, count in cells.items():
        assert all(count <= cells[other] + 1 or cells[other] == in_register[other] for other in in_register), "unevenly spread"
        members = [part for part in all_parts if (part.defect_type, part.severity) == cell]
        taken = [last.get(part.challenge_id, day - timedelta(days=1)) for part in members if part in picked]
        left = [last.get(part.challenge_id, day - timedelta(days=1)) for part in members if part not in picked]
        assert not left or max(taken) <= min(left), "a fresher part was preferred"
