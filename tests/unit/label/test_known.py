"""Known parts: from which pool, how often, and as a study."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from qc.domain.errors import ConfigError, SamplingError
from qc.domain.truth import ChallengePart, ChallengePass, Label, Purpose, SampleTicket, Truth
from qc.label.fake import MemoryTruthStore
from qc.label.intake import LabelIntake
from qc.label.known import KnownPart, KnownParts, plan_study, settled_parts
from qc.label.queue import LabelQueue

G, D = Truth.GOOD, Truth.DEFECT


def settle(store: MemoryTruthStore, make: Any, name: str, *said: Truth) -> None:
    """Looks of one part, by a different person each."""
    for number, truth in enumerate(said, 1):
        purpose = Purpose.ESTIMATE if number == 1 else Purpose.ADJUDICATE
        ticket = make.ticket(f"{name}-{number}", event_id=name, part_id=f"part-{name}", purpose=purpose, review_round=number)
        store.add(tickets=[ticket])
        store.add(Label(f"l-{name}-{number}", ticket.ticket_id, truth, "", f"who{number}", ticket.created_at, None, number))


def test_parts_on_which_two_agree_are_known(store: MemoryTruthStore, make: Any) -> None:
    settle(store, make, "agreed", D, D)
    settle(store, make, "good", G, G)
    settle(store, make, "once", D)
    settle(store, make, "disputed", D, G, D)
    found = {part.event_id: part.truth for part in settled_parts(store.answers())}
    assert found == {"agreed": D, "good": G}


def test_about_a_share_of_the_answers_brings_a_known_part(store: MemoryTruthStore, make: Any, clock: Any) -> None:
    for i in range(40):
        settle(store, make, f"d{i}", D, D)
    for i in range(160):
        settle(store, make, f"g{i}", G, G)
    known = KnownParts(store, lambda _: True, share=0.2)
    slipped = [known.after(make.ticket(f"new{i}"), clock.now()) for i in range(300)]
    tickets = [ticket for ticket in slipped if ticket]
    assert 35 < len(tickets) < 85
    assert {ticket.purpose for ticket in tickets} == {Purpose.KNOWN}
    assert max(Counter(ticket.event_id for ticket in tickets).values()) == 1, "an open one is not slipped in again"
    kinds = Counter(ticket.event_id[0] for ticket in tickets)
    assert min(kinds["d"], kinds["g"]) > len(tickets) / 3, "good and defective parts in balance, although the pool is not"
    for number, ticket in enumerate(tickets):
        store.add(Label(f"k{number}", ticket.ticket_id, G, "", "anna", clock.now()))
    answers = [answer for answer in store.answers() if answer.ticket.purpose is Purpose.KNOWN]
    assert all((answer.known is D) == answer.ticket.event_id.startswith("d") for answer in answers)


def test_only_parts_whose_picture_is_there(store: MemoryTruthStore, make: Any, clock: Any) -> None:
    settle(store, make, "gone", D, D)
    settle(store, make, "kept", G, G)
    ticket = KnownParts(store, lambda event_id: event_id == "kept", share=1).after(make.ticket("new"), clock.now())
    assert ticket is not None
    assert ticket.event_id == "kept"
    assert KnownParts(store, lambda _: False, share=1).after(make.ticket("new2"), clock.now()) is None


def test_challenge_passes_are_known_defects(store: MemoryTruthStore, make: Any, clock: Any) -> None:
    store.register_challenge(ChallengePart("C1", "CHAL-1", "mono", "crack", "major", clock.now()))
    store.add_pass(ChallengePass("pass-1", "C1", "w", clock.now(), True))
    ticket = KnownParts(store, lambda _: True, share=1).after(make.ticket("new"), clock.now())
    assert ticket is not None
    assert (ticket.event_id, ticket.part_id) == ("pass-1", "CHAL-1")


def test_old_parts_are_forgotten_and_share_zero_is_off(store: MemoryTruthStore, make: Any, clock: Any) -> None:
    settle(store, make, "old", D, D)
    assert KnownParts(store, lambda _: True, share=0).after(make.ticket("new"), clock.now()) is None
    clock.forward(days=31)
    assert KnownParts(store, lambda _: True, share=1).after(make.ticket("new"), clock.now()) is None


def test_only_first_looks_bring_known_parts(store: MemoryTruthStore, make: Any, clock: Any) -> None:
    settle(store, make, "known", D, D)
    known = KnownParts(store, lambda _: True, share=1)
    for purpose in (Purpose.ADJUDICATE, Purpose.KNOWN, Purpose.TRAINING):
        assert known.after(make.ticket("new", purpose=purpose), clock.now()) is None


def test_a_share_beyond_one_is_refused(store: MemoryTruthStore) -> None:
    with pytest.raises(ConfigError, match="known_share"):
        KnownParts(store, lambda _: True, share=2)


PARTS = [KnownPart(f"e{i}", f"p{i}", "w", D if i % 2 else G) for i in range(6)]


def test_in_a_study_everyone_judges_every_part_as_often_as_planned(store: MemoryTruthStore, clock: Any) -> None:
    pairs = plan_study(PARTS, name="msa1", inspectors=3, repeats=2, now=clock.now(), lifetime=timedelta(days=1))
    for ticket, truth in pairs:
        store.add_known(ticket, truth)
    assert len({ticket.ticket_id for ticket, _ in pairs}) == 36
    queue, intake = LabelQueue(store, clock), LabelIntake(store, clock)
    turns = ["anna", "ben", "cleo"]
    while turns:
        who = turns.pop(0)
        ticket: SampleTicket | None = queue.next_ticket(who)
        if ticket is not None:
            intake.submit({"ticket_id": ticket.ticket_id, "truth": "good", "labeller": who})
            turns.append(who)
    looks = Counter((answer.label.labeller, answer.ticket.event_id) for answer in store.answers())
    assert set(looks.values()) == {2}
    assert len(looks) == 18


@pytest.mark.parametrize(("parts", "inspectors"), [(PARTS, 1), (PARTS[::2], 3)])
def test_a_study_that_teaches_nothing_is_refused(parts: list[KnownPart], inspectors: int, clock: Any) -> None:
    with pytest.raises(SamplingError):
        plan_study(parts, name="x", inspectors=inspectors, repeats=2, now=clock.now(), lifetime=timedelta(days=1))
