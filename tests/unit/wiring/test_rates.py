"""Rates and plans of one edge from its own store, on a made-up line whose true rates are known."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.unit.goals.world import MONDAY, SHIFTS, Rates, World

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.recipe import Recipe, SamplingPlanSettings
from qc.label.plan import SamplingPlan
from qc.publish.payloads import state_payload
from qc.record.columns import ColumnReader
from qc.wiring.planning import LEAD, RAISED_FACTOR, WindowPlanner
from qc.wiring.rates import RateBook

PARTS, LABELS, SHIFT = 2000, 100, timedelta(hours=8)


class OldRecipe(Recipe):
    version = "r1"  # what the made-up records carry


RECIPE = OldRecipe(
    "solar-mono", "m1", 0.6, 0.75, sampling=SamplingPlanSettings(labels_per_window=LABELS, expected_parts_per_window=PARTS)
)
THIRD = "2026-11-02/night"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shifts on disk."""
    folder = tmp_path_factory.mktemp("world")
    made = World(folder)
    for number in range(2):
        made.shift(number, parts=PARTS, rates=Rates(prevalence=0.05), labels=LABELS)
    made.database.close()
    return folder


@pytest.fixture
def world(filled: Path, tmp_path: Path) -> World:
    """A copy of them, at the end of the late shift."""
    shutil.copytree(filled, tmp_path / "world")
    made = World(tmp_path / "world")
    made.clock.time = MONDAY + 2 * SHIFT - timedelta(minutes=5)
    return made


@pytest.fixture
def book(world: World) -> RateBook:
    return RateBook(ColumnReader(world.database), world.truth, world.clock, SHIFTS)


def alarm(action: Action, state: AlarmState = AlarmState.OPEN, slice_: str = "solar-mono/cam1") -> Alarm:
    return Alarm("a1", "score", slice_, state, Cause.UNKNOWN, action, 1.0, 1.0, "", MONDAY, MONDAY)


def expected_labels(world: World, window: str) -> float:
    """Of the window's plan, at as many parts a window as before and the shares of the strata so far."""
    stored = world.truth.plan("solar-mono", "r1", window)
    assert stored is not None
    plan = SamplingPlan.from_json(stored.body)
    records = ColumnReader(world.database).records()
    production = records.per_combination([not names[8] for names in records.combinations])
    scores = records.score[production]
    return float(plan.probabilities[plan.strata_of(scores, scores >= 0.6)].mean() * PARTS)


def test_the_report_covers_the_true_rates_and_keeps_challenges_apart(book: RateBook) -> None:
    report = book.report()
    dr, fpr = report.overall.rates["detection_rate"], report.overall.rates["false_positive_rate"]
    assert dr.low is not None
    assert dr.high is not None
    assert dr.low < 0.94 < dr.high
    assert fpr.low is not None
    assert fpr.high is not None
    assert fpr.low < 0.08 < fpr.high
    assert report.overall.parts == 2 * PARTS
    assert [one.key["shift"] for one in report.by(["shift"])] == ["2026-11-02/early", "2026-11-02/late"]
    assert report.challenge.n == 8
    assert report.unplanned == 0


def test_kpis_are_a_valid_state_with_intervals_and_counts(book: RateBook) -> None:
    body = book.kpi()
    payload, schema = state_payload("kpi", body)
    assert schema == "qc.state.kpi/1"
    assert b"NaN" not in payload
    metrics = body["metrics"]
    assert isinstance(metrics, dict)
    rate = metrics["solar-mono/detection_rate"]
    assert isinstance(rate, dict)
    assert float(str(rate["low"])) < float(str(rate["estimate"])) < float(str(rate["high"]))
    assert rate["parts"] == 2 * PARTS
    assert rate["n"]
    assert "solar-mono/challenge_detection_rate" in metrics
    assert body["window"] == "2026-11-02/late"


def test_an_edge_without_records_says_so_instead_of_failing(tmp_path: Path) -> None:
    empty = World(tmp_path)
    book = RateBook(ColumnReader(empty.database), empty.truth, empty.clock, SHIFTS)
    assert book.kpi()["metrics"] == {}
    assert book.report().overall.rates["detection_rate"].not_estimable
    assert book.history(RECIPE).scores.size == 0


def test_history_is_of_one_recipe_version_and_leaves_unconfirmed_defects_out(world: World, book: RateBook) -> None:
    history = book.history(RECIPE)
    assert history.scores.size == history.rejected.size == 2 * PARTS
    assert history.parts_per_window == PARTS
    assert (history.rejected == (history.scores >= 0.6)).all()
    assert 100 < history.labelled.defective.size < 300
    assert book.history(replace(RECIPE, variant="solar-poly")).scores.size == 0
    assert book.history(Recipe("solar-mono", "m1", 0.5, 0.75)).scores.size == 0  # another version


def test_a_window_that_is_not_over_does_not_count_as_a_whole_one(world: World, book: RateBook) -> None:
    """It did once, and every plan asked for more labels than it should."""
    world.clock.time = MONDAY + 1.5 * SHIFT
    assert book.history(RECIPE).scores.size < 1.6 * PARTS
    assert book.history(RECIPE).parts_per_window == PARTS
    world.clock.time = MONDAY + 0.5 * SHIFT
    assert book.history(RECIPE).parts_per_window == pytest.approx(PARTS, rel=0.1)


def planner(world: World, book: RateBook, *alarms: Alarm) -> WindowPlanner:
    return WindowPlanner(
        {"solar-mono": RECIPE, "idle": replace(RECIPE, variant="idle")},
        truth=world.truth,
        clock=world.clock,
        shifts=SHIFTS,
        history=book.history,
        alarms=partial(list, alarms),
    )


@pytest.fixture
def labels_planned(world: World, book: RateBook) -> Callable[..., float]:
    """Plan one window more, with the given alarms open; how many labels it will ask for."""

    def plan(*alarms: Alarm) -> float:
        planner(world, book, *alarms).upkeep()
        window = SHIFTS.after(SHIFTS.window_of(world.clock.time)).name
        world.clock.time += SHIFT  # a plan, once in force, cannot be taken back
        return expected_labels(world, window)

    return plan


def test_a_window_is_planned_shortly_before_it_starts_and_only_once(world: World, book: RateBook) -> None:
    end = MONDAY + 2 * SHIFT
    world.clock.time = end - LEAD - timedelta(minutes=1)
    planner(world, book).upkeep()
    assert world.truth.plan("solar-mono", "r1", THIRD) is None
    world.clock.time = end - timedelta(minutes=5)
    planner(world, book).upkeep()
    planned = world.truth.plan("solar-mono", "r1", THIRD)
    assert planned is not None
    planner(world, book, alarm(Action.HALT)).upkeep()
    assert world.truth.plan("solar-mono", "r1", THIRD) == planned
    assert world.truth.plan("idle", "r1", THIRD) is None  # it did not run: its first part finds a plan


def test_an_open_alarm_that_asks_for_labels_gets_three_times_as_many(labels_planned: Callable[..., float]) -> None:
    assert labels_planned(alarm(Action.RAISE_SAMPLING)) == pytest.approx(RAISED_FACTOR * LABELS, rel=0.1)
    assert labels_planned(alarm(Action.HALT, slice_="solar-mono")) == pytest.approx(RAISED_FACTOR * LABELS, rel=0.1)
    assert labels_planned() == pytest.approx(LABELS, rel=0.25)


@pytest.mark.parametrize(
    "other",
    [
        alarm(Action.ADVISE),
        alarm(Action.RAISE_SAMPLING, AlarmState.ACKNOWLEDGED),
        alarm(Action.RAISE_SAMPLING, slice_="solar-poly/cam1"),
        alarm(Action.RAISE_SAMPLING, slice_="solar-mono-2/cam1"),
    ],
    ids=["advice", "acknowledged", "other variant", "longer name"],
)
def test_other_alarms_do_not_raise_the_sampling(labels_planned: Callable[..., float], other: Alarm) -> None:
    assert labels_planned(other) == pytest.approx(LABELS, rel=0.25)
