"""Archived parts judged again: the same answers in one process, in several and after an interruption."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.release.recorded_line import record_parts

from qc.domain.errors import ReleaseError
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.release.backtest import Item, Job, item_of, read_results, run_backtest, summary
from qc.release.workers import LocalWorkers

PARTS = 120


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Item], Job]:
    folder = tmp_path_factory.mktemp("line")
    config, records = record_parts(folder, [60 if number % 3 else 180 for number in range(PARTS)])
    strict = replace(tiny_card("strict"), review_at=0.2, reject_at=0.3)
    seal_bundle(folder / "models" / "strict", tiny_model_bytes(), strict)
    job = Job(folder / "models" / "strict", config.parent / "var" / "qc.sqlite3", config.parent / "var" / "images", 0.2, 0.3, {})
    return [item_of(record) for record in records], job


def test_changed_verdicts_and_rates_are_reported(history: tuple[list[Item], Job], tmp_path: Path) -> None:
    items, job = history
    steps = list(run_backtest(items, job, tmp_path / "r.jsonl", LocalWorkers()))
    assert steps[0] == (0, PARTS)
    assert steps[-1] == (PARTS, PARTS)
    report = summary(read_results(tmp_path / "r.jsonl"), items)
    assert (report.parts, report.unreadable) == (PARTS, 0)
    assert report.changed == {("OK", "REVIEW"): 80, ("REVIEW", "NG"): 40}
    assert report.rejected_before == pytest.approx(40 / PARTS)
    assert report.rejected_after == 1.0
    assert report.same == 0


def test_an_interrupted_run_goes_on_where_it_stopped(history: tuple[list[Item], Job], tmp_path: Path) -> None:
    items, job = history
    results = tmp_path / "r.jsonl"
    run = run_backtest(items, job, results, LocalWorkers())
    for done, _ in run:
        if done >= 50:
            run.close()
            break
    kept = results.read_text()
    results.write_text(kept[:-20])  # the last line is torn
    steps = list(run_backtest(items, job, results, LocalWorkers()))
    assert steps[0] == (49, PARTS)
    found = read_results(results)
    assert sorted(again.event_id for again in found) == sorted(item[0] for item in items)


def test_several_processes_give_the_same_answers(history: tuple[list[Item], Job], tmp_path: Path) -> None:
    items, job = history
    for name, workers in (("one", LocalWorkers(1)), ("two", LocalWorkers(2))):
        list(run_backtest(items, job, tmp_path / name, workers))
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()


def test_a_lost_picture_is_counted_and_stops_nothing(history: tuple[list[Item], Job], tmp_path: Path) -> None:
    items, job = history
    list(run_backtest([*items[:3], ("gone", "p", "cell", "OK", 0.1)], job, tmp_path / "r.jsonl", LocalWorkers()))
    report = summary(read_results(tmp_path / "r.jsonl"), [*items[:3], ("gone", "p", "cell", "OK", 0.1)])
    assert (report.parts, report.unreadable) == (4, 1)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps({"x": 1}) + "\n")
    with pytest.raises(ReleaseError, match="no back-test results"):
        read_results(tmp_path / "r.jsonl")
