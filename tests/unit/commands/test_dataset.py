"""From the record store to a data set: what is chosen, what is marked, what is left out and said."""

import csv
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.release.recorded_line import record_parts, say

from qc.commands.dataset import Choice, ask_for_training, export, names_of
from qc.domain.errors import ConfigError, DatasetError
from qc.domain.truth import Purpose, Truth
from qc.record.database import Database
from qc.record.truth_store import SqliteTruthStore
from qc.settings import load_line


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_labelled_parts_become_a_data_set_with_marks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, records = record_parts(tmp_path / "line", [60, 200] * 15)
    for number, record in enumerate(records[:24]):
        say(config, record, Truth.DEFECT if number % 2 else Truth.GOOD)
    say(config, records[24], Truth.UNSURE)
    say(config, records[26], Truth.DEFECT)  # a first look at an accepted part: unconfirmed
    say(config, records[28], Truth.GOOD)
    say(config, records[28], Truth.DEFECT, purpose=Purpose.ADJUDICATE, round_=2)  # the later look counts
    say(config, records[29], Truth.GOOD, purpose=Purpose.TRAINING)
    export(config, tmp_path / "set", Choice(test_share=0.5))
    told = capfd.readouterr().out
    assert "left out: 1 (the labeller was unsure)" in told
    assert "left out: 1 (a defect on an accepted part that waits for its second look)" in told
    assert "data checks: " in told
    found = {row["group"]: row for row in rows(tmp_path / "set")}
    assert set(found) == {record.part_id for record in [*records[:24], records[28], records[29]]}
    assert found[records[28].part_id]["label"] == "defect"
    assert found[records[28].part_id]["purpose"] == "estimate"
    assert found[records[1].part_id] | {"image": ""} == found[records[1].part_id] | {
        "image": "", "label": "defect", "defect": "spot", "variant": "cell", "environment": "cam1", "purpose": "estimate",
    }  # fmt: skip
    assert {row["split"] for row in found.values()} == {"train", "test"}
    assert (tmp_path / "set" / "checks.json").is_file()


def test_a_set_grows_without_copies(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, records = record_parts(tmp_path / "line", [60, 200] * 6)
    for number, record in enumerate(records):
        if number < 8:
            say(config, record, Truth.DEFECT if number % 2 else Truth.GOOD)
    export(config, tmp_path / "one", Choice(label="defect"))
    assert len(rows(tmp_path / "one")) == 4
    for number, record in enumerate(records[8:]):
        say(config, record, Truth.DEFECT if number % 2 else Truth.GOOD)
    export(config, tmp_path / "two", Choice(), add_to=tmp_path / "one")
    assert len(rows(tmp_path / "two")) == 12
    assert "left out: 4 (copy of another picture)" in capfd.readouterr().out


def test_a_wrong_label_on_a_copy_stops_no_export(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody can tell here which of the two is right: the line's is left out, and counted."""
    config, records = record_parts(tmp_path / "line", [60, 200] * 6)
    for number, record in enumerate(records[:8]):
        say(config, record, Truth.DEFECT if number % 2 else Truth.GOOD)
    export(config, tmp_path / "base", Choice())
    known = rows(tmp_path / "base")
    other = {"good": "defect", "defect": "good"}[known[0]["label"]]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.png").write_bytes((tmp_path / "base" / known[0]["image"]).read_bytes())
    (tmp_path / "copy" / "manifest.csv").write_text(f"image,label\na.png,{other}\n", "utf-8")
    capfd.readouterr()
    export(config, tmp_path / "both", Choice(), add_to=tmp_path / "copy")
    assert "left out: 1 (the same picture carries both labels)" in capfd.readouterr().out
    assert [row["group"] for row in rows(tmp_path / "both")].count(known[0]["group"]) == 0
    assert len(rows(tmp_path / "both")) == len(known)


def test_choices_that_fit_nothing_or_are_wrong_are_said(tmp_path: Path) -> None:
    config, records = record_parts(tmp_path / "line", [60, 200])
    say(config, records[0], Truth.GOOD)
    with pytest.raises(DatasetError, match="no labelled part"):
        export(config, tmp_path / "set", Choice(variant="other"))
    for wrong, words in (
        (Choice(verdict="BAD"), "--verdict 'BAD': one of OK, REVIEW, NG"),
        (Choice(label="maybe"), "--label 'maybe': one of good, defect"),
        (Choice(purpose="fun"), "--purpose 'fun': one of estimate, adjudicate, training"),
        (Choice(group="day"), "--group 'day': one of part, run"),
    ):
        with pytest.raises(ConfigError, match=words):
            export(config, tmp_path / "set", wrong)
    assert not (tmp_path / "set").exists()


def test_suggestions_go_into_the_queue_for_training_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = record_parts(tmp_path / "line", [60, 150, 200] * 4)
    database = Database(load_line(config, {}).storage.directory / "qc.sqlite3")
    with closing(database):
        assert ask_for_training(config, count=5, days=1, variant="", dry_run=False) == 0
        # Every part of this line has an estimation ticket already: none may be picked for training on top.
        with database.read() as connection:
            purposes = {row[0] for row in connection.execute("SELECT DISTINCT purpose FROM tickets")}
        assert purposes == {"estimate"}
        assert "12 were asked for already" in capsys.readouterr().out


def test_what_is_suggested_is_asked_for_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, records = record_parts(tmp_path / "line", [180, 200, 220] * 3, sampling=False)
    assert ask_for_training(config, count=5, days=1, variant="cell", dry_run=True) == 0
    assert "5 parts would be" in capsys.readouterr().out
    assert ask_for_training(config, count=5, days=1, variant="cell", dry_run=False) == 0
    with closing(Database(load_line(config, {}).storage.directory / "qc.sqlite3")) as database:
        tickets = [ticket for record in records for ticket in SqliteTruthStore(database).tickets_of_part(record.part_id)]
    assert [ticket.purpose for ticket in tickets] == [Purpose.TRAINING] * 5
    assert {ticket.stratum for ticket in tickets} <= {"uncertain", "novel", "under_covered"}
    assert ask_for_training(config, count=9, days=1, variant="cell", dry_run=False) == 0
    assert "4 parts are" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no recipe for 'absent'"):
        ask_for_training(config, count=5, days=1, variant="absent", dry_run=False)


def test_parts_of_a_new_variant_get_its_name_by_their_barcode(tmp_path: Path) -> None:
    config, records = record_parts(tmp_path / "line", [60, 200] * 6)
    for number, record in enumerate(records):
        say(config, record, Truth.DEFECT if number % 2 else Truth.GOOD)
    start = records[0].part_id
    export(config, tmp_path / "set", Choice(names=names_of([f"{start}=new-cell"])))
    named = {row["group"]: row["variant"] for row in rows(tmp_path / "set")}
    assert named[start] == "new-cell"
    assert set(named.values()) == {"new-cell", "cell"}


@pytest.mark.parametrize("pair", ["poly", "=solar-poly", "poly-="])
def test_a_name_without_start_or_variant_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match="START=VARIANT"):
        names_of([pair])
