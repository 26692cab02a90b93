"""Who labels which ticket next: leases keep two people from doing the same one."""

from datetime import timedelta

from qc.domain.errors import LabelError
from qc.domain.ports import Clock, TruthStore
from qc.domain.truth import SampleTicket

_SPARE = 50
"""Tickets looked at beyond those wanted: as many may be snatched by others in the same instant."""


class LabelQueue:
    """Hands out open tickets in the store's order: adjudications first, because a rate waits for them; then the rest,
    oldest window first and at random inside it; training last.

    At random, because when people cannot keep up, what gets labelled must still be a fair sample of the window. Looks are blind: give the
    labeller the picture and the part id, never stratum, probability or purpose. lease_s: how long a handed-out ticket stays theirs.
    """

    def __init__(self, store: TruthStore, clock: Clock, *, lease_s: float = 300.0) -> None:
        self._store = store
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)

    def next_tickets(self, labeller: str, count: int = 1) -> list[SampleTicket]:
        """Up to ``count`` tickets, leased to the labeller (the second one is for preloading its picture).

        Asking again before answering gives the same ones and prolongs the lease. Raises LabelError without a labeller.
        """
        if not labeller.strip():
            raise LabelError("labeller: say who is going to label", code="labeller_missing")
        now = self._clock.now()
        leased: list[SampleTicket] = []
        for ticket in self._store.open_tickets(now, labeller=labeller, limit=count + _SPARE):
            if len(leased) == count:
                break
            if self._store.claim(ticket.ticket_id, labeller, now, now + self._lease):
                leased.append(ticket)
        return leased

    def next_ticket(self, labeller: str) -> SampleTicket | None:
        tickets = self.next_tickets(labeller)
        return tickets[0] if tickets else None

    def release(self, ticket_id: str, labeller: str) -> None:
        """Put a ticket back before its lease ends (the labeller leaves)."""
        self._store.release(ticket_id, labeller)
