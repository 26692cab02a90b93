"""When a further look is needed, and the tickets that ask for it."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from qc.domain.errors import ConfigError
from qc.domain.truth import Answer, Label, Purpose, SampleTicket, Truth
from qc.label.adjudication import LookRules, agreed_truth, follow_up, looks, next_round

G, D, U = Truth.GOOD, Truth.DEFECT, Truth.UNSURE
RULES = LookRules(recheck_share=0)


@pytest.mark.parametrize(
    ("said", "accepted", "wanted"),
    [
        ("", True, None),
        ("G", True, None),
        ("D", True, 2),  # would weigh hundreds of parts
        ("D", False, None),
        ("G", False, None),
        ("U", True, 2),
        ("U", False, 2),
        ("DD", True, None),
        ("DG", True, 3),
        ("DU", True, 3),
        ("UG", True, None),  # nobody called it defective
        ("UD", True, 3),
        ("UU", True, 3),
        ("GD", True, 3),  # a recheck found something
        ("DGD", True, None),
        ("DUU", True, None),
    ],
)
def test_the_look_that_is_still_needed(said: str, accepted: bool, wanted: int | None) -> None:
    truths = {i + 1: {"G": G, "D": D, "U": U}[letter] for i, letter in enumerate(said)}
    assert next_round(truths, accepted=accepted, rechecked=False, third_look=True) == wanted
    without = next_round(truths, accepted=accepted, rechecked=False, third_look=False)
    assert without == (None if wanted == 3 else wanted)


def test_rechecked_parts_get_a_second_look_whatever_was_said() -> None:
    for truth, accepted in product(Truth, (True, False)):
        assert next_round({1: truth}, accepted=accepted, rechecked=True, third_look=True) == 2


@pytest.mark.parametrize(
    ("said", "truth"),
    [({}, None), ({1: D}, None), ({1: D, 2: D}, D), ({1: D, 2: G}, None), ({1: D, 2: G, 3: D}, None), ({1: U, 2: G, 3: G}, G)],
)
def test_two_looks_settle_and_none_may_disagree(said: dict[int, Truth], truth: Truth | None) -> None:
    assert agreed_truth(said) is truth


def answer(ticket: SampleTicket, truth: Truth, name: str = "l1", corrects: str | None = None) -> Answer:
    return Answer(
        ticket, Label(name, ticket.ticket_id, truth, "", "anna", ticket.created_at, None, ticket.review_round, corrects)
    )


def test_a_further_look_keeps_the_sampling_facts_of_the_first(make: Any, clock: Any) -> None:
    first = make.ticket("t1", stratum="a2", inclusion_probability=0.03)
    now = clock.now() + timedelta(hours=20)
    second = follow_up([answer(first, D)], now, RULES)
    assert second is not None
    assert (second.purpose, second.review_round, second.created_at) == (Purpose.ADJUDICATE, 2, now)
    kept = ("event_id", "part_id", "window", "stratum", "inclusion_probability", "policy")
    assert [getattr(second, name) for name in kept] == [getattr(first, name) for name in kept]
    assert second.expires_at == now + RULES.lifetime > first.expires_at
    assert second.ticket_id != first.ticket_id
    third = follow_up([answer(first, D), answer(second, G, "l2")], now, RULES)
    assert third is not None
    assert third.review_round == 3
    assert third.ticket_id not in (first.ticket_id, second.ticket_id)


def test_a_correction_replaces_what_it_corrects(make: Any, clock: Any) -> None:
    first = make.ticket()
    history = [answer(first, D), answer(first, G, "l2", corrects="l1")]
    assert {number: label.truth for number, label in looks(history).items()} == {1: G}
    assert follow_up(history, clock.now(), RULES) is None
    back = [*history, answer(first, D, "l3", corrects="l2")]
    assert follow_up(back, clock.now(), RULES) is not None


@pytest.mark.parametrize("purpose", [Purpose.TRAINING, Purpose.KNOWN, Purpose.CHALLENGE])
def test_only_estimates_are_adjudicated(make: Any, clock: Any, purpose: Purpose) -> None:
    assert follow_up([answer(make.ticket(purpose=purpose), D)], clock.now(), RULES) is None


def test_a_training_label_of_the_same_part_does_not_count_as_a_look(make: Any, clock: Any) -> None:
    estimate = make.ticket("t1", event_id="e")
    training = make.ticket("t2", event_id="e", purpose=Purpose.TRAINING)
    assert follow_up([answer(training, D), answer(estimate, G, "l2")], clock.now(), RULES) is None


def test_a_seeded_share_of_the_others_is_rechecked(make: Any, clock: Any) -> None:
    def rechecked(seed: int) -> set[int]:
        rules = LookRules(recheck_share=0.2, seed=seed)
        return {i for i in range(2000) if follow_up([answer(make.ticket(f"t{i}"), G)], clock.now(), rules)}

    chosen = rechecked(1)
    assert 320 < len(chosen) < 480
    assert rechecked(1) == chosen
    assert len(chosen & rechecked(2)) < 130


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_the_share_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match="recheck_share"):
        LookRules(recheck_share=share)
