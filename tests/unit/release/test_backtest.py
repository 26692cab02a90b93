"""Archived parts judged again: what changes, what the rates become, and the same answers after an interruption."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.release.recorded_line import record_parts

from qc.domain.errors import ReleaseError
from qc.inspection.bundle import load_card
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.record.archive_policy import ArchivePolicy
from qc.record.part_search import PartQuery
from qc.release.backtest import CHUNK, Again, Item, Job, history, read_results, run_backtest
from qc.release.backtest_report import summary
from qc.release.workers import LocalWorkers
from qc.settings import load_recipes

PARTS = 120


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a line that has recorded 120 parts; each was asked for a label, so that all pictures are kept."""
    folder = tmp_path_factory.mktemp("line")
    config, _ = record_parts(folder, [60 if number % 3 else 180 for number in range(PARTS)])
    strict = replace(tiny_card("strict"), review_at=0.2, reject_at=0.3)
    seal_bundle(folder / "models" / "strict", tiny_model_bytes(), strict)
    return config


def job_of(line: Path, model: str = "strict") -> Job:
    folder = line.parent
    bundle, storage = folder / "models" / model, folder / "var"
    return Job(
        bundle, load_card(bundle / "card.json"), storage / "qc.sqlite3", storage / "images", load_recipes(folder / "recipes")
    )


@pytest.fixture(scope="module")
def recorded(line: Path) -> tuple[list[Item], Job, Counter[tuple[str, str]]]:
    job = job_of(line)
    items, counts = history(job.database, ArchivePolicy(ok_share=1.0), PartQuery())
    return items, job, counts


Recorded = tuple[list[Item], Job, Counter[tuple[str, str]]]


def test_changed_verdicts_and_rates_are_reported(recorded: Recorded, tmp_path: Path) -> None:
    items, job, counts = recorded
    results = tmp_path / "r.jsonl"
    steps = list(run_backtest(items, job, results, LocalWorkers()))
    assert steps[0] == (0, PARTS)
    assert steps[-1] == (PARTS, PARTS)
    (report,) = summary(read_results(results, job), items, counts)
    assert (report.variant, report.recorded, report.judged, report.unreadable) == ("cell", PARTS, PARTS, 0)
    assert report.changed == {("OK", "REVIEW"): 80, ("REVIEW", "NG"): 40}
    assert report.rejected_before == pytest.approx(40 / PARTS)
    assert report.rejected_after == 1.0
    assert "OK -> REVIEW 80; REVIEW -> NG 40" in report.as_text("strict")


def again(number: int, before: str, after: str) -> Again:
    return Again(f"e{number}", "p", "cell", before, after, 0.1, 0.9)


def test_rates_are_of_all_recorded_parts_not_of_the_kept_ones() -> None:
    """A hundred OK parts of which ten were drawn for the archive (and five more are kept for their label), ten NG parts, all kept."""
    items = [Item(f"e{n}", "p", "cell", "OK" if n < 15 else "NG", 0.1, n not in range(10, 15)) for n in range(25)]
    found = [again(n, "OK", "NG" if n in (0, *range(10, 15)) else "OK") for n in range(15)] + [
        again(n, "NG", "NG") for n in range(15, 25)
    ]
    (report,) = summary(found, items, {("cell", "OK"): 100, ("cell", "NG"): 10})
    assert report.rejected_before == pytest.approx(10 / 110)
    assert report.rejected_after == pytest.approx(
        (0.1 * 100 + 10) / 110
    )  # of the drawn parts one in ten; the labelled five say nothing
    (unknown,) = summary(found[15:], items[15:], {("cell", "OK"): 100, ("cell", "NG"): 10})
    assert unknown.rejected_after is None
    assert "not known" in unknown.as_text("m")


def test_an_interrupted_run_goes_on_where_it_stopped(recorded: Recorded, tmp_path: Path) -> None:
    items, job, _ = recorded
    results = tmp_path / "r.jsonl"
    run = run_backtest(items, job, results, LocalWorkers())
    for done, _ in run:
        if done >= 50:
            run.close()
            break
    kept = results.read_text()
    results.write_text(kept[:-20])  # the last line is torn
    steps = list(run_backtest(items, job, results, LocalWorkers()))
    assert steps[0] == (3 * CHUNK - 1, PARTS)
    found = read_results(results, job)
    assert sorted(again.event_id for again in found) == sorted(item.event_id for item in items)


def test_a_lost_picture_is_counted_and_stops_nothing(recorded: Recorded, tmp_path: Path) -> None:
    items, job, counts = recorded
    asked = [*items[:3], Item("gone", "p", "cell", "OK", 0.1, drawn=True)]
    list(run_backtest(asked, job, tmp_path / "r.jsonl", LocalWorkers()))
    (report,) = summary(read_results(tmp_path / "r.jsonl", job), asked, counts)
    assert (report.judged, report.unreadable) == (3, 1)


def test_results_of_something_else_or_of_another_model_are_refused(line: Path, recorded: Recorded, tmp_path: Path) -> None:
    items, job, _ = recorded
    results = tmp_path / "r.jsonl"
    results.write_text(json.dumps({"x": 1}) + "\n")
    with pytest.raises(ReleaseError, match="name another file"):
        read_results(results, job)
    results.unlink()
    list(run_backtest(items[:3], job, results, LocalWorkers()))
    with pytest.raises(ReleaseError, match="another model"):
        read_results(results, job_of(line, "tiny"))


def test_the_running_model_is_judged_at_the_recipe_s_thresholds(line: Path) -> None:
    recipe = job_of(line, "tiny").recipe("cell")
    assert (recipe.review_at, recipe.reject_at) == (0.6, 0.8)  # the card of tiny says something else
    assert job_of(line).recipe("cell").review_at == 0.2
