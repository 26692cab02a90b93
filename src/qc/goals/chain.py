"""Hash-chained records on disk: whoever changes, removes or inserts one breaks every later one.

A record is one file, ``NNNNNN-<kind>-<time>.json``: canonical JSON (sorted keys, no spaces, UTF-8) of number, kind, created_at,
body, previous (the SHA-256 that the record before it states) and sha256, which covers everything else. Cutting records off the
end leaves a shorter, sound chain: ``verify`` finds that only when it is told what the last one must be (``qc audit`` also
writes each hash into the audit trail of the record store for that).
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qc.domain.errors import StoreError
from qc.domain.record import Json

FORMAT = "qc.chain/1"
FIRST = "0" * 64
_NAME = re.compile(r"^(\d{6,})-[a-z]+-[0-9TZ-]+\.json$")


@dataclass(frozen=True, slots=True)
class ChainedRecord:
    """number counts from 1. previous, sha256: hex."""

    path: Path
    number: int
    kind: str
    created_at: str
    previous: str
    sha256: str
    body: Mapping[str, Json]


def append(directory: Path, kind: str, body: Mapping[str, Json], now: datetime) -> ChainedRecord:
    """Write the next record, durably; one writer at a time, also across processes. Raises StoreError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the system even when the process is killed
            return _append(directory, kind, body, now)
    except OSError as error:
        raise StoreError(f"{directory}: a record cannot be written: {error.strerror}") from error


def _append(directory: Path, kind: str, body: Mapping[str, Json], now: datetime) -> ChainedRecord:
    last = _last(directory)
    number, previous = (last.number + 1, last.sha256) if last else (1, FIRST)
    created_at = now.astimezone(UTC).isoformat(timespec="seconds")
    content: dict[str, Json] = {
        "format": FORMAT,
        "number": number,
        "kind": kind,
        "created_at": created_at,
        "previous": previous,
        "body": dict(body),
    }
    content["sha256"] = sha256 = _hash(content)
    path = directory / f"{number:06d}-{kind}-{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.json"
    _write(path, _canonical(content))
    return ChainedRecord(path, number, kind, created_at, previous, sha256, body)


def verify(directory: Path, *, last: tuple[int, str] | None = None) -> list[str]:
    """What is wrong, as sentences that name the file; empty when the chain is sound. last: (number, sha256) of a record that must exist."""
    problems: list[str] = []
    previous, expected, known = FIRST, 1, dict[int, str]()
    for path in _files(directory):
        try:
            record = _read(path)
        except StoreError as error:
            problems.append(str(error))
            # The chain goes on with what the next record says, so that one bad file is one finding.
            expected, previous = int(path.name.split("-")[0]) + 1, ""
            continue
        if record.number != expected:
            problems.append(f"{path}: number {record.number} follows {expected - 1}; a record was removed, doubled or renamed")
        elif previous and record.previous != previous:
            problems.append(f"{path}: does not continue the record before it; one of them was replaced")
        if int(path.name.split("-")[0]) != record.number:
            problems.append(f"{path}: holds record {record.number}; it was renamed")
        previous, expected = record.sha256, record.number + 1
        known[record.number] = record.sha256
    if last is not None and known.get(last[0]) != last[1]:
        found = "is another one" if last[0] in known else "is missing"
        problems.append(f"{directory}: record {last[0]} with SHA-256 {last[1]} was written, but it {found}")
    return problems


def records(directory: Path) -> list[ChainedRecord]:
    """All records, oldest first. Raises StoreError for one that was altered."""
    return [_read(path) for path in _files(directory)]


def _files(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from sorted(
            (path for path in directory.iterdir() if _NAME.match(path.name)), key=lambda path: int(path.name.split("-")[0])
        )


def _last(directory: Path) -> ChainedRecord | None:
    paths = list(_files(directory))
    return _read(paths[-1]) if paths else None


def _read(path: Path) -> ChainedRecord:
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
        record = ChainedRecord(
            path,
            int(content["number"]),
            str(content["kind"]),
            str(content["created_at"]),
            str(content["previous"]),
            str(content["sha256"]),
            content["body"],
        )
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: was altered: it is no longer a record ({type(error).__name__})") from error
    try:
        sound = raw == _canonical(content) and record.sha256 == _hash({k: v for k, v in content.items() if k != "sha256"})
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise StoreError(f"{path}: was altered: its content does not match its own SHA-256")
    return record


def _canonical(content: Mapping[str, Json]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _hash(content: Mapping[str, Json]) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
