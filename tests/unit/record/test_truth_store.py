"""What only the SQLite store promises: append-only by the database itself, durable through kill -9."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qc.domain.errors import StoreError
from qc.domain.truth import ChallengePart, ChallengePass, Label, PlanRecord, Purpose, SampleTicket, Truth
from qc.record.database import Database
from qc.record.truth_store import SqliteTruthStore

T0 = datetime(2026, 11, 24, 6, tzinfo=UTC)


def ticket(name: str, purpose: Purpose = Purpose.ESTIMATE, q: float = 0.5) -> SampleTicket:
    return SampleTicket(name, f"e-{name}", f"p-{name}", "w", "a1", q, "policy", purpose, T0, T0 + timedelta(days=1))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        store = SqliteTruthStore(database)
        store.add(tickets=[ticket("t1")])
        store.add(Label("l1", "t1", Truth.GOOD, "", "anna", T0))
        store.add_known(ticket("k1", Purpose.KNOWN), Truth.GOOD)
        store.add_plan(PlanRecord("mono", "v1", "w", "policy", T0, "{}"))
        store.register_challenge(ChallengePart("C1", "b1", "mono", "crack", "major", T0))
        store.add_pass(ChallengePass("e1", "C1", "w", T0, True))
        yield database


@pytest.mark.parametrize("table", ["tickets", "labels", "known_truths", "sampling_plans", "challenge_passes", "challenge_parts"])
def test_rows_of_evidence_cannot_be_changed_or_deleted(database: Database, table: str) -> None:
    with database.read() as connection:
        before = [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")]
    change = "part_id = 'other'" if table == "challenge_parts" else "rowid = rowid + 1000"
    for statement in (f"UPDATE {table} SET {change}", f"DELETE FROM {table}"):
        with pytest.raises(StoreError, match=r"append-only|retired"), database.write() as connection:
            connection.execute(statement)
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] == before


def test_a_retired_challenge_part_stays_retired(database: Database) -> None:
    SqliteTruthStore(database).retire_challenge("C1", T0)
    with pytest.raises(StoreError, match="retired"), database.write() as connection:
        connection.execute("UPDATE challenge_parts SET retired_us = NULL")


@pytest.mark.parametrize(
    "wrong",
    [
        "INSERT INTO labels SELECT 'l2', ticket_id, truth, '', 'ben', labelled_us, NULL, 1, NULL FROM labels",
        "INSERT INTO labels SELECT 'l2', 'k1', truth, '', 'ben', labelled_us, NULL, 1, 'l1' FROM labels",
        "INSERT INTO labels SELECT 'l2', 'k1', 'perhaps', '', 'ben', labelled_us, NULL, 1, NULL FROM labels",
        "INSERT INTO labels SELECT 'l2', 'nothing', truth, '', 'ben', labelled_us, NULL, 1, NULL FROM labels",
        "INSERT INTO sampling_plans VALUES ('mono', 'v1', 'w2', 'p', 0, 'not json')",
    ],
    ids=["second answer", "correction of another ticket's label", "unknown truth", "unknown ticket", "plan that is not JSON"],
)
def test_the_database_refuses_inconsistent_rows_from_anyone(database: Database, wrong: str) -> None:
    with pytest.raises(StoreError), database.write() as connection:
        connection.execute(wrong)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.0001, float("nan")])
def test_a_ticket_without_a_valid_probability_is_refused(database: Database, q: float) -> None:
    with pytest.raises(StoreError):
        SqliteTruthStore(database).add(tickets=[ticket("t2", q=q)])


def test_a_label_survives_the_closing_of_the_store(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        SqliteTruthStore(database).add(tickets=[ticket("t1")])
        SqliteTruthStore(database).add(Label("l1", "t1", Truth.DEFECT, "crack", "anna", T0, 2.5))
    with closing(Database(tmp_path / "qc.sqlite")) as database:
        assert SqliteTruthStore(database).label("l1") == Label("l1", "t1", Truth.DEFECT, "crack", "anna", T0, 2.5)


WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from qc.domain.truth import Label, Purpose, SampleTicket, Truth
from qc.record.database import Database
from qc.record.truth_store import SqliteTruthStore

now = datetime(2026, 11, 24, 6, tzinfo=UTC)
store = SqliteTruthStore(Database(Path(sys.argv[1])))
for i in range(1_000_000):
    one = SampleTicket(f"t{i}", f"e{i}", f"p{i}", "w", "a1", 0.5, "p", Purpose.ESTIMATE, now, now + timedelta(days=1))
    store.add(tickets=[one])
    look = SampleTicket(f"t{i}-2", f"e{i}", f"p{i}", "w", "a1", 0.5, "p", Purpose.ADJUDICATE, now, now + timedelta(days=1), 2)
    store.add(Label(f"l{i}", f"t{i}", Truth.DEFECT, "", "anna", now), [look])
    print(i, flush=True)
"""


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "qc.sqlite"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            if not line.strip().isdigit():
                continue  # the log goes to the same stream
            acknowledged = int(line)
            if acknowledged >= 40:
                writer.send_signal(signal.SIGKILL)
                break
        acknowledged = max(
            [acknowledged, *(int(line) for line in writer.stdout if line.strip().isdigit() and line.endswith("\n"))]
        )
    with closing(Database(path)) as database:
        store = SqliteTruthStore(database)
        answers = store.answers()
        assert [answer.label.label_id for answer in answers[: acknowledged + 1]] == [f"l{i}" for i in range(acknowledged + 1)]
        for answer in answers:  # a label and the look that follows from it are never apart
            assert store.ticket(f"{answer.ticket.ticket_id}-2").review_round == 2
        assert database.check() == []


def test_the_queries_of_the_queue_use_their_indexes(database: Database) -> None:
    with database.read() as connection:
        plan = " ".join(
            str(row["detail"])
            for row in connection.execute("EXPLAIN QUERY PLAN SELECT * FROM unanswered_tickets WHERE expires_us > 0")
        )
    assert "labels_by_ticket" in plan or "labels_one_answer_per_ticket" in plan, plan
    assert "tickets_by_expiry" in plan, plan
    assert sqlite3.sqlite_version_info >= (3, 37), "STRICT tables need SQLite 3.37"
