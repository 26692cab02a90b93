"""The label page: one ticket at a time, blind; one door for answers, shared with MQTT and CSV."""

import statistics
import threading
from collections import deque
from collections.abc import Sequence

from starlette.responses import Response

from qc.console.accounts import Role
from qc.console.endpoint import Call, Endpoint
from qc.console.pictures import Pictures
from qc.console.schema.base import Done
from qc.console.schema.labels import LabelBody, LabelDone, NextBody, ProgressAnswer, TicketAnswer, TicketsAnswer
from qc.domain.errors import UnknownPart
from qc.domain.ports import Clock
from qc.domain.record import Json
from qc.domain.truth import SampleTicket
from qc.record.console_store import Box, ConsoleStore
from qc.wiring import Edge

_SPARE = 4
"""Tickets looked at beyond those wanted, in case some have no picture."""
_SECONDS = 50
"""Labels over which a labeller's own pace is shown."""


class LabelsApi:
    def __init__(self, edge: Edge, clock: Clock, pictures: Pictures, store: ConsoleStore) -> None:
        self._edge, self._clock, self._pictures, self._store = edge, clock, pictures, store
        self._queue = edge.street.queue
        self._lock = threading.Lock()
        self._seconds: dict[str, deque[float]] = {}
        self._mine: dict[str, int] = {}

    def endpoints(self) -> list[Endpoint]:
        operator = Role.OPERATOR
        return [
            Endpoint(
                "POST", "/api/v1/labels/next", self._next, TicketsAnswer, "The next tickets, leased to me for five minutes",
                role=operator, body=NextBody, tag="labels",
            ),
            Endpoint(
                "POST", "/api/v1/labels", self._label, LabelDone, "My answer to a ticket, or a correction of it",
                role=operator, body=LabelBody, tag="labels", errors=(404, 409),
            ),
            Endpoint(
                "DELETE", "/api/v1/labels/tickets/{ticket_id}/lease", self._release, Done, "Give a ticket back", role=operator, tag="labels"
            ),
            Endpoint(
                "GET", "/api/v1/labels/tickets/{ticket_id}/image", self._image, "image/jpeg, image/png",
                "The ticket's picture: without the part's event id, which would lead to its verdict",
                role=operator, tag="labels", errors=(404,),
            ),
            Endpoint("GET", "/api/v1/labels/progress", self._progress, ProgressAnswer, "How far the shift's plan is", tag="labels"),
        ]  # fmt: skip

    def waiting(self, labeller: str = "") -> int:
        return len(self._edge.truth.open_tickets(self._clock.now(), labeller=labeller, limit=1000))

    def _next(self, call: Call) -> TicketsAnswer:
        """Tickets whose picture is not there (still being written, or lost) are passed over and put back."""
        name, answers = call.visitor.name, list[TicketAnswer]()
        for ticket in self._queue.next_tickets(name, call.body.count + _SPARE):
            answer = self._ticket(ticket) if len(answers) < call.body.count else None
            if answer is None:
                self._queue.release(ticket.ticket_id, name)
            else:
                answers.append(answer)
        return TicketsAnswer(tickets=answers)

    def _ticket(self, ticket: SampleTicket) -> TicketAnswer | None:
        try:
            record = self._edge.store.by_event(ticket.event_id)
        except UnknownPart:  # the record was purged
            return None
        if not self._pictures.has(ticket.event_id):
            return None
        return TicketAnswer(
            ticket_id=ticket.ticket_id,
            part_id=ticket.part_id,
            variant=record.variant,
            camera=record.camera_id,
            window=ticket.window,
            review_round=ticket.review_round,
            image=f"/api/v1/labels/tickets/{ticket.ticket_id}/image",
            expires_at=ticket.expires_at,
        )

    def _label(self, call: Call) -> LabelDone:
        body: LabelBody = call.body
        fields: dict[str, Json] = {
            "ticket_id": body.ticket_id,
            "truth": body.truth,
            "labeller": call.visitor.name,
            "defect_type": body.defect_type,
            "seconds_spent": body.seconds_spent,
            "corrects": body.corrects,
        }
        fields = {key: value for key, value in fields.items() if value not in (None, "")}
        result = self._edge.control.handle(call.command("label", fields))
        label_id = str(result["label_id"])
        if body.boxes:
            self._store.put_marks(label_id, [_box(box) for box in body.boxes])
        with self._lock:
            if body.corrects is None:
                self._mine[call.visitor.name] = self._mine.get(call.visitor.name, 0) + 1
            if body.seconds_spent is not None:
                self._seconds.setdefault(call.visitor.name, deque(maxlen=_SECONDS)).append(body.seconds_spent)
        further = result.get("further_looks", 0)
        return LabelDone(label_id=label_id, further_looks=further if isinstance(further, int) else 0)

    def _release(self, call: Call) -> Done:
        self._queue.release(call.path["ticket_id"], call.visitor.name)
        return Done()

    def _image(self, call: Call) -> Response:
        ticket = self._edge.truth.ticket(call.path["ticket_id"])
        picture = self._pictures.picture(ticket.event_id, "screen")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(picture.content, media_type=picture.media_type, headers=headers)

    def _progress(self, call: Call) -> ProgressAnswer:
        now = self._clock.now()
        window = self._edge.street.shift_of(now)
        progress = self._edge.truth.progress(window, now)
        recipe = self._edge.line.setup.recipe
        with self._lock:
            seconds = list(self._seconds.get(call.visitor.name, ()))
            mine = self._mine.get(call.visitor.name, 0)
        return ProgressAnswer(
            window=window,
            asked=progress.asked,
            answered=progress.answered,
            expired=progress.expired,
            waiting=self.waiting(call.visitor.name),
            planned=recipe.sampling.labels_per_window,
            mine=mine,
            median_seconds=round(statistics.median(seconds), 1) if seconds else None,
            defect_types=list(self._edge.settings.sampling.defect_types),
        )


def _box(box: Sequence[float]) -> Box:
    return (box[0], box[1], box[2], box[3])
