"""``qc label import`` and ``qc label export``: labelling by spreadsheet, beside the running line."""

from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qc.commands.edge_records import EdgeRecords, edge_records
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError, UnknownPart
from qc.domain.record import Entry
from qc.domain.truth import SampleTicket
from qc.label.adjudication import LookRules
from qc.label.csv_import import ImportReport, export_tickets, import_labels
from qc.label.intake import LabelIntake
from qc.label.known import KnownParts
from qc.publish.events import label_request_event
from qc.record.image_reader import ImageReader

_SHOWN_ERRORS = 20


def import_file(config: Path, file: Path, *, partial: bool) -> int:
    """Exit code 1 when rows were wrong. Raises ConfigError, StoreError, LabelError for an unreadable file."""
    with edge_records(config, write=True) as edge:
        report = import_labels(file, _intake(edge), partial=partial)
        _ask_for_further_looks(edge, [ticket for one in report.stored for ticket in one.tickets])
    _show(report, partial=partial)
    return 1 if report.errors else 0


def export_file(config: Path, file: Path, *, labeller: str) -> int:
    """Writes the open tickets, blind."""
    with edge_records(config) as edge:
        pictures = ImageReader(edge.database, edge.settings.storage.directory / "images")

        def image_of(event_id: str) -> str | None:
            return f"/api/v1/images/{event_id}" if _has_picture(pictures, event_id) else None

        try:
            written = export_tickets(edge.truth, file, SystemClock().now(), labeller=labeller, image_of=image_of)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
    print(f"{written} open tickets written: {file}")
    return 0


def _intake(edge: EdgeRecords) -> LabelIntake:
    """The same rules as the running edge's."""
    pictures = ImageReader(edge.database, edge.settings.storage.directory / "images")
    lifetime = timedelta(hours=edge.settings.sampling.ticket_hours)
    known = KnownParts(edge.truth, lambda event_id: _has_picture(pictures, event_id), lifetime=lifetime)
    return LabelIntake(
        edge.truth, SystemClock(), defect_types=edge.settings.sampling.defect_types, rules=LookRules(), known=known
    )


def _ask_for_further_looks(edge: EdgeRecords, tickets: list[SampleTicket]) -> None:
    """Put their requests into the outbox; the running edge publishes them."""
    entries = []
    for ticket in tickets:
        try:
            record = edge.store.by_event(ticket.event_id)
        except UnknownPart:
            continue  # purged meanwhile; the ticket stays in the queue of the console
        if record.image_ref is not None:
            request = label_request_event(
                ticket, edge.name, image_ref=record.image_ref, camera_id=record.camera_id, variant=record.variant
            )
            entries.append(Entry(request))
    edge.store.append(entries)


def _has_picture(pictures: ImageReader, event_id: str) -> bool:
    try:
        pictures.load(event_id)
    except UnknownPart:
        return False
    return True


def _show(report: ImportReport, *, partial: bool) -> None:
    further = sum(len(one.tickets) for one in report.stored)
    if report.errors:
        table = Table("line", "code", "what is wrong", box=None, padding=(0, 2, 0, 0))
        for error in report.errors[:_SHOWN_ERRORS]:
            table.add_row(str(error.row), error.code, error.message)
        Console().print(table)
        if len(report.errors) > _SHOWN_ERRORS:
            print(f"... and {len(report.errors) - _SHOWN_ERRORS} more")
        if not partial:
            print(f"{len(report.errors)} wrong rows: nothing was stored. Correct them, or store the others with --partial")
            return
    print(
        f"{len(report.stored)} labels stored, {report.repeated} were stored before, {report.blank} rows without an answer, "
        f"{len(report.errors)} wrong; {further} further looks asked for"
    )
