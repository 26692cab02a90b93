"""One door for labels: what is accepted, and that a refusal leaves everything as it was."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import LabelError
from qc.domain.truth import ChallengePart, ChallengePass, Label, Purpose, SampleTicket, Truth
from qc.label.adjudication import LookRules
from qc.label.fake import MemoryTruthStore
from qc.label.intake import FIELDS, LABEL_ERRORS, Accepted, LabelIntake
from qc.label.known import KnownParts

GOOD = {"ticket_id": "t1", "truth": "good", "labeller": "anna"}


@pytest.fixture
def intake(store: MemoryTruthStore, clock: Any, make: Any) -> LabelIntake:
    store.add(tickets=[make.ticket("t1"), make.ticket("t2"), make.ticket("r1", stratum="r1")])
    return LabelIntake(store, clock, defect_types=["crack", "spot"], rules=LookRules(recheck_share=0))


def test_a_label_is_stored_as_said(intake: LabelIntake, store: MemoryTruthStore, clock: Any) -> None:
    clock.forward(hours=1)
    accepted = intake.submit(
        {
            "ticket_id": "r1",
            "part_id": "part-r1",
            "truth": "defect",
            "defect_type": "crack",
            "labeller": " anna ",
            "seconds_spent": 2.5,
            "review_round": 1,
            "label_id": "my-id",
        }
    )
    wanted = Label("my-id", "r1", Truth.DEFECT, "crack", "anna", clock.now(), 2.5, 1, None)
    assert accepted == Accepted(wanted)
    assert [answer.label for answer in store.answers()] == [wanted]


def test_a_late_label_goes_into_its_window(intake: LabelIntake, store: MemoryTruthStore, clock: Any) -> None:
    clock.forward(hours=23)
    intake.submit(GOOD)
    (answer,) = store.answers(windows=["2026-11-24/early"])
    assert answer.label.labelled_at == clock.now()


def test_a_label_given_in_time_may_arrive_after_the_expiry(intake: LabelIntake, clock: Any) -> None:
    given_at = clock.now() + timedelta(hours=23)
    clock.forward(hours=48)
    assert intake.submit(GOOD | {"labelled_at": given_at.isoformat()}).label.labelled_at == given_at


def test_a_part_id_is_enough_when_one_ticket_is_open(intake: LabelIntake) -> None:
    assert intake.submit({"part_id": "part-t2", "truth": "unsure", "labeller": "anna"}).label.ticket_id == "t2"


REFUSALS: list[tuple[str, dict[str, object]]] = [
    ("missing_field", {"ticket_id": None}),
    ("missing_field", {"truth": ""}),
    ("unknown_field", {"score": 0.5}),
    ("bad_value", {"ticket_id": 7}),
    ("bad_value", {"labeller": "a" * 201}),
    ("bad_value", {"labeller": "an\nna"}),
    ("bad_value", {"review_round": "first"}),
    ("bad_value", {"review_round": True}),
    ("labeller_missing", {"labeller": None}),
    ("labeller_missing", {"labeller": "  "}),
    ("unknown_ticket", {"ticket_id": "t9"}),
    ("unknown_part", {"ticket_id": None, "part_id": "nothing"}),
    ("unknown_part", {"part_id": "part-t2"}),
    ("wrong_label", {"truth": "ok"}),
    ("wrong_label", {"defect_type": "crack"}),
    ("unknown_defect_type", {"truth": "defect", "defect_type": "dent"}),
    ("bad_seconds", {"seconds_spent": -1}),
    ("bad_seconds", {"seconds_spent": "quick"}),
    ("bad_seconds", {"seconds_spent": float("nan")}),
    ("bad_seconds", {"seconds_spent": 1e9}),
    ("bad_seconds", {"seconds_spent": True}),
    ("bad_time", {"labelled_at": "yesterday"}),
    ("bad_time", {"labelled_at": "2026-11-24T07:00:00"}),
    ("bad_time", {"labelled_at": "2026-11-25T07:00:00Z"}),
    ("bad_time", {"labelled_at": "2026-11-23T07:00:00Z"}),
    ("wrong_round", {"review_round": 2}),
    ("unknown_label", {"corrects": "nothing"}),
]


@pytest.mark.parametrize(("code", "change"), REFUSALS, ids=[f"{code}-{next(iter(change))}" for code, change in REFUSALS])
def test_refused_and_nothing_touched(
    intake: LabelIntake, store: MemoryTruthStore, clock: Any, code: str, change: dict[str, object]
) -> None:
    before = store.open_tickets(clock.now())
    with pytest.raises(LabelError) as error:
        intake.submit(GOOD | change)
    assert error.value.code == code
    assert store.answers() == []
    assert store.open_tickets(clock.now()) == before


def refused(intake: LabelIntake, **fields: object) -> str:
    with pytest.raises(LabelError) as error:
        intake.submit(GOOD | fields)
    return error.value.code


def test_an_expired_ticket_is_refused(intake: LabelIntake, clock: Any) -> None:
    clock.forward(days=1)
    assert refused(intake) == "ticket_expired"
    assert refused(intake, ticket_id=None, part_id="part-t1") == "ticket_expired"


def test_a_ticket_is_answered_once(intake: LabelIntake, store: MemoryTruthStore) -> None:
    first = intake.submit(GOOD).label
    assert refused(intake, truth="defect") == "duplicate"
    assert refused(intake) == "duplicate"
    assert refused(intake, labeller="ben") == "answered"
    assert refused(intake, ticket_id=None, part_id="part-t1", labeller="ben") == "answered"
    assert [answer.label for answer in store.answers()] == [first]


def test_the_same_message_twice_is_stored_once(intake: LabelIntake, store: MemoryTruthStore, clock: Any) -> None:
    first = intake.submit(GOOD | {"label_id": "x"})
    clock.forward(days=2)  # delivered again by the broker, long after the ticket expired
    again = intake.submit(GOOD | {"label_id": "x"})
    assert again.repeated
    assert again.label == first.label
    assert refused(intake, label_id="x", truth="unsure") == "duplicate"
    assert len(store.answers()) == 1


def test_a_correction_is_a_new_row_by_the_same_person(intake: LabelIntake, store: MemoryTruthStore) -> None:
    first = intake.submit(GOOD).label
    assert refused(intake, corrects=first.label_id, labeller="ben") == "not_your_label"
    second = intake.submit(GOOD | {"truth": "unsure", "corrects": first.label_id}).label
    assert refused(intake, corrects=first.label_id) == "stale_correction"
    assert [answer.label for answer in store.answers()] == [first, second]


def test_a_correction_to_defect_asks_for_a_second_look_too(intake: LabelIntake) -> None:
    first = intake.submit(GOOD)
    assert first.tickets == ()
    (look,) = intake.submit(GOOD | {"truth": "defect", "corrects": first.label.label_id}).tickets
    assert look.review_round == 2


def test_several_open_tickets_of_one_part_need_the_ticket_id(intake: LabelIntake, store: MemoryTruthStore, make: Any) -> None:
    store.add(tickets=[make.ticket("t3", part_id="part-t1", event_id="event-t1", purpose=Purpose.TRAINING)])
    assert refused(intake, ticket_id=None, part_id="part-t1") == "ambiguous_part"


class TestFurtherLooks:
    def test_a_defect_on_an_accepted_part_is_looked_at_by_someone_else(
        self, intake: LabelIntake, store: MemoryTruthStore
    ) -> None:
        (second,) = intake.submit(GOOD | {"truth": "defect"}).tickets
        assert store.ticket(second.ticket_id) == second
        assert refused(intake, ticket_id=second.ticket_id) == "own_label"
        assert refused(intake, ticket_id=second.ticket_id, labeller="ben", review_round=1) == "wrong_round"
        (third,) = intake.submit({"ticket_id": second.ticket_id, "truth": "good", "labeller": "ben", "review_round": 2}).tickets
        for who in ("anna", "ben"):
            assert refused(intake, ticket_id=third.ticket_id, labeller=who) == "own_label"
        last = intake.submit({"ticket_id": third.ticket_id, "truth": "defect", "labeller": "cleo"})
        assert (last.label.review_round, last.tickets) == (3, ())

    def test_a_defect_on_a_rejected_part_stands(self, intake: LabelIntake) -> None:
        assert intake.submit(GOOD | {"ticket_id": "r1", "truth": "defect"}).tickets == ()

    def test_training_and_known_labels_ask_for_nothing(self, intake: LabelIntake, store: MemoryTruthStore, make: Any) -> None:
        store.add(tickets=[make.ticket("t3", purpose=Purpose.TRAINING)])
        store.add_known(make.ticket("k1", purpose=Purpose.KNOWN), Truth.GOOD)
        for name in ("t3", "k1"):
            assert intake.submit(GOOD | {"ticket_id": name, "truth": "defect"}).tickets == ()

    def test_known_parts_are_slipped_in_after_answers(self, store: MemoryTruthStore, clock: Any, make: Any) -> None:
        store.register_challenge(ChallengePart("C1", "CHAL-1", "mono", "crack", "major", clock.now()))
        store.add_pass(ChallengePass("pass-1", "C1", "w", clock.now(), True))
        store.add(tickets=[make.ticket("t1")])
        intake = LabelIntake(store, clock, rules=LookRules(recheck_share=0), known=KnownParts(store, lambda _: True, share=1))
        (slipped,) = intake.submit(GOOD).tickets
        assert (slipped.purpose, slipped.event_id, slipped.review_round) == (Purpose.KNOWN, "pass-1", 1)


def test_simultaneous_labellers_leave_one_answer(intake: LabelIntake, store: MemoryTruthStore) -> None:
    codes: list[str] = []

    def work(who: str) -> None:
        try:
            intake.submit(GOOD | {"labeller": who, "truth": "defect"})
            codes.append("stored")
        except LabelError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=work, args=(f"who{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["answered"] * 7 + ["stored"]
    assert len(store.answers()) == 1


@dataclass
class StandingClock:
    time: datetime

    def now(self) -> datetime:
        return self.time

    def monotonic_ns(self) -> int:
        return 0


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)


@given(
    st.dictionaries(st.sampled_from([*FIELDS, "other"]), VALUES | st.sampled_from(["t1", "part-t1", "good", "defect", "anna"]))
)
def test_any_input_is_stored_or_refused_with_a_documented_code(fields: dict[str, object]) -> None:
    now = datetime(2026, 11, 24, 6, tzinfo=UTC)
    store = MemoryTruthStore()
    store.add(tickets=[SampleTicket("t1", "e", "part-t1", "w", "a1", 0.1, "p", Purpose.ESTIMATE, now, now + timedelta(days=1))])
    code = ""
    try:
        LabelIntake(store, StandingClock(now)).submit(fields)
    except LabelError as error:
        code = error.code
    assert code == "" or code in LABEL_ERRORS
    assert len(store.answers()) == (1 if code == "" else 0)


def test_the_table_of_error_codes_is_the_codes_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "labelling.md").read_text(encoding="utf-8")
    for code, meaning in LABEL_ERRORS.items():
        assert f"| `{code}` | {meaning} |" in page
