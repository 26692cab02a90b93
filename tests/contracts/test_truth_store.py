"""What every truth store promises: the one in SQLite and the one in memory."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc.domain.errors import LabelError, StoreError, UnknownPart
from qc.domain.ports import TruthStore
from qc.domain.truth import (
    ChallengePart,
    ChallengePass,
    Label,
    PlanRecord,
    Purpose,
    SampleTicket,
    Truth,
    WindowProgress,
)
from qc.label.fake import MemoryTruthStore
from qc.record.database import Database
from qc.record.truth_store import SqliteTruthStore

T0 = datetime(2026, 11, 24, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TruthStore]:
    if request.param == "memory":
        yield MemoryTruthStore()
        return
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        yield SqliteTruthStore(database)


def ticket(name: str, **fields: Any) -> SampleTicket:
    values: dict[str, Any] = {
        "ticket_id": name,
        "event_id": f"event-{name}",
        "part_id": f"part-{name}",
        "window": "2026-11-24/early",
        "stratum": "a1",
        "inclusion_probability": 0.1,
        "policy": "p",
        "purpose": Purpose.ESTIMATE,
        "created_at": T0,
        "expires_at": T0 + DAY,
    }
    return SampleTicket(**(values | fields))


def label(name: str, of: str, **fields: Any) -> Label:
    values: dict[str, Any] = {"truth": Truth.GOOD, "defect_type": "", "labeller": "anna", "labelled_at": T0 + MINUTE}
    return Label(label_id=name, ticket_id=of, **(values | fields))


def names(tickets: list[SampleTicket]) -> list[str]:
    return [one.ticket_id for one in tickets]


class TestTicketsAndLabels:
    def test_a_ticket_comes_back_as_it_was(self, store: TruthStore) -> None:
        odd = ticket("t1", inclusion_probability=0.123456789012345, created_at=T0 + timedelta(microseconds=1), review_round=2)
        store.add(tickets=[odd])
        assert store.ticket("t1") == odd
        assert store.tickets_of_part("part-t1") == [odd]

    def test_an_unknown_ticket_is_an_error_and_an_unknown_part_has_none(self, store: TruthStore) -> None:
        with pytest.raises(UnknownPart, match="nothing"):
            store.ticket("nothing")
        assert store.tickets_of_part("nothing") == []
        assert store.label("nothing") is None

    def test_the_same_ticket_twice_is_refused_with_everything_beside_it(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1")])
        with pytest.raises(StoreError):
            store.add(label("l1", "t1"), [ticket("t2"), ticket("t1")])
        assert store.label("l1") is None
        with pytest.raises(UnknownPart):
            store.ticket("t2")

    def test_a_label_and_its_ticket_are_an_answer(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1")])
        given_label = label("l1", "t1", truth=Truth.DEFECT, defect_type="crack", seconds_spent=1.5)
        store.add(given_label)
        (answer,) = store.answers()
        assert (answer.ticket, answer.label, answer.known) == (ticket("t1"), given_label, None)
        assert store.label("l1") == given_label

    def test_a_label_for_no_ticket_is_refused(self, store: TruthStore) -> None:
        with pytest.raises(UnknownPart, match="t9"):
            store.add(label("l1", "t9"))

    def test_one_answer_per_ticket_and_one_use_of_a_label_id(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1"), ticket("t2")])
        store.add(label("l1", "t1"))
        with pytest.raises(LabelError) as second:
            store.add(label("l2", "t1", labeller="ben"))
        with pytest.raises(LabelError) as reused:
            store.add(label("l1", "t2"))
        assert (second.value.code, reused.value.code) == ("answered", "duplicate")
        assert len(store.answers()) == 1

    def test_corrections_are_new_rows_in_a_chain(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1"), ticket("t2")])
        store.add(label("l1", "t1"))
        store.add(label("l2", "t1", truth=Truth.DEFECT, corrects="l1"))
        assert [(a.label.label_id, a.label.corrects) for a in store.answers_of_event("event-t1")] == [("l1", None), ("l2", "l1")]
        with pytest.raises(LabelError) as twice:
            store.add(label("l3", "t1", corrects="l1"))
        assert twice.value.code == "stale_correction"
        with pytest.raises(UnknownPart, match="l1"):
            store.add(label("l3", "t2", corrects="l1"))
        store.add(label("l3", "t1", corrects="l2"))

    def test_a_further_look_is_asked_for_once(self, store: TruthStore) -> None:
        look = ticket("t2", event_id="e", purpose=Purpose.ADJUDICATE, review_round=2)
        store.add(tickets=[ticket("t1", event_id="e"), look])
        store.add(tickets=[replace(look, ticket_id="t3")])
        with pytest.raises(UnknownPart):
            store.ticket("t3")
        third = replace(look, ticket_id="t4", review_round=3)
        store.add(tickets=[third])
        assert store.ticket("t4") == third

    def test_answers_are_found_by_time_and_window_of_their_ticket(self, store: TruthStore) -> None:
        for hours, window in ((0, "early"), (8, "late"), (16, "night")):
            store.add(tickets=[ticket(window, window=window, created_at=T0 + timedelta(hours=hours))])
            store.add(label(f"l-{window}", window, labelled_at=T0 + 2 * DAY))

        def found(**query: Any) -> list[str]:
            return [answer.ticket.window for answer in store.answers(**query)]

        assert found() == ["early", "late", "night"]
        assert found(since=T0 + timedelta(hours=8), until=T0 + timedelta(hours=16)) == ["late"]
        assert found(windows=["night", "early"]) == ["early", "night"]
        assert found(windows=["night", "early"], until=T0 + MINUTE) == ["early"]
        assert found(windows=[]) == []

    def test_known_tickets_carry_their_truth_to_the_answer(self, store: TruthStore) -> None:
        store.add_known(ticket("k1", purpose=Purpose.KNOWN), Truth.DEFECT)
        store.add(label("l1", "k1"))
        assert [answer.known for answer in store.answers()] == [Truth.DEFECT]
        with pytest.raises(StoreError):
            store.add_known(ticket("k1", purpose=Purpose.KNOWN), Truth.GOOD)

    def test_progress_counts_the_first_looks_of_a_window(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1"), ticket("t2"), ticket("t3", expires_at=T0 + MINUTE), ticket("t4", window="other")])
        store.add(tickets=[ticket("t5", purpose=Purpose.TRAINING), ticket("t6", purpose=Purpose.ADJUDICATE, event_id="event-t1")])
        store.add(label("l1", "t1"))
        store.add(label("l2", "t1", corrects="l1"))
        assert store.progress("2026-11-24/early", T0 + MINUTE) == WindowProgress(asked=3, answered=1, expired=1)
        assert store.progress("2026-11-25/early", T0) == WindowProgress(0, 0, 0)


class TestQueue:
    def test_open_means_unanswered_and_not_expired(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1"), ticket("t2"), ticket("t3", expires_at=T0 + MINUTE)])
        store.add(label("l1", "t1"))
        assert names(store.open_tickets(T0)) == ["t2", "t3"]
        assert names(store.open_tickets(T0 + MINUTE)) == ["t2"]
        assert names(store.open_tickets(T0, limit=1)) == ["t2"]

    def test_adjudications_first_then_old_windows_then_training(self, store: TruthStore) -> None:
        late = T0 + timedelta(hours=8)
        store.add(
            tickets=[
                ticket("a-train", purpose=Purpose.TRAINING),
                ticket("b-late", window="late", created_at=late),
                ticket("z-early", created_at=T0),
                ticket("y-early", created_at=T0 + 5 * MINUTE),
                ticket(
                    "x-look", window="late", created_at=late, purpose=Purpose.ADJUDICATE, event_id="event-z-early", review_round=2
                ),
            ]
        )
        store.add_known(ticket("w-known", window="late", created_at=late + MINUTE, purpose=Purpose.KNOWN), Truth.GOOD)
        # Inside a window by ticket id, which is a hash: y before z although z was drawn first.
        assert names(store.open_tickets(late)) == ["x-look", "y-early", "z-early", "b-late", "w-known", "a-train"]

    def test_a_lease_hides_a_ticket_from_others_until_it_ends(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1")])
        assert store.claim("t1", "anna", T0, T0 + MINUTE)
        assert not store.claim("t1", "ben", T0, T0 + MINUTE)
        assert names(store.open_tickets(T0, labeller="ben")) == []
        assert names(store.open_tickets(T0, labeller="anna")) == ["t1"]
        assert names(store.open_tickets(T0)) == ["t1"]
        assert names(store.open_tickets(T0 + MINUTE, labeller="ben")) == ["t1"]
        assert store.claim("t1", "ben", T0 + MINUTE, T0 + 2 * MINUTE)
        assert not store.claim("t1", "anna", T0 + MINUTE, T0 + 2 * MINUTE)

    def test_a_lease_can_be_prolonged_and_given_back(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1")])
        assert store.claim("t1", "anna", T0, T0 + MINUTE)
        assert store.claim("t1", "anna", T0, T0 + 5 * MINUTE)
        assert not store.claim("t1", "ben", T0 + 2 * MINUTE, T0 + 3 * MINUTE)
        store.release("t1", "ben")
        assert not store.claim("t1", "ben", T0 + 2 * MINUTE, T0 + 3 * MINUTE)
        store.release("t1", "anna")
        assert store.claim("t1", "ben", T0 + 2 * MINUTE, T0 + 3 * MINUTE)

    def test_answered_expired_and_unknown_tickets_cannot_be_claimed(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1"), ticket("t2", expires_at=T0 + MINUTE)])
        store.add(label("l1", "t1"))
        assert not store.claim("t1", "ben", T0, T0 + MINUTE)
        assert not store.claim("t2", "ben", T0 + MINUTE, T0 + 2 * MINUTE)
        assert not store.claim("t9", "ben", T0, T0 + MINUTE)

    def test_nobody_adjudicates_their_own_look(self, store: TruthStore) -> None:
        store.add(tickets=[ticket("t1", event_id="e")])
        second = ticket("t2", event_id="e", purpose=Purpose.ADJUDICATE, review_round=2)
        store.add(label("l1", "t1", labeller="anna"), [second])
        assert names(store.open_tickets(T0, labeller="anna")) == []
        assert names(store.open_tickets(T0, labeller="ben")) == ["t2"]
        store.add(label("l2", "t2", labeller="ben", review_round=2), [replace(second, ticket_id="t3", review_round=3)])
        assert [names(store.open_tickets(T0, labeller=who)) for who in ("anna", "ben", "cleo")] == [[], [], ["t3"]]

    def test_a_known_part_comes_once_per_policy_to_each_labeller(self, store: TruthStore) -> None:
        for copy in ("k1", "k2"):
            store.add_known(ticket(copy, event_id="e", purpose=Purpose.KNOWN, policy="study-1"), Truth.GOOD)
        store.add_known(ticket("k3", event_id="e", purpose=Purpose.KNOWN, policy="study-2"), Truth.GOOD)
        store.add(label("l1", "k1", labeller="anna"))
        assert names(store.open_tickets(T0, labeller="anna")) == ["k3"]
        assert names(store.open_tickets(T0, labeller="ben")) == ["k2", "k3"]

    def test_many_claimants_one_winner_each(self, store: TruthStore) -> None:
        store.add(tickets=[ticket(f"t{i}") for i in range(30)])
        won: list[str] = []

        def work(labeller: str) -> None:
            won.extend(f"t{i}" for i in range(30) if store.claim(f"t{i}", labeller, T0, T0 + MINUTE))

        threads = [threading.Thread(target=work, args=(f"who{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == sorted(f"t{i}" for i in range(30))

    def test_of_simultaneous_answers_one_is_stored(self, store: TruthStore) -> None:
        store.add(tickets=[ticket(f"t{i}") for i in range(20)])
        refused: list[str] = []

        def work(labeller: str) -> None:
            for i in range(20):
                try:
                    store.add(label(f"{labeller}-{i}", f"t{i}", labeller=labeller))
                except LabelError as error:
                    refused.append(error.code)

        threads = [threading.Thread(target=work, args=(f"who{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.answers()) == 20
        assert refused == ["answered"] * 40


class TestPlans:
    PLAN = PlanRecord("mono", "v1", "2026-11-24/early", "policy1", T0, "{}")

    def test_the_first_plan_of_a_window_stays(self, store: TruthStore) -> None:
        assert store.plan("mono", "v1", "2026-11-24/early") is None
        assert store.add_plan(self.PLAN) == self.PLAN
        assert store.add_plan(replace(self.PLAN, policy="other", body='{"a":1}')) == self.PLAN
        assert store.plan("mono", "v1", "2026-11-24/early") == self.PLAN
        assert store.plan("mono", "v2", "2026-11-24/early") is None

    def test_latest_and_by_policy(self, store: TruthStore) -> None:
        later = replace(self.PLAN, window="2026-11-24/late", created_at=T0 + timedelta(hours=8))
        last = replace(later, window="2026-11-24/night", policy="policy2", created_at=T0 + timedelta(hours=16))
        for plan in (last, self.PLAN, later):
            store.add_plan(plan)
        assert store.latest_plan("mono", "v1") == last
        assert store.latest_plan("poly", "v1") is None
        assert store.plans("policy1") == [self.PLAN, later]

    def test_of_plans_made_at_the_same_time_the_last_one_stored_is_the_latest(self, store: TruthStore) -> None:
        store.add_plan(self.PLAN)
        second = store.add_plan(replace(self.PLAN, window="2026-11-24/late"))
        assert store.latest_plan("mono", "v1") == second


class TestChallengeParts:
    PART = ChallengePart("C1", "barcode-1", "mono", "crack", "major", T0)

    def test_register_pass_retire(self, store: TruthStore) -> None:
        store.register_challenge(self.PART)
        assert store.challenge_parts() == [self.PART]
        for hours in (3, 1):
            store.add_pass(ChallengePass(f"e{hours}", "C1", "w", T0 + timedelta(hours=hours), rejected=hours == 3))
        used = replace(self.PART, last_used=T0 + timedelta(hours=3))
        assert store.challenge_parts() == [used]
        store.retire_challenge("C1", T0 + DAY)
        store.retire_challenge("C1", T0 + 2 * DAY)
        assert store.challenge_parts() == []
        assert store.challenge_parts(include_retired=True) == [replace(used, retired_at=T0 + DAY)]

    def test_ids_and_part_ids_are_unique(self, store: TruthStore) -> None:
        store.register_challenge(self.PART)
        for twin in (replace(self.PART, part_id="barcode-2"), replace(self.PART, challenge_id="C2")):
            with pytest.raises(StoreError, match="registered already"):
                store.register_challenge(twin)
        assert store.challenge_parts() == [self.PART]

    def test_only_registered_parts_pass_or_retire(self, store: TruthStore) -> None:
        with pytest.raises(UnknownPart, match="C9"):
            store.add_pass(ChallengePass("e1", "C9", "w", T0, True))
        with pytest.raises(UnknownPart, match="C9"):
            store.retire_challenge("C9", T0)

    def test_a_pass_is_stored_once_and_found_by_time(self, store: TruthStore) -> None:
        store.register_challenge(self.PART)
        second = ChallengePass("e2", "C1", "w", T0 + timedelta(hours=2), False)
        first = ChallengePass("e1", "C1", "w", T0 + timedelta(hours=1), True)
        for one in (second, first, first):
            store.add_pass(one)
        assert store.passes() == [first, second]
        assert store.passes(since=T0 + timedelta(hours=1), until=T0 + timedelta(hours=2)) == [first]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ticket", "look", "label", "claim", "release", "open"]),
        st.integers(0, 3),
        st.sampled_from(["anna", "ben"]),
        st.integers(0, 40),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_the_fake_answers_as_the_real_store_does(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, str, int]]
) -> None:
    """Random histories: every return value, error code and queue is the same in both."""

    def play(store: TruthStore) -> list[object]:
        seen: list[object] = []
        for step, (action, number, who, minute) in enumerate(events):
            now = T0 + minute * MINUTE
            try:
                if action == "ticket":
                    store.add(tickets=[ticket(f"t{number}", event_id=f"e{number}", expires_at=T0 + 30 * MINUTE, created_at=now)])
                elif action == "look":
                    look = ticket(f"look{number}-{step}", event_id=f"e{number}", purpose=Purpose.ADJUDICATE, review_round=2)
                    store.add(tickets=[look])
                elif action == "label":
                    store.add(label(f"l{step}", f"t{number}", labeller=who))
                elif action == "claim":
                    seen.append(store.claim(f"t{number}", who, now, now + 5 * MINUTE))
                elif action == "release":
                    store.release(f"t{number}", who)
                else:
                    seen.append(names(store.open_tickets(now, labeller=who)))
            except (LabelError, StoreError) as error:
                seen.append((type(error).__name__, getattr(error, "code", "")))
        seen.append(store.answers())
        return seen

    with closing(Database(tmp_path_factory.mktemp("history") / "qc.sqlite")) as database:
        assert play(SqliteTruthStore(database)) == play(MemoryTruthStore())
