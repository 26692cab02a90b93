"""kill -9 at any instant: what append() returned for is in the database and in the outbox, and the file is sound."""

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from qc.record.database import Database
from qc.record.store import SqliteRecordStore

pytestmark = pytest.mark.system

KILLS = 6

APPEND_FOR_EVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from qc.domain.record import Entry, Event, EventKind, InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.record.database import Database
from qc.record.store import SqliteRecordStore

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
store = SqliteRecordStore(Database(Path(sys.argv[1])))
run, number = sys.argv[2], 0
while True:
    batch = []
    for number in range(number + 1, number + 2 + number % 4):
        at = datetime.now(UTC)
        event_id = f"run{run}-{number}"
        record = InspectionRecord(
            event_id=event_id, part_id=event_id, camera_id="cam1", captured_at=at, decided_at=at,
            verdict=Verdict(Decision.OK, Reason.BELOW_REVIEW), variant="mono", recipe_version="0", model_id="m",
            model_sha256="0", review_at=0.3, reject_at=0.6, score=0.1,
        )
        body = {"schema": "qc.inspection/1", "event_id": event_id, "ts": at.isoformat()}
        batch.append(Entry(Event(EventKind.INSPECTION, event_id, at, body), record))
    for seq, entry in zip(store.append(batch), batch, strict=True):
        print(seq, entry.event.event_id)
    sys.stdout.flush()
    if number % 3 == 0:
        store.mark_sent([seq])
"""


def killed_run(path: Path, run: int, lifetime_s: float) -> list[tuple[int, str]]:
    """(seq, event_id) of every part that the child had appended when it was killed."""
    child = subprocess.Popen([sys.executable, "-c", APPEND_FOR_EVER, str(path), str(run)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()  # the interpreter is up and the first commit is done
    time.sleep(lifetime_s)
    child.kill()
    lines = [first, *child.stdout.read().splitlines(keepends=True)]
    child.wait()
    child.stdout.close()
    return [(int(line.split()[0]), line.split()[1]) for line in lines if line.endswith("\n")]


def test_every_returned_append_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "qc.sqlite"
    moments = random.Random(20261124)
    printed: dict[int, str] = {}
    for run in range(KILLS):
        answered = killed_run(path, run, moments.uniform(0.0, 0.4))
        assert answered
        assert not printed.keys() & {seq for seq, _ in answered}, "no number is given twice"
        printed.update(answered)
        with closing(Database(path)) as database:
            assert database.check() == []
            with database.read() as connection:
                outbox = dict(connection.execute("SELECT seq, event_id FROM outbox").fetchall())
                records = dict(connection.execute("SELECT seq, event_id FROM inspections").fetchall())
                tally = dict(connection.execute("SELECT state, row_count FROM outbox_tally").fetchall())
                counted = connection.execute("SELECT sum(parts) FROM decision_counts WHERE bucket = -1").fetchone()[0]
            assert printed.items() <= records.items()
            assert outbox == records, "a record and its outbox row live and die together"
            assert sorted(records) == list(range(1, len(records) + 1)), "without a gap"
            assert tally["pending"] + tally["sent"] == counted == len(records)
            assert len(SqliteRecordStore(database).pending(0, 10**6)) == tally["pending"]
