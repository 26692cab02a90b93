"""The report: the reference story told from the stores, as page and as JSON, with much, little and no data."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.goals.world import MONDAY, World, entry_of

from qc.domain.evidence import EvidenceHour
from qc.domain.truth import Rate
from qc.goals.as_json import plain, report_json
from qc.goals.audit import AuditRules
from qc.goals.cost import CostModel
from qc.goals.page import interval_bar, report_page
from qc.goals.period import Period
from qc.goals.report import Report, Wishes, build_report, changes_between
from qc.goals.targets import Goal, GoalState
from qc.monitor.watch import Reading

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
COSTS = CostModel("USD", escape=120, false_reject=4, review_minute=0.7, halt_minute=20, part_value=2, parts_per_hour=40)
GOALS = (
    Goal("detect", "detection_rate", 0.60, date(2027, 1, 1), "quality"),
    Goal("spare", "false_positive_rate", 0.30, date(2027, 1, 1), "production"),
    Goal("old model", "false_positive_rate", 0.30, date(2026, 11, 1), "production", {"model": "m1"}),
    Goal("output", "production_efficiency", 0.5, date(2027, 1, 1), "production"),
)
WISHES = Wishes(GOALS, COSTS, AuditRules())
READINGS = (Reading("detection_rate", "solar-mono", 12.0, 10.0), Reading("reject_rate", "solar-mono/cam1", None, 5.0))


@pytest.fixture(scope="module")
def story(world: World, before: Period, after: Period) -> Report:
    return build_report("plant1/line1", NOW, after, before, WISHES, truth=world.truth, readings=READINGS)


@pytest.fixture(scope="module")
def page(story: Report) -> str:
    return report_page(story, UTC)


def test_before_and_after_tell_the_reference_story(story: Report) -> None:
    good = {change.metric: change.good for change in story.changes}
    for metric in ("detection_rate", "false_positive_rate", "production_efficiency", "monthly_cost"):
        assert good[metric] is True, metric
    assert story.savings is not None
    assert story.savings.low is not None
    assert story.savings.low > 0


def test_an_unproved_change_is_neither_better_nor_worse(story: Report) -> None:
    assert {change.good for change in changes_between(story.now, story.now)} == {None}


def test_goals_are_judged_on_their_slices(world: World, story: Report, before: Period) -> None:
    states = {verdict.goal.name: verdict.state for verdict in story.goals}
    assert states["detect"] is GoalState.MET
    assert states["spare"] is GoalState.MET
    assert states["old model"] is GoalState.NOT_ENOUGH_EVIDENCE
    (old,) = build_report("l", NOW, before, None, Wishes(GOALS[2:3]), truth=world.truth).goals
    assert old.state is GoalState.NOT_MET
    assert old.overdue


def test_halts_count_with_their_verdict(story: Report) -> None:
    assert story.now.halts == []
    assert story.baseline is not None
    halted = story.baseline.halt_summary
    assert (halted.halts, halted.needless_low) == (2, 1)


def test_label_facts_add_up(story: Report) -> None:
    labels = story.now.labels
    assert labels.asked >= labels.used > 0
    assert labels.labellers >= 2
    assert labels.seconds >= 6 * labels.used
    assert labels.unconfirmed == 0


def test_json_holds_everything_and_no_bare_rate(story: Report) -> None:
    body = json.loads(json.dumps(report_json(story), allow_nan=False))
    assert body["format"] == "qc.report/1"
    assert {"now", "baseline", "goals", "changes", "savings", "audit", "readings"} <= body.keys()
    bare = [path for path, node in _nodes(body) if "estimate" in node and not {"low", "high", "n", "found"} <= node.keys()]
    assert bare == []
    for path, node in _nodes(body):
        if "estimate" in node and node["estimate"] is None:
            assert node["not_estimable"], path


def _nodes(value: object, path: str = "") -> "list[tuple[str, dict[str, object]]]":
    found = []
    if isinstance(value, dict):
        found.append((path, value))
        for key, item in value.items():
            found += _nodes(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += _nodes(item, f"{path}[{i}]")
    return found


class _Page(HTMLParser):
    """Tags, links and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_from_anywhere(page: str) -> None:
    parsed = _Page(page)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(parsed.tags)
    assert all(link.startswith("#") for link in parsed.links)
    assert "url(http" not in page
    assert "@import" not in page
    assert parsed.tags.count("svg") > 5
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "two charts share an id, so one would be clipped by the other"


def test_every_reference_inside_the_page_leads_somewhere(page: str) -> None:
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert wanted
    assert wanted <= set(re.findall(r'\bid="([^"]+)"', page))


def test_the_page_says_what_the_report_says(page: str) -> None:
    text = _Page(page).text
    for words in ("Detection rate", "Production efficiency", "Monthly cost", "Savings: USD", "No halt", "too little evidence"):
        assert words in text
    assert "old model" in text
    assert "overdue" in text
    assert "e-value / alarm threshold" in text


def test_names_from_outside_cannot_break_the_page(story: Report) -> None:
    nasty = "<script>alert(1)</script>"
    assert story.baseline is not None
    halt = replace(story.baseline.halts[0], reason=nasty)
    types = [replace(row, name=nasty) for row in story.now.defect_types]
    goals = [replace(story.goals[0], goal=replace(GOALS[0], name=nasty))]
    text = report_page(replace(story, line=nasty, goals=goals, now=replace(story.now, defect_types=types, halts=[halt])), UTC)
    assert nasty not in text
    assert text.count("&lt;script&gt;alert(1)") >= 5
    assert "needless" in text


def test_no_data_is_a_useful_page(world: World) -> None:
    nothing = world.reader.read(MONDAY - timedelta(days=9), MONDAY - timedelta(days=8))
    report = build_report("l", NOW, nothing, nothing, WISHES, truth=world.truth)
    text = _Page(report_page(report, UTC)).text
    assert "No parts in this period" in text
    assert "not estimable" in text
    json.dumps(report_json(report), allow_nan=False)


@pytest.mark.parametrize(("parts", "answered"), [(1, 1.0), (30, 0.0), (30, 1.0)])
def test_tiny_data_are_a_useful_page(tmp_path: Path, parts: int, answered: float) -> None:
    tiny = World(tmp_path, seed=parts)
    tiny.shift(0, parts=parts, labels=max(parts // 2, 1), answered=answered, challenges=1)
    period = tiny.reader.read(MONDAY, MONDAY + timedelta(days=1))
    report = build_report("l", NOW, period, None, WISHES, truth=tiny.truth)
    text = _Page(report_page(report, UTC)).text
    assert "not estimable" in text
    if answered == 0:
        assert "Not labelled yet" in text
    json.dumps(report_json(report), allow_nan=False)
    tiny.database.close()


def test_parts_without_a_sampling_plan_are_counted_and_explained(tmp_path: Path) -> None:
    unplanned = World(tmp_path)
    record = unplanned.record(0.3, MONDAY, "2026-11-02/early", 100.0)
    unplanned.store.append([entry_of(record, None)])
    period = unplanned.reader.read(MONDAY, MONDAY + timedelta(days=1))
    report = build_report("l", NOW, period, None, WISHES, truth=unplanned.truth)
    assert (report.now.parts.judged, report.now.parts.unplanned) == (0, 1)
    assert "1 parts were judged without a sampling plan" in _Page(report_page(report, UTC)).text
    unplanned.database.close()


def test_bars_stay_in_their_picture() -> None:
    rate = Rate(0.5, 0.2, 1.4, 10, 5, "x")
    for bar in (interval_bar(rate), interval_bar(rate, 0.9), interval_bar(replace(rate, low=0.5, high=0.5), 0.5)):
        assert bar is not None
        assert 0 <= bar.low <= bar.low + bar.width <= 133.5
    assert interval_bar(Rate(None, None, None, 0, 0, "x", not_estimable="no labels")) is None


def test_json_forms() -> None:
    assert plain({"a": float("nan"), "b": (date(2026, 1, 2), GoalState.MET)}) == {"a": None, "b": ["2026-01-02", "met"]}
    with pytest.raises(TypeError, match="set"):
        plain({1, 2})


def test_the_evidence_over_time_is_drawn_and_told(story: Report, page: str) -> None:
    assert "Evidence over time" not in page  # none was kept
    hours = [
        EvidenceHour(MONDAY + timedelta(hours=i), quantity, name, value * i, value * i, 9.0)
        for i in range(30)
        for quantity, name, value in (("reject_rate", "solar-mono/cam1", 0.6), ("detection_rate", "solar-mono", 0.1))
    ]
    told = replace(story, now=replace(story.now, evidence=hours))
    drawn = report_page(told, UTC)
    assert "Evidence over time" in drawn
    assert "reject rate  solar-mono/cam1" in drawn
    body = report_json(told)
    assert isinstance(body["now"], dict)
    assert body["now"]["evidence"][1] == {
        "hour": MONDAY.isoformat(),
        "quantity": "detection_rate",
        "slice": "solar-mono",
        "log_value": 0.0,
        "highest": 0.0,
        "log_threshold": 9.0,
    }
