"""Labels by spreadsheet: out, filled in, back in; wrong files change nothing."""

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from qc.domain.errors import LabelError
from qc.domain.truth import Truth
from qc.label.adjudication import LookRules
from qc.label.csv_import import COLUMNS, export_tickets, import_labels
from qc.label.fake import MemoryTruthStore
from qc.label.intake import LabelIntake


@pytest.fixture
def intake(store: MemoryTruthStore, clock: Any, make: Any) -> LabelIntake:
    store.add(tickets=[make.ticket(f"t{i}") for i in range(4)])
    return LabelIntake(store, clock, rules=LookRules(recheck_share=0))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def test_exported_filled_in_and_imported(intake: LabelIntake, store: MemoryTruthStore, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    assert export_tickets(store, path, clock.now(), labeller="Zoë", image_of=lambda event: f"images/{event}.jpg") == 4
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["image"] == "images/event-t0.jpg"
    for row, answer in zip(rows, ["good", "defect", "", "unsure"], strict=True):
        row["truth"] = answer
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    report = import_labels(path, intake)
    assert (len(report.stored), report.repeated, report.blank, report.errors) == (3, 0, 1, ())
    assert [(answer.label.truth, answer.label.labeller) for answer in store.answers()] == [
        (Truth.GOOD, "Zoë"),
        (Truth.DEFECT, "Zoë"),
        (Truth.UNSURE, "Zoë"),
    ]
    clock.forward(days=30)
    again = import_labels(path, intake)
    assert (len(again.stored), again.repeated, again.errors) == (0, 3, ())


def test_the_export_is_blind(intake: LabelIntake, store: MemoryTruthStore, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    export_tickets(store, path, clock.now())
    text = path.read_text(encoding="utf-8-sig")
    assert "a1" not in text
    assert "estimate" not in text
    assert "0.1" not in text


def test_an_expired_or_answered_ticket_is_not_exported(
    intake: LabelIntake, store: MemoryTruthStore, clock: Any, tmp_path: Path
) -> None:
    intake.submit({"ticket_id": "t0", "truth": "good", "labeller": "anna"})
    assert export_tickets(store, tmp_path / "open.csv", clock.now()) == 3
    assert export_tickets(store, tmp_path / "open.csv", clock.now() + timedelta(days=1)) == 0


BAD_ROWS = "ticket_id,truth,labeller\nt0,good,anna\nt9,good,anna\nt1,okay,anna\nt2,good,\nt0,defect,ben\n"


def test_one_wrong_row_and_nothing_is_stored(intake: LabelIntake, store: MemoryTruthStore, tmp_path: Path) -> None:
    report = import_labels(written(tmp_path / "a.csv", BAD_ROWS), intake)
    assert [(error.row, error.code) for error in report.errors] == [
        (3, "unknown_ticket"),
        (4, "wrong_label"),
        (5, "labeller_missing"),
        (6, "duplicate"),
    ]
    assert (report.stored, store.answers()) == ((), [])


def test_partial_stores_the_good_rows(intake: LabelIntake, store: MemoryTruthStore, tmp_path: Path) -> None:
    report = import_labels(written(tmp_path / "a.csv", BAD_ROWS), intake, partial=True)
    assert [one.label.ticket_id for one in report.stored] == ["t0"]
    assert len(report.errors) == 4
    assert len(store.answers()) == 1


def test_semicolons_and_a_byte_order_mark_are_read(intake: LabelIntake, tmp_path: Path) -> None:
    text = "ticket_id;truth;labeller;seconds_spent\r\nt0;good;anna;2.5\r\n"
    (stored,) = import_labels(written(tmp_path / "a.csv", text, "utf-8-sig"), intake).stored
    assert stored.label.seconds_spent == 2.5


def test_a_second_file_for_an_answered_ticket_says_who_was_first(intake: LabelIntake, tmp_path: Path) -> None:
    import_labels(written(tmp_path / "a.csv", "ticket_id,truth,labeller\nt0,good,anna\n"), intake)
    report = import_labels(written(tmp_path / "b.csv", "ticket_id,truth,labeller\nt0,good,ben\n"), intake)
    assert [(error.code, "anna" in error.message) for error in report.errors] == [("answered", True)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'ticket_id' is missing"),
        (b"ticket_id,truth\nt0,good\n", "'labeller' is missing"),
        (b"truth,labeller\ngood,anna\n", "'ticket_id' is missing"),
        (b"ticket_id,truth,labeller,score\nt0,good,anna,1\n", "unknown column 'score'"),
        (b"ticket_id,truth,truth,labeller\nt0,good,good,anna\n", "twice"),
        (b"ticket_id,truth,labeller\nt0,good,anna,more\n", "line 2 has more values"),
        (b'ticket_id,truth,labeller\n"t0"x,good,anna\n', "not a CSV file"),
        (b"ticket_id,truth,labeller\nt0,good,\xff\n", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_as_a_whole(
    intake: LabelIntake, store: MemoryTruthStore, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=message) as error:
        import_labels(path, intake)
    assert error.value.code == "bad_file"
    assert store.answers() == []


def test_a_file_that_is_not_there(intake: LabelIntake, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No such file"):
        import_labels(tmp_path / "nothing.csv", intake)
