"""The draw: a seeded hash of the part's event id, so that it costs microseconds and anyone can repeat it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

from qc.domain.record import InspectionRecord
from qc.domain.truth import Purpose, SampleTicket

_U_BYTES = 8
_DIGEST_BYTES = 24


@dataclass(frozen=True)
class Draw:
    """Independent uniform numbers, one per event id, for one seed, policy and purpose.

    Different seeds, policies and purposes give independent draws: a second phase (training, rechecks) never follows the
    first. ``blake2b(id, key=seed/policy/purpose)``: 8 bytes make the number, the other 16 the ticket's id, so the order of
    ticket ids says nothing about the numbers.
    """

    seed: int
    policy: str
    purpose: Purpose
    _key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = blake2b(f"{self.seed}/{self.policy}/{self.purpose.value}".encode(), digest_size=64).digest()
        object.__setattr__(self, "_key", key)

    def uniform(self, event_id: str) -> float:
        """In [0, 1), multiples of 2^-53."""
        return self._number_and_id(event_id)[0]

    def ticket_id(self, event_id: str, q: float) -> str | None:
        """The id of the ticket when the event is drawn with probability q, else None."""
        u, ticket_id = self._number_and_id(event_id)
        return ticket_id.hex() if u < q else None

    def _number_and_id(self, event_id: str) -> tuple[float, bytes]:
        digest = blake2b(event_id.encode(), digest_size=_DIGEST_BYTES, key=self._key).digest()
        return (int.from_bytes(digest[:_U_BYTES], "big") >> 11) * 2.0**-53, digest[_U_BYTES:]


def draw_ticket(record: InspectionRecord, draw: Draw, stratum: str, q: float, lifetime: timedelta) -> SampleTicket | None:
    """A ticket when the record is drawn. For the estimate's own draw, and for second phases with a known probability."""
    ticket_id = draw.ticket_id(record.event_id, q)
    if ticket_id is None:
        return None
    return SampleTicket(
        ticket_id=ticket_id,
        event_id=record.event_id,
        part_id=record.part_id,
        window=record.shift,
        stratum=stratum,
        inclusion_probability=q,
        policy=draw.policy,
        purpose=draw.purpose,
        created_at=record.decided_at,
        expires_at=record.decided_at + lifetime,
    )


def training_ticket(record: InspectionRecord, reason: str, now: datetime, lifetime: timedelta) -> SampleTicket:
    """A part picked on purpose for a training set (uncertain, novel ...): purpose TRAINING, never part of an estimate.

    reason names the pick and becomes the policy. The probability is 1 because nothing was drawn.
    """
    ticket_id = Draw(0, reason, Purpose.TRAINING).ticket_id(record.event_id, 1.0)
    assert ticket_id is not None
    return SampleTicket(
        ticket_id=ticket_id,
        event_id=record.event_id,
        part_id=record.part_id,
        window=record.shift,
        stratum="picked",
        inclusion_probability=1.0,
        policy=reason,
        purpose=Purpose.TRAINING,
        created_at=now,
        expires_at=now + lifetime,
    )
