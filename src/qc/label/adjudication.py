"""Second and third looks: when one is needed, and the tickets that ask for it.

A first look "defect" on an accepted part weighs hundreds of parts, so it needs a second look before it counts; "unsure" gets
one too. A seeded share of all other first looks is looked at again as well: whoever has a second look before them must not know what
the first one said. Looks that disagree, or an unsure second look, ask for a third, which decides.
How looks become the truth that enters the rates: ``evaluate/adjudicate.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from qc.domain.errors import ConfigError
from qc.domain.truth import Answer, Label, Purpose, SampleTicket, Truth
from qc.label.draw import Draw
from qc.label.strata import is_accepted_stratum

LAST_ROUND = 3


@dataclass(frozen=True, slots=True)
class LookRules:
    """third_look: ask for one on disagreement; False lets the second look decide. recheck_share: of first looks that would stand
    alone, how many get a second look at random, in [0, 1]. lifetime: of a further look's ticket."""

    third_look: bool = True
    recheck_share: float = 0.05
    seed: int = 0
    lifetime: timedelta = timedelta(hours=72)

    def __post_init__(self) -> None:
        if not 0 <= self.recheck_share <= 1:
            raise ConfigError(f"recheck_share must lie in [0, 1], not {self.recheck_share}")


def looks(answers: Sequence[Answer]) -> dict[int, Label]:
    """What holds now, by review round: of one event's estimate and its adjudications, the last correction of each label.

    answers: in the order in which they were stored.
    """
    counted = [answer.label for answer in answers if answer.ticket.purpose in (Purpose.ESTIMATE, Purpose.ADJUDICATE)]
    return {label.review_round: label for label in counted}


def agreed_truth(said: Mapping[int, Truth]) -> Truth | None:
    """GOOD or DEFECT when two looks say so and none says the opposite: settled well enough to test others with."""
    usable = [truth for truth in said.values() if truth is not Truth.UNSURE]
    return usable[0] if len(usable) >= 2 and len(set(usable)) == 1 else None


def next_round(said: Mapping[int, Truth], *, accepted: bool, rechecked: bool, third_look: bool) -> int | None:
    """The look that is still needed, None when the looks settle the part. said: truth by round."""
    if 1 not in said:
        return None  # the estimate's own ticket is still open
    if 2 not in said:
        doubtful = said[1] is Truth.UNSURE or (said[1] is Truth.DEFECT and accepted)
        return 2 if doubtful or rechecked else None
    if LAST_ROUND in said or not third_look:
        return None
    if said[1] is Truth.UNSURE and said[2] is Truth.GOOD:
        return None  # nobody called it defective
    return LAST_ROUND if said[1] is not said[2] or said[2] is Truth.UNSURE else None


def follow_up(answers: Sequence[Answer], now: datetime, rules: LookRules) -> SampleTicket | None:
    """The ticket for the next look at one event, from all answers to it so far; None when no more is needed.

    It keeps stratum, inclusion probability, policy and window of the estimate's ticket: looking again is certain once the first look
    is known, so the probability of the part being in the sample stays what it was.
    """
    first = next((answer.ticket for answer in answers if answer.ticket.purpose is Purpose.ESTIMATE), None)
    if first is None:
        return None
    rechecked = Draw(rules.seed, f"{first.policy}/recheck", Purpose.ADJUDICATE).uniform(first.event_id) < rules.recheck_share
    wanted = next_round(
        {number: label.truth for number, label in looks(answers).items()},
        accepted=is_accepted_stratum(first.stratum),
        rechecked=rechecked,
        third_look=rules.third_look,
    )
    if wanted is None:
        return None
    ticket_id = Draw(rules.seed, f"{first.policy}/round{wanted}", Purpose.ADJUDICATE).ticket_id(first.event_id, 1.0)
    assert ticket_id is not None
    return replace(
        first,
        ticket_id=ticket_id,
        purpose=Purpose.ADJUDICATE,
        created_at=now,
        expires_at=max(first.expires_at, now + rules.lifetime),
        review_round=wanted,
    )
