"""Labels by spreadsheet: open tickets out, answers in."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from qc.domain.errors import LabelError
from qc.domain.ports import TruthStore
from qc.label.intake import FIELDS, Accepted, LabelIntake

COLUMNS = (
    "ticket_id",
    "part_id",
    "image",
    "review_round",
    "expires_at",
    "truth",
    "defect_type",
    "labeller",
    "labelled_at",
    "seconds_spent",
)
_INFORMATION = frozenset({"image", "expires_at"})
"""Columns of the export that say something to the labeller and nothing to the import."""
_MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class RowError:
    """row: line number in the file, the header is line 1."""

    row: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """stored: new labels. repeated: rows that an earlier import of the same file had stored. blank: rows without an answer."""

    stored: tuple[Accepted, ...]
    repeated: int
    blank: int
    errors: tuple[RowError, ...]


def export_tickets(
    store: TruthStore, path: Path, now: datetime, *, labeller: str = "", image_of: Callable[[str], str | None] = lambda _: None
) -> int:
    """Write the open tickets for labelling offline; returns how many. Blind: neither score nor verdict is in the file.

    With a labeller: the tickets that they may answer, and their name filled in. image_of: event id -> path or URL of the picture.
    Tickets are not leased: give each file to one person.
    """
    tickets = store.open_tickets(now, labeller=labeller)
    with path.open("w", newline="", encoding="utf-8-sig") as file:  # the mark makes spreadsheets read it as UTF-8
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for ticket in tickets:
            writer.writerow(
                {
                    "ticket_id": ticket.ticket_id,
                    "part_id": ticket.part_id,
                    "image": image_of(ticket.event_id) or "",
                    "review_round": ticket.review_round,
                    "expires_at": ticket.expires_at.isoformat(timespec="seconds"),
                    "labeller": labeller,
                }
            )
    return len(tickets)


def import_labels(path: Path, intake: LabelIntake, *, partial: bool = False) -> ImportReport:
    """Store the answers of a file. Rows without ``truth`` are skipped as not labelled yet.

    All or nothing: with any wrong row nothing is stored and every wrong row is reported. partial: store the good rows all the same.
    A file may be imported again (after a crash, with more answers): rows that were stored are recognised and counted as repeated.
    Raises LabelError ``bad_file`` when it is not a readable CSV file with the right columns.
    """
    rows = _read(path)
    answers = [(number, _fields(row)) for number, row in rows if (row.get("truth") or "").strip()]
    blank = len(rows) - len(answers)
    errors: list[RowError] = []
    good: list[tuple[int, dict[str, object]]] = []
    seen: dict[object, int] = {}
    for number, fields in answers:
        try:
            label = intake.check(fields).label
        except LabelError as error:
            errors.append(RowError(number, error.code, str(error)))
            continue
        first = seen.setdefault((label.ticket_id, label.corrects), number)
        if first != number:
            errors.append(RowError(number, "duplicate", f"ticket {label.ticket_id} is answered in row {first} already"))
            continue
        good.append((number, fields))
    if errors and not partial:
        return ImportReport((), 0, blank, tuple(errors))
    done: list[Accepted] = []
    for number, fields in good:
        try:
            done.append(intake.submit(fields))
        except LabelError as error:  # someone answered on the console since the check
            errors.append(RowError(number, error.code, str(error)))
    stored = tuple(one for one in done if not one.repeated)
    return ImportReport(stored, len(done) - len(stored), blank, tuple(sorted(errors, key=lambda error: error.row)))


def _read(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            # Spreadsheets of many countries write semicolons.
            reader = csv.DictReader(
                file, delimiter=";" if header.count(";") > header.count(",") else ",", restkey="", strict=True
            )
            _check_header(path, list(reader.fieldnames or ()))
            rows = []
            for row in reader:
                if row.get("") is not None:
                    raise _bad_file(path, f"line {reader.line_num} has more values than the header has columns")
                rows.append((reader.line_num, row))
                if len(rows) > _MAX_ROWS:
                    raise _bad_file(path, f"more than {_MAX_ROWS} rows; split it")
            return rows
    except OSError as error:
        raise _bad_file(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _bad_file(path, "is not UTF-8 text; save it as CSV UTF-8") from error
    except csv.Error as error:
        raise _bad_file(path, f"is not a CSV file: {error}") from error


def _check_header(path: Path, names: list[str]) -> None:
    allowed = set(FIELDS) | _INFORMATION
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise _bad_file(path, f"unknown column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}, corrects, label_id")
    missing = [name for name in ("truth", "labeller") if name not in names]
    if "ticket_id" not in names and "part_id" not in names:
        missing.insert(0, "ticket_id")
    if missing:
        raise _bad_file(path, f"column {missing[0]!r} is missing in the first line")
    if len(set(names)) != len(names):
        raise _bad_file(path, "a column appears twice in the first line")


def _fields(row: dict[str, str | None]) -> dict[str, object]:
    """The row as intake fields, with a label_id that the same row always gets: importing twice stores once."""
    fields: dict[str, object] = {name: value for name, value in row.items() if name in FIELDS and value}
    if "label_id" not in fields:
        text = "\x1f".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "part_id")
        fields["label_id"] = "csv-" + hashlib.sha256(text.encode()).hexdigest()[:24]
    return fields


def _bad_file(path: Path, message: str) -> LabelError:
    return LabelError(f"{path}: {message}", code="bad_file")
