"""The TruthStore in memory: for tests and simulations. Nothing is durable."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from qc.domain.errors import LabelError, StoreError, UnknownPart
from qc.domain.truth import (
    Answer,
    ChallengePart,
    ChallengePass,
    Label,
    PlanRecord,
    Purpose,
    SampleTicket,
    Truth,
    WindowProgress,
)

_FIRST = {Purpose.ADJUDICATE: 0, Purpose.TRAINING: 2}


class MemoryTruthStore:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tickets: dict[str, SampleTicket] = {}
        self._labels: dict[str, Label] = {}
        self._position: dict[str, int] = {}
        self._labels_of: defaultdict[str, list[Label]] = defaultdict(list)
        self._tickets_of: defaultdict[str, list[SampleTicket]] = defaultdict(list)
        self._known: dict[str, Truth] = {}
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._plans: dict[tuple[str, str, str], PlanRecord] = {}
        self._challenges: dict[str, ChallengePart] = {}
        self._passes: dict[str, ChallengePass] = {}

    def add(self, label: Label | None = None, tickets: Sequence[SampleTicket] = ()) -> None:
        with self._lock:
            if label is not None:
                self._check(label)
            wanted = [ticket for ticket in tickets if not self._already_asked(ticket)]
            for ticket in wanted:
                self._check_new(ticket)
            if label is not None:
                self._labels[label.label_id] = label
                self._position[label.label_id] = len(self._position)
                self._labels_of[label.ticket_id].append(label)
                self._leases.pop(label.ticket_id, None)
            for ticket in wanted:
                self._insert(ticket)

    def add_known(self, ticket: SampleTicket, truth: Truth) -> None:
        with self._lock:
            self._check_new(ticket)
            self._insert(ticket)
            self._known[ticket.ticket_id] = truth

    def ticket(self, ticket_id: str) -> SampleTicket:
        with self._lock:
            if ticket_id not in self._tickets:
                raise UnknownPart(f"no ticket {ticket_id!r}")
            return self._tickets[ticket_id]

    def tickets_of_part(self, part_id: str) -> list[SampleTicket]:
        with self._lock:
            found = [ticket for ticket in self._tickets.values() if ticket.part_id == part_id]
        return sorted(found, key=lambda ticket: (ticket.created_at, ticket.ticket_id))

    def label(self, label_id: str) -> Label | None:
        with self._lock:
            return self._labels.get(label_id)

    def answers_of_event(self, event_id: str) -> list[Answer]:
        with self._lock:
            labels = [label for ticket in self._tickets_of[event_id] for label in self._labels_of.get(ticket.ticket_id, [])]
            return [self._answer(label) for label in sorted(labels, key=lambda label: self._position[label.label_id])]

    def answers(
        self, *, since: datetime | None = None, until: datetime | None = None, windows: Sequence[str] | None = None
    ) -> list[Answer]:
        return [
            answer
            for answer in self._answers()
            if _within(answer.ticket.created_at, since, until) and (windows is None or answer.ticket.window in windows)
        ]

    def progress(self, window: str, now: datetime) -> WindowProgress:
        with self._lock:
            asked = [t for t in self._tickets.values() if t.window == window and t.purpose is Purpose.ESTIMATE]
            unanswered = [ticket for ticket in asked if not self._is_answered(ticket)]
        return WindowProgress(
            asked=len(asked),
            answered=len(asked) - len(unanswered),
            expired=sum(ticket.expires_at <= now for ticket in unanswered),
        )

    def open_tickets(self, now: datetime, *, labeller: str = "", limit: int | None = None) -> list[SampleTicket]:
        with self._lock:
            waiting = [t for t in self._tickets.values() if t.expires_at > now and not self._is_answered(t)]
            allowed = [ticket for ticket in waiting if not labeller or self._may_label(ticket, labeller, now)]
        window_began = {
            name: min(ticket.created_at for ticket in waiting if ticket.window == name) for name in {t.window for t in waiting}
        }
        allowed.sort(key=lambda ticket: (_FIRST.get(ticket.purpose, 1), window_began[ticket.window], ticket.ticket_id))
        return allowed[:limit]

    def claim(self, ticket_id: str, labeller: str, now: datetime, until: datetime) -> bool:
        with self._lock:
            ticket = self._tickets.get(ticket_id)
            if ticket is None or ticket.expires_at <= now or self._is_answered(ticket) or self._held(ticket_id, labeller, now):
                return False
            self._leases[ticket_id] = (labeller, until)
            return True

    def release(self, ticket_id: str, labeller: str) -> None:
        with self._lock:
            if self._leases.get(ticket_id, ("",))[0] == labeller:
                del self._leases[ticket_id]

    def add_plan(self, plan: PlanRecord) -> PlanRecord:
        with self._lock:
            return self._plans.setdefault((plan.variant, plan.recipe_version, plan.window), plan)

    def plan(self, variant: str, recipe_version: str, window: str) -> PlanRecord | None:
        with self._lock:
            return self._plans.get((variant, recipe_version, window))

    def latest_plan(self, variant: str, recipe_version: str) -> PlanRecord | None:
        with self._lock:
            plans = [p for p in self._plans.values() if (p.variant, p.recipe_version) == (variant, recipe_version)]
        return max(reversed(plans), key=lambda plan: plan.created_at, default=None)

    def plans(self, policy: str) -> list[PlanRecord]:
        with self._lock:
            return sorted((plan for plan in self._plans.values() if plan.policy == policy), key=lambda plan: plan.created_at)

    def register_challenge(self, part: ChallengePart) -> None:
        with self._lock:
            for known in self._challenges.values():
                if part.challenge_id == known.challenge_id or part.part_id == known.part_id:
                    raise StoreError(f"challenge part {part.challenge_id!r} is registered already as {known.challenge_id!r}")
            self._challenges[part.challenge_id] = part

    def retire_challenge(self, challenge_id: str, at: datetime) -> None:
        with self._lock:
            part = self._challenge(challenge_id)
            if part.retired_at is None:
                self._challenges[challenge_id] = replace(part, retired_at=at)

    def challenge_parts(self, *, include_retired: bool = False) -> list[ChallengePart]:
        with self._lock:
            last_used: dict[str, datetime] = {}
            for one in self._passes.values():
                last_used[one.challenge_id] = max(one.passed_at, last_used.get(one.challenge_id, one.passed_at))
            parts = [p for p in self._challenges.values() if include_retired or p.retired_at is None]
        return [replace(p, last_used=last_used.get(p.challenge_id)) for p in sorted(parts, key=lambda p: p.challenge_id)]

    def add_pass(self, challenge_pass: ChallengePass) -> None:
        with self._lock:
            self._challenge(challenge_pass.challenge_id)
            self._passes.setdefault(challenge_pass.event_id, challenge_pass)

    def passes(self, *, since: datetime | None = None, until: datetime | None = None) -> list[ChallengePass]:
        with self._lock:
            found = [one for one in self._passes.values() if _within(one.passed_at, since, until)]
        return sorted(found, key=lambda one: one.passed_at)

    def _check(self, label: Label) -> None:
        self.ticket(label.ticket_id)
        if label.label_id in self._labels:
            raise LabelError(f"label {label.label_id!r} is stored already", code="duplicate")
        given = self._labels_of.get(label.ticket_id, [])
        if label.corrects is None:
            if given:
                raise LabelError(f"ticket {label.ticket_id!r} has been answered already", code="answered")
            return
        if label.corrects not in {known.label_id for known in given}:
            raise UnknownPart(f"ticket {label.ticket_id!r} has no label {label.corrects!r} to correct")
        if label.corrects in {known.corrects for known in given}:
            raise LabelError(f"label {label.corrects!r} was corrected already; correct the newer one", code="stale_correction")

    def _check_new(self, ticket: SampleTicket) -> None:
        if ticket.ticket_id in self._tickets:
            raise StoreError(f"ticket {ticket.ticket_id!r} is stored already")

    def _insert(self, ticket: SampleTicket) -> None:
        self._tickets[ticket.ticket_id] = ticket
        self._tickets_of[ticket.event_id].append(ticket)

    def _already_asked(self, ticket: SampleTicket) -> bool:
        return ticket.purpose is Purpose.ADJUDICATE and any(
            (known.review_round, known.purpose) == (ticket.review_round, Purpose.ADJUDICATE)
            for known in self._tickets_of[ticket.event_id]
        )

    def _is_answered(self, ticket: SampleTicket) -> bool:
        return ticket.ticket_id in self._labels_of

    def _held(self, ticket_id: str, labeller: str, now: datetime) -> bool:
        holder, until = self._leases.get(ticket_id, (labeller, now))
        return holder != labeller and until > now

    def _may_label(self, ticket: SampleTicket, labeller: str, now: datetime) -> bool:
        if self._held(ticket.ticket_id, labeller, now):
            return False
        seen = [
            other
            for other in self._tickets_of[ticket.event_id]
            if any(label.labeller == labeller for label in self._labels_of.get(other.ticket_id, []))
        ]
        if ticket.purpose is Purpose.ADJUDICATE:
            return not any(other.purpose in {Purpose.ESTIMATE, Purpose.ADJUDICATE} for other in seen)
        if ticket.purpose is Purpose.KNOWN:
            return not any(other.purpose is Purpose.KNOWN and other.policy == ticket.policy for other in seen)
        return True

    def _answers(self) -> list[Answer]:
        with self._lock:
            return [self._answer(label) for label in self._labels.values()]

    def _answer(self, label: Label) -> Answer:
        return Answer(self._tickets[label.ticket_id], label, self._known.get(label.ticket_id))

    def _challenge(self, challenge_id: str) -> ChallengePart:
        if challenge_id not in self._challenges:
            raise UnknownPart(f"no challenge part {challenge_id!r} is registered")
        return self._challenges[challenge_id]


def _within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or moment >= since) and (until is None or moment < until)
