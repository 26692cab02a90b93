"""Known parts slipped in among the tickets: the only way to learn how often each inspector misses and cries wolf."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from qc.domain.errors import ConfigError, SamplingError
from qc.domain.ports import TruthStore
from qc.domain.truth import Answer, Purpose, SampleTicket, Truth
from qc.label.adjudication import agreed_truth, looks
from qc.label.draw import Draw


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part whose truth is beyond doubt. window: the shift in which it was inspected."""

    event_id: str
    part_id: str
    window: str
    truth: Truth


def settled_parts(answers: Sequence[Answer]) -> list[KnownPart]:
    """Parts on which two looks agree and none disagrees."""
    found = []
    ordered = sorted(answers, key=lambda answer: answer.ticket.event_id)
    for _, group in groupby(ordered, key=lambda answer: answer.ticket.event_id):
        each = list(group)
        truth = agreed_truth({number: label.truth for number, label in looks(each).items()})
        if truth is not None:
            ticket = each[0].ticket
            found.append(KnownPart(ticket.event_id, ticket.part_id, ticket.window, truth))
    return found


def known_ticket(part: KnownPart, policy: str, now: datetime, lifetime: timedelta, copy: int = 0) -> SampleTicket:
    """One more look at a known part. policy tells repetitions apart: a labeller answers each once; copies are for others."""
    ticket_id = Draw(copy, policy, Purpose.KNOWN).ticket_id(part.event_id, 1.0)
    assert ticket_id is not None
    return SampleTicket(
        ticket_id=ticket_id,
        event_id=part.event_id,
        part_id=part.part_id,
        window=part.window,
        stratum="known",
        inclusion_probability=1.0,
        policy=policy,
        purpose=Purpose.KNOWN,
        created_at=now,
        expires_at=now + lifetime,
    )


class KnownParts:
    """Slips in one known part per 1/share answers, half of them defective as far as the pool allows, least used first.

    The pool: parts of the last ``memory`` that two looks agree on, and challenge parts' passes (defective by registration), if
    ``has_picture`` says that their picture is still there. share in [0, 1]; 0 switches it off.
    """

    def __init__(
        self,
        store: TruthStore,
        has_picture: Callable[[str], bool],
        *,
        share: float = 0.05,
        seed: int = 0,
        memory: timedelta = timedelta(days=30),
        lifetime: timedelta = timedelta(hours=72),
    ) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"known_share must lie in [0, 1], not {share}")
        self._store = store
        self._has_picture = has_picture
        self._share = share
        self._draw = Draw(seed, "slip-in", Purpose.KNOWN)
        self._memory = memory
        self._lifetime = lifetime

    def after(self, answered: SampleTicket, now: datetime) -> SampleTicket | None:
        """Called with each answered first look; the known ticket that it brings about, already stored."""
        if answered.purpose is not Purpose.ESTIMATE or self._draw.uniform(answered.ticket_id) >= self._share:
            return None
        answers = self._store.answers(since=now - self._memory)
        used = Counter(a.ticket.event_id for a in answers if a.ticket.purpose is Purpose.KNOWN)
        open_now = {ticket.event_id for ticket in self._store.open_tickets(now)}
        wanted = Truth.DEFECT if self._draw.uniform(f"{answered.ticket_id}/truth") < 0.5 else Truth.GOOD
        pool = [part for part in self._pool(answers, now) if part.event_id not in open_now]
        pool.sort(key=lambda part: (used[part.event_id], part.truth is not wanted, self._draw.uniform(part.event_id)))
        chosen = next((part for part in pool if self._has_picture(part.event_id)), None)
        if chosen is None:
            return None
        ticket = known_ticket(chosen, f"slip-in-{answered.ticket_id[:12]}", now, self._lifetime)
        self._store.add_known(ticket, chosen.truth)
        return ticket

    def _pool(self, answers: Sequence[Answer], now: datetime) -> list[KnownPart]:
        register = {part.challenge_id: part.part_id for part in self._store.challenge_parts(include_retired=True)}
        passes = self._store.passes(since=now - self._memory)
        return [
            *settled_parts(answers),
            *(KnownPart(one.event_id, register[one.challenge_id], one.window, Truth.DEFECT) for one in passes),
        ]


def plan_study(
    parts: Sequence[KnownPart], *, name: str, inspectors: int, repeats: int, now: datetime, lifetime: timedelta
) -> list[tuple[SampleTicket, Truth]]:
    """Tickets of an attribute agreement study (AIAG MSA): every part to every inspector, ``repeats`` times.

    Give each pair to ``TruthStore.add_known``. A labeller answers each part once per repetition, whoever takes which copy.
    Raises SamplingError when nothing can be learned from it.
    """
    if inspectors < 2 or repeats < 1:
        raise SamplingError("an agreement study needs at least 2 inspectors and 1 repetition")
    if len({part.truth for part in parts}) < 2:
        raise SamplingError("an agreement study needs good and defective parts; AIAG suggests 50, a good part of them borderline")
    return [
        (known_ticket(part, f"study-{name}-{repeat + 1}", now, lifetime, copy), part.truth)
        for repeat in range(repeats)
        for part in parts
        for copy in range(inspectors)
    ]
