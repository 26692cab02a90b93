"""Parts: search, everything about one of them, their pictures, and export as a data set."""

from datetime import timedelta

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from qc.console.accounts import Role
from qc.console.api.answers import alarm_answer, audit_answer, label_answer, part_answer
from qc.console.endpoint import Call, Endpoint, Refused
from qc.console.export import Exporter
from qc.console.live import LiveFeed
from qc.console.pictures import Pictures
from qc.console.schema.parts import (
    AuditQuery,
    AuditTrail,
    EventAnswer,
    ImageQuery,
    LabelAnswer,
    PartAnswer,
    PartDetail,
    PartsAnswer,
    PartsQuery,
    QualityOfImage,
)
from qc.domain.ports import AlarmStore
from qc.domain.record import InspectionRecord
from qc.domain.truth import Label
from qc.inspection.masks import View
from qc.record.console_store import ConsoleStore
from qc.record.part_search import PartQuery, PartSearch
from qc.wiring import Edge

_AROUND = timedelta(minutes=10)
_FOREVER = "private, max-age=31536000, immutable"
"""A part's picture never changes."""


class PartsApi:
    def __init__(
        self, edge: Edge, feed: LiveFeed, pictures: Pictures, *, search: PartSearch, store: ConsoleStore, alarms: AlarmStore
    ) -> None:
        self._edge, self._feed, self._pictures = edge, feed, pictures
        self._search, self._store, self._alarms = search, store, alarms
        self._exporter = Exporter(search, edge.archive, store)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/v1/parts", self._find, PartsAnswer, "Search parts, newest first", query=PartsQuery, tag="parts"),
            Endpoint(
                "GET", "/api/v1/parts/{event_id}", self._detail, PartDetail, "Everything about one part", tag="parts", errors=(404,)
            ),
            Endpoint(
                "GET", "/api/v1/images/{event_id}", self._image, "image/jpeg, image/png", "A part's picture or heat map layer",
                query=ImageQuery, tag="parts", errors=(404,),
            ),
            Endpoint(
                "GET", "/api/v1/export", self._export, "application/zip",
                "The labelled parts of a search as a data set for training: pictures and manifest.csv",
                role=Role.ENGINEER, query=PartsQuery, tag="parts", errors=(409,),
            ),
            Endpoint("GET", "/api/v1/audit", self._audit, AuditTrail, "Who did what", role=Role.ENGINEER, query=AuditQuery, tag="parts"),
        ]  # fmt: skip

    def _find(self, call: Call) -> PartsAnswer:
        query = part_query(call.query)
        found = self._search.find(query)
        parts = [part_answer(part.record, self._label(part.label), picture=self._has_picture(part.record)) for part in found]
        return PartsAnswer(parts=parts, more=len(parts) == query.limit, variants=self._search.variants())

    def _detail(self, call: Call) -> PartDetail:
        record = self._edge.store.by_event(call.path["event_id"])
        answers = self._edge.truth.answers_of_event(record.event_id)
        around = (record.decided_at - _AROUND, record.decided_at + _AROUND)
        quality = record.quality
        return PartDetail(
            part=self.part(record),
            recipe_version=record.recipe_version,
            model_sha256=record.model_sha256,
            source_ref=record.source_ref,
            frame_number=record.frame_number,
            dropped_before=record.dropped_before,
            queued_ms=record.timings.queued_ms,
            preprocess_ms=record.timings.preprocess_ms,
            inference_ms=record.timings.inference_ms,
            image_quality=None
            if quality is None
            else QualityOfImage(
                brightness=quality.brightness,
                contrast=quality.contrast,
                focus=quality.focus,
                noise=quality.noise,
                colour=quality.colour,
            ),
            labels=[
                label_answer(answer.label, self._store.marks(answer.label.label_id), answer.ticket.purpose) for answer in answers
            ],
            passes=[part_answer(r) for r in self._edge.store.by_part(record.part_id)[-20:] if r.event_id != record.event_id],
            events=[
                EventAnswer(seq=e.seq, kind=e.kind.value, at=e.created_at, state=e.state, sent_at=e.sent_at)
                for e in self._search.events(record.event_id)
            ],
            alarms=[alarm_answer(a) for a in self._alarms.find(limit=300) if record.event_id in a.parts],
            audit=[audit_answer(e) for e in self._edge.store.audit_trail(since=around[0], until=around[1], limit=30)],
        )

    def part(self, record: InspectionRecord) -> PartAnswer:
        return part_answer(record, self._label(self._search.label(record.event_id)), picture=self._has_picture(record))

    def _has_picture(self, record: InspectionRecord) -> bool:
        return record.image_ref is not None or self._feed.picture(record.event_id) is not None

    def _label(self, label: Label | None) -> LabelAnswer | None:
        return None if label is None else label_answer(label, self._store.marks(label.label_id))

    def _image(self, call: Call) -> Response:
        event_id, query = call.path["event_id"], call.query
        if query.kind == "heatmap":
            record = self._edge.store.by_event(event_id)
            picture = self._pictures.heatmap(record, self._view_of(record))
        else:
            picture = self._pictures.picture(event_id, query.size)
        return Response(picture.content, media_type=picture.media_type, headers={"Cache-Control": _FOREVER})

    def _view_of(self, record: InspectionRecord) -> View:
        """Where the model looked: the box around the recipe's region of interest, as long as that recipe is still here."""
        recipe = self._edge.shelf.recipe(record.variant)
        if recipe is None or recipe.roi is None or recipe.version != record.recipe_version:
            return (0.0, 0.0, 1.0, 1.0)
        xs, ys = [x for x, _ in recipe.roi], [y for _, y in recipe.roi]
        return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))

    def _export(self, call: Call) -> Response:
        path, pictures = self._exporter.write(part_query(call.query))
        if pictures == 0:
            path.unlink(missing_ok=True)
            raise Refused(
                "nothing_to_export", "no part of this selection has both a human label (good or defect) and a kept picture"
            )
        detail = {key: str(value) for key, value in call.request.query_params.items()}
        self._edge.control.audit(call.command("export", {**detail, "pictures": pictures}), "done")
        return FileResponse(
            path, media_type="application/zip", filename="qc-dataset.zip", headers={"Cache-Control": "no-store"},
            background=BackgroundTask(path.unlink, missing_ok=True),
        )  # fmt: skip

    def _audit(self, call: Call) -> AuditTrail:
        query = call.query
        entries = self._edge.store.audit_trail(since=query.since, until=query.until, action=query.action, limit=query.limit)
        return AuditTrail(entries=[audit_answer(entry) for entry in entries])


def part_query(query: PartsQuery) -> PartQuery:
    return PartQuery(
        since=query.since,
        until=query.until,
        decision=query.verdict,
        variant=query.variant,
        min_score=query.min_score,
        max_score=query.max_score,
        label=query.label,
        text=query.part,
        before_seq=query.before_seq,
        limit=query.limit,
    )
