"""The verbs of the truth street, as their user types them, on the real stores of an edge."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.goals.world import MONDAY, REVIEW_AT, Rates, World
from typer.testing import CliRunner

from qc.cli import app
from qc.commands.edge_records import compared_range, moment, time_range
from qc.domain.clock import SystemClock
from qc.domain.errors import CommandError, ConfigError, QcError, SamplingError, StoreError, UnknownPart
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore

ROOT = Path(__file__).resolve().parents[3]
MONTH = ["--from", "2026-11-01", "--to", "2026-11-30"]

Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Settings as shipped, with storage in the test's own folder."""
    text = (ROOT / "configs" / "line.toml").read_text().replace("../var/edge1", "var")
    (tmp_path / "line.toml").write_text(text)
    (tmp_path / "goals.toml").write_text((ROOT / "configs" / "goals.toml").read_text())
    (tmp_path / "recipes").mkdir()
    for recipe in (ROOT / "configs" / "recipes").glob("*.toml"):
        (tmp_path / "recipes" / recipe.name).write_text(recipe.read_text())
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a verb (``report``, ``label import`` ...) on that edge and returns what it printed; errors come out as raised."""

    def call(verb: str, *arguments: str, code: int = 0) -> str:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*verb.split(), str(folder / "line.toml"), *arguments])
        if isinstance(result.exception, QcError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return call


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    made = World(folder / "var", seed=1)
    made.shift(0, parts=120, labels=40, rates=Rates(prevalence=0.1))
    yield made
    made.database.close()


def test_report_writes_page_and_json(folder: Path, run: Run, world: World) -> None:
    html, body = folder / "r.html", folder / "r.json"
    output = run("report", *MONTH, "--compare", "2026-10-01..2026-10-31", "--html", str(html), "--json", str(body))
    assert "Detection rate" in output
    assert "not enough evidence" in output
    assert "not estimable" in output  # the empty baseline
    assert "Inspection report: plant1/solar/line1/edge1" in html.read_text()
    assert json.loads(body.read_text())["now"]["parts"]["judged"] == 120


def test_report_of_an_edge_that_never_ran_is_useful_and_leaves_no_file(folder: Path, run: Run) -> None:
    html = folder / "r.html"
    assert "no inspection records" in run("report", "--html", str(html))
    assert "No parts in this period" in html.read_text()
    assert not (folder / "var").exists()


def test_report_names_what_is_wrong_with_its_arguments(folder: Path, run: Run) -> None:
    for arguments, words in (
        (["--from", "yesterday"], "2026-11-24"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "must lie before"),
        (["--compare", "2026-10-01"], "FROM..TO"),
        (["--html", str(folder / "missing" / "r.html")], "cannot be written"),
        (["--goals", str(folder / "none.toml")], "no such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            run("report", *arguments)


def test_days_are_the_lines_own_and_an_end_day_is_included() -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Berlin")
    now = SystemClock().now()
    asked = time_range("2026-11-01", "2026-11-30", zone, now, default=timedelta(days=1))
    assert (asked.since.isoformat(), asked.until.isoformat()) == ("2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00")
    assert moment("--from", "2026-11-01T06:00", zone).isoformat() == "2026-11-01T06:00:00+01:00"
    assert moment("--from", "2026-11-01T06:00:00+00:00", zone).isoformat() == "2026-11-01T06:00:00+00:00"
    assert time_range("", "", zone, now, default=timedelta(days=30)).since == now - timedelta(days=30)
    assert compared_range("2026-10-01..2026-10-02", zone).until.day == 3


def test_audit_writes_records_that_verify(folder: Path, run: Run, world: World) -> None:
    first, second = run("audit", *MONTH), run("audit", *MONTH)
    assert "record 1 written" in first
    assert "record 2 written" in second
    assert "2 records" in run("audit", "--verify")
    files = sorted((folder / "var" / "audits").glob("*.json"))
    body = json.loads(files[1].read_text())["body"]
    assert body["judged_parts"] == 120
    assert body["goals"]
    assert body["audit"]["comparisons"]
    trail = world.store.audit_trail(action="audit-record")
    assert [entry.detail["number"] for entry in trail] == [2, 1]
    files[0].write_text(files[0].read_text().replace("120", "119"))
    assert "was altered" in run("audit", "--verify", code=1)


def test_audit_notices_that_its_newest_record_is_gone(folder: Path, run: Run, world: World) -> None:
    run("audit", *MONTH)
    run("audit", *MONTH)
    sorted((folder / "var" / "audits").glob("*.json"))[-1].unlink()
    assert "is missing" in run("audit", "--verify", code=1)


def test_audit_without_data_still_leaves_a_record(run: Run) -> None:
    assert "record 1 written" in run("audit")
    assert "1 records" in run("audit", "--verify")


def test_agreement_of_nobody_and_of_somebody(run: Run, world: World) -> None:
    assert "nobody has labelled" in run("agreement", "--from", "2020-01-01", "--to", "2020-02-01")
    assert "anna" in run("agreement", *MONTH)
    body = json.loads(run("agreement", *MONTH, "--json"))
    by_name = {one["labeller"]: one for one in body["inspectors"]}
    assert by_name["anna"]["miss_grade"] == "unknown"
    assert by_name["anna"]["miss"]["not_estimable"]
    pairs = {tuple(one["labellers"]): one for one in body["cohen"]}
    assert pairs["anna", "bert"]["parts"] > 0
    assert pairs["anna", "bert"]["kappa"] in (None, 1.0)


def test_plan_labels_answers_and_refuses() -> None:
    def ask(*arguments: str) -> str:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["plan-labels", *arguments])
        if isinstance(result.exception, QcError):
            raise result.exception
        return result.output

    question = ["--half-width", "20", "--prevalence", "5", "--most-shifts", "10"]
    budget = json.loads(ask(*question, "--json"))["budget"]
    assert 0.1 < budget["half_width"] <= 0.20
    assert "minutes" in ask("--half-width", "40", "--prevalence", "20", "--most-shifts", "2")
    with pytest.raises(SamplingError, match="cannot be had"):
        ask("--half-width", "1", "--prevalence", "0.1", "--most-shifts", "5")
    with pytest.raises(SamplingError, match="prevalence"):
        ask("--half-width", "5", "--prevalence", "0")
    with pytest.raises(ConfigError, match="--metric"):
        ask("--half-width", "5", "--prevalence", "1", "--metric", "accuracy")


@pytest.fixture
def open_tickets(folder: Path) -> Iterator[World]:
    """A shift of today whose tickets nobody has answered."""
    made = World(folder / "var", seed=2)
    today = int((SystemClock().now() - MONDAY) / timedelta(hours=8))
    made.shift(today - 1, parts=60, labels=30, answered=0.0, challenges=0)
    yield made
    made.database.close()


def test_labels_go_out_and_come_back_by_spreadsheet(folder: Path, run: Run, open_tickets: World) -> None:
    file = folder / "tickets.csv"
    assert "open tickets written" in run("label export", str(file), "--labeller", "anna")
    lines = file.read_text("utf-8-sig").splitlines()
    assert "score" not in lines[0]
    answered = [lines[0], *(line.replace(",,,anna", ",good,,anna") for line in lines[1:])]
    file.write_text("\n".join(answered))
    count = len(lines) - 1
    assert f"{count} labels stored, 0 were stored before" in run("label import", str(file))
    assert f"0 labels stored, {count} were stored before" in run("label import", str(file))


def test_one_wrong_row_stores_nothing_unless_partial(folder: Path, run: Run, open_tickets: World) -> None:
    tickets = open_tickets.truth.open_tickets(SystemClock().now())[:2]
    file = folder / "labels.csv"
    rows = [f"{tickets[0].ticket_id},good,anna", f"{tickets[1].ticket_id},bad,anna"]
    file.write_text("\n".join(["ticket_id,truth,labeller", *rows]))
    refused = run("label import", str(file), code=1)
    assert "wrong_label" in refused
    assert "nothing was stored" in refused
    assert "1 labels stored" in run("label import", str(file), "--partial", code=1)


def test_a_defect_on_an_accepted_part_asks_for_a_second_look(folder: Path, run: Run, open_tickets: World) -> None:
    tickets = open_tickets.truth.open_tickets(SystemClock().now())
    accepted = next(t for t in tickets if (open_tickets.store.by_event(t.event_id).score or 1) < REVIEW_AT)
    file = folder / "labels.csv"
    file.write_text(f"ticket_id,truth,labeller\n{accepted.ticket_id},defect,anna\n")
    assert "1 further looks asked for" in run("label import", str(file))
    looks = [t for t in open_tickets.truth.tickets_of_part(accepted.part_id) if t.review_round == 2]
    assert len(looks) == 1


def test_challenge_parts_are_registered_listed_and_retired(folder: Path, run: Run) -> None:
    about = ["--part-id", "B77", "--variant", "solar-mono", "--defect-type", "crack"]
    assert "is registered" in run("challenge register", "C7", *about)
    listed = run("challenge list")
    assert "B77" in listed
    assert "due" in listed
    with pytest.raises(StoreError, match="registered already"):
        run("challenge register", "C7", *about)
    with pytest.raises(ConfigError, match="did you mean 'solar-mono'"):
        run("challenge register", "C8", *about[:2], "--variant", "solar-mno", "--defect-type", "crack")
    with pytest.raises(CommandError, match="must not be empty"):
        run("challenge register", "C9", "--part-id", " ", *about[2:])
    run("challenge retire", "C7")
    assert "no challenge part" in run("challenge list")
    assert "retired" in run("challenge list", "--all")
    with pytest.raises(UnknownPart):
        run("challenge retire", "C8")
    database = Database(folder / "var" / "qc.sqlite3")
    outcomes = [(entry.action, entry.outcome) for entry in SqliteRecordStore(database).audit_trail()]
    assert ("challenge-register", "done") in outcomes
    assert any(action == "challenge-retire" and outcome.startswith("refused") for action, outcome in outcomes)
    assert [part.challenge_id for part in SqliteTruthStore(database).challenge_parts(include_retired=True)] == ["C7"]
    database.close()
