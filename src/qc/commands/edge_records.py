"""What an edge has stored, for commands beside the running line; and the times that people type."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from qc.domain.errors import ConfigError
from qc.publish.topics import EdgeName
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore
from qc.settings import LineSettings, load_line

FILE_NAME = "qc.sqlite3"


@dataclass(frozen=True, slots=True)
class EdgeRecords:
    """The stores of one edge on its one file. zone: the line's own."""

    settings: LineSettings
    name: EdgeName
    zone: ZoneInfo
    database: Database
    store: SqliteRecordStore
    truth: SqliteTruthStore
    alarms: SqliteAlarmStore


@contextmanager
def edge_records(config: Path, *, write: bool = False) -> Iterator[EdgeRecords]:
    """Open the records of an edge, running or not. Raises ConfigError, StoreError.

    An edge that has never run has no file yet: a reader then sees empty stores, and only a writer makes the file.
    """
    settings = load_line(config)
    path = settings.storage.directory / FILE_NAME
    with tempfile.TemporaryDirectory(prefix="qc-empty-") as nowhere:
        if not write and not path.exists():
            path = Path(nowhere) / FILE_NAME
        with closing(Database(path)) as database:
            edge = settings.edge
            yield EdgeRecords(
                settings,
                EdgeName(edge.site, edge.area, edge.line, edge.edge),
                ZoneInfo(settings.sampling.timezone),
                database,
                SqliteRecordStore(database),
                SqliteTruthStore(database),
                SqliteAlarmStore(database),
            )


@dataclass(frozen=True, slots=True)
class TimeRange:
    """since <= t < until."""

    since: datetime
    until: datetime


def time_range(since: str, until: str, zone: ZoneInfo, now: datetime, *, default: timedelta) -> TimeRange:
    """since, until: as typed, empty for "``default`` before until" and "now". Raises ConfigError."""
    end = moment("--to", until, zone, end=True) if until else now
    start = moment("--from", since, zone) if since else end - default
    if start >= end:
        raise ConfigError(f"--from {start.isoformat()} must lie before --to {end.isoformat()}")
    return TimeRange(start, end)


def compared_range(text: str, zone: ZoneInfo) -> TimeRange:
    """``FROM..TO``. Raises ConfigError."""
    since, dots, until = text.partition("..")
    if not dots or not since or not until:
        raise ConfigError(f"--compare {text!r}: write FROM..TO, for example 2026-10-01..2026-10-31")
    found = TimeRange(moment("--compare", since, zone), moment("--compare", until, zone, end=True))
    if found.since >= found.until:
        raise ConfigError(f"--compare {text!r}: its start must lie before its end")
    return found


def moment(option: str, text: str, zone: ZoneInfo, *, end: bool = False) -> datetime:
    """A day (its start; its end with ``end``, so that "to the 30th" holds the 30th) or an ISO 8601 time; without zone: the line's."""
    try:
        if len(text) <= 10:
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            return datetime.combine(day, time(), zone)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"{option} {text!r}: write a day such as 2026-11-24 or a time such as 2026-11-24T06:00") from None
    return at if at.utcoffset() is not None else at.replace(tzinfo=zone)
