"""The one door for labels: from MQTT, HTTP and CSV alike. A refused label leaves everything as it was."""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import structlog

from qc.domain.errors import LabelError, UnknownPart
from qc.domain.ports import Clock, TruthStore
from qc.domain.truth import Answer, Label, Purpose, SampleTicket, Truth
from qc.label.adjudication import LookRules, follow_up
from qc.label.known import KnownParts

log = structlog.get_logger(__name__)

FIELDS: Final = (
    *("ticket_id", "part_id", "truth", "defect_type", "labeller", "labelled_at", "seconds_spent", "review_round"),
    *("corrects", "label_id"),
)
MAX_TEXT = 200
MAX_SECONDS = 24 * 3600.0
_CLOCK_SKEW = timedelta(minutes=5)
"""A tablet's clock may run ahead of the edge's by this much."""

LABEL_ERRORS: Final[Mapping[str, str]] = {
    "missing_field": "a required field is absent or empty",
    "unknown_field": "a field that labels do not have",
    "bad_value": "a field's type, length or range is wrong",
    "labeller_missing": "nobody says that it is so",
    "unknown_ticket": "no such ticket",
    "unknown_part": "no part with this id was drawn for labelling",
    "ambiguous_part": "several tickets of the part are open; name the ticket_id",
    "ticket_expired": "the label was given after the ticket's expiry",
    "wrong_label": "not one of good, defect, unsure; or a defect type on a part that is not defective",
    "unknown_defect_type": "the line has a list of defect types, and this is not on it",
    "bad_seconds": "seconds_spent is negative, not a number or longer than a day",
    "bad_time": "labelled_at has no zone, lies in the future or before the ticket",
    "wrong_round": "the review round is not the ticket's",
    "own_label": "an inspector cannot review a part that they judged before",
    "duplicate": "this labeller answered this ticket before; send a correction to change it",
    "answered": "someone else answered this ticket before",
    "not_your_label": "only the labeller corrects a label; somebody else's view is a second look",
    "stale_correction": "the label was corrected before; correct the newest one",
    "unknown_label": "there is no such label to correct",
}
"""code -> what it means; also the table in docs/labelling.md."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """label: as stored. tickets: further looks that the label made necessary, and known parts slipped in; they need label requests.
    repeated: the same label_id with the same content was stored before; nothing new happened."""

    label: Label
    tickets: tuple[SampleTicket, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A label that may be stored, and its ticket. repeated: it is stored already."""

    label: Label
    ticket: SampleTicket
    repeated: bool = False


class LabelIntake:
    """Checks and stores labels. Thread-safe. defect_types: the line's list; empty allows any text."""

    def __init__(
        self,
        store: TruthStore,
        clock: Clock,
        *,
        defect_types: Sequence[str] = (),
        rules: LookRules | None = None,
        known: KnownParts | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._defect_types = tuple(defect_types)
        self._rules = rules or LookRules()
        self._known = known
        self._lock = threading.Lock()  # which look comes next depends on the labels so far: one label at a time

    def submit(self, fields: Mapping[str, object]) -> Accepted:
        """Store one label. fields: see FIELDS; ticket_id (or part_id), truth and labeller are required. Raises LabelError."""
        with self._lock:
            return self._submit(fields)

    def _submit(self, fields: Mapping[str, object]) -> Accepted:
        checked = self.check(fields)
        label, ticket = checked.label, checked.ticket
        if checked.repeated:
            return Accepted(label, repeated=True)
        now = self._clock.now()
        further = self._further_look(ticket, label, now)
        self._store.add(label, further)
        slipped_in = None
        if self._known is not None and label.corrects is None:
            slipped_in = self._known.after(ticket, now)
        log.info(
            "label_stored", ticket=ticket.ticket_id, labeller=label.labeller, purpose=ticket.purpose, round=label.review_round
        )
        return Accepted(label, (*further, *([slipped_in] if slipped_in else ())))

    def check(self, fields: Mapping[str, object]) -> Checked:
        """What ``submit`` would store. Stores nothing. Raises LabelError."""
        unknown = sorted(set(fields) - set(FIELDS))
        if unknown:
            raise _refused("unknown_field", f"{', '.join(unknown)}: a label has the fields {', '.join(FIELDS)}")
        labeller = _text(fields, "labeller").strip()
        if not labeller:
            raise _refused("labeller_missing", "labeller: say who looked at the part")
        truth = _truth(_text(fields, "truth"))
        defect_type = self._defect_type(_text(fields, "defect_type").strip(), truth)
        seconds = _seconds(fields.get("seconds_spent"))
        corrects = _text(fields, "corrects") or None
        ticket = self._ticket(fields, labeller)
        round_said = fields.get("review_round")
        if round_said not in (None, "") and _whole_number("review_round", round_said) != ticket.review_round:
            raise _refused("wrong_round", f"ticket {ticket.ticket_id} asks for look {ticket.review_round}, not {round_said}")
        label_id = _text(fields, "label_id")
        stored = self._store.label(label_id) if label_id else None
        label = Label(
            label_id=label_id or uuid4().hex,
            ticket_id=ticket.ticket_id,
            truth=truth,
            defect_type=defect_type,
            labeller=labeller,
            labelled_at=stored.labelled_at if stored else self._labelled_at(fields.get("labelled_at"), ticket),
            seconds_spent=seconds,
            review_round=ticket.review_round,
            corrects=corrects,
        )
        if stored is None:
            self._check_history(label, ticket)
        elif stored != label:
            raise _refused("duplicate", f"label_id {label_id!r} is taken by another label; ids must be unique")
        return Checked(label, ticket, repeated=stored is not None)

    def _check_history(self, label: Label, ticket: SampleTicket) -> None:
        answers = self._store.answers_of_event(ticket.event_id)
        given = [answer.label for answer in answers if answer.ticket.ticket_id == ticket.ticket_id]
        if label.corrects is not None:
            _check_correction(label, given)
            return
        if given:
            last = given[-1]
            if last.labeller == label.labeller:
                hint = f"to change it, send corrects={last.label_id}"
                raise _refused("duplicate", f"{label.labeller} answered ticket {ticket.ticket_id} already ({last.truth}); {hint}")
            raise _refused("answered", f"ticket {ticket.ticket_id} was answered by {given[0].labeller} already")
        if ticket.purpose is Purpose.ADJUDICATE and label.labeller in {a.label.labeller for a in answers if _is_look(a)}:
            raise _refused(
                "own_label",
                f"{label.labeller} judged part {ticket.part_id} before; look {ticket.review_round} needs someone else",
            )

    def _ticket(self, fields: Mapping[str, object], labeller: str) -> SampleTicket:
        ticket_id, part_id = _text(fields, "ticket_id"), _text(fields, "part_id")
        if ticket_id:
            try:
                ticket = self._store.ticket(ticket_id)
            except UnknownPart as error:
                raise _refused("unknown_ticket", f"no ticket {ticket_id!r}; ticket ids come with the label requests") from error
            if part_id and part_id != ticket.part_id:
                raise _refused("unknown_part", f"ticket {ticket_id} belongs to part {ticket.part_id!r}, not to {part_id!r}")
            return ticket
        if not part_id:
            raise _refused("missing_field", "ticket_id (or part_id) is required")
        tickets = self._store.tickets_of_part(part_id)
        if not tickets:
            raise _refused("unknown_part", f"part {part_id!r} was not drawn for labelling")
        open_ids = {ticket.ticket_id for ticket in self._store.open_tickets(self._clock.now(), labeller=labeller)}
        waiting = [ticket for ticket in tickets if ticket.ticket_id in open_ids]
        if len(waiting) > 1:
            raise _refused("ambiguous_part", f"part {part_id!r} has {len(waiting)} open tickets; name the ticket_id")
        return waiting[0] if waiting else tickets[-1]  # the later checks tell what is wrong with an answered or expired one

    def _defect_type(self, defect_type: str, truth: Truth) -> str:
        if not defect_type:
            return ""
        if truth is not Truth.DEFECT:
            raise _refused("wrong_label", f"defect_type {defect_type!r} on a part that is called {truth}; leave it out")
        if self._defect_types and defect_type not in self._defect_types:
            raise _refused("unknown_defect_type", f"defect_type {defect_type!r} is not one of {', '.join(self._defect_types)}")
        return defect_type

    def _labelled_at(self, value: object, ticket: SampleTicket) -> datetime:
        now = self._clock.now()
        moment = now if value in (None, "") else _moment(value)
        if moment > now + _CLOCK_SKEW:
            raise _refused("bad_time", f"labelled_at {moment.isoformat()} lies in the future (it is {now.isoformat()})")
        if moment < ticket.created_at - _CLOCK_SKEW:
            raise _refused(
                "bad_time", f"labelled_at {moment.isoformat()} is before the ticket was made ({ticket.created_at.isoformat()})"
            )
        if moment >= ticket.expires_at:
            raise _refused("ticket_expired", f"ticket {ticket.ticket_id} expired at {ticket.expires_at.isoformat()}")
        return moment

    def _further_look(self, ticket: SampleTicket, label: Label, now: datetime) -> tuple[SampleTicket, ...]:
        if ticket.purpose not in (Purpose.ESTIMATE, Purpose.ADJUDICATE):
            return ()
        wanted = follow_up([*self._store.answers_of_event(ticket.event_id), Answer(ticket, label)], now, self._rules)
        return () if wanted is None else (wanted,)


def _is_look(answer: Answer) -> bool:
    return answer.ticket.purpose in (Purpose.ESTIMATE, Purpose.ADJUDICATE)


def _check_correction(label: Label, given: Sequence[Label]) -> None:
    corrected = next((known for known in given if known.label_id == label.corrects), None)
    if corrected is None:
        raise _refused("unknown_label", f"ticket {label.ticket_id} has no label {label.corrects!r} to correct")
    if corrected.labeller != label.labeller:
        raise _refused(
            "not_your_label", f"label {label.corrects} is {corrected.labeller}'s; {label.labeller} can be asked for a second look"
        )
    if any(known.corrects == label.corrects for known in given):
        raise _refused(
            "stale_correction", f"label {label.corrects} was corrected already by {given[-1].label_id}; correct that one"
        )


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refused("bad_value", f"{name} must be text, not {value!r}")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise _refused("bad_value", f"{name} must be one line of at most {MAX_TEXT} printable characters")
    return value


def _truth(value: str) -> Truth:
    if not value:
        raise _refused("missing_field", "truth is required: good, defect or unsure")
    try:
        return Truth(value.strip().lower())
    except ValueError as error:
        raise _refused("wrong_label", f"truth {value!r} is not one of good, defect, unsure") from error


def _seconds(value: object) -> float | None:
    if value in (None, ""):
        return None
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_SECONDS:
        raise _refused("bad_seconds", f"seconds_spent {value!r} must be a number from 0 to {MAX_SECONDS:.0f}")
    return seconds


def _whole_number(name: str, value: object) -> int:
    try:
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise _refused("bad_value", f"{name} must be a whole number, not {value!r}")


def _moment(value: object) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _refused("bad_time", f"labelled_at {value!r} is not a time such as 2026-11-24T08:15:00Z") from error
    if moment.utcoffset() is None:
        raise _refused("bad_time", f"labelled_at {value!r} needs a zone, such as 2026-11-24T08:15:00Z")
    return moment


def _refused(code: str, message: str) -> LabelError:
    assert code in LABEL_ERRORS
    return LabelError(message, code=code)
