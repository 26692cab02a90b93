"""``qc report``: rates, goals, cost and causes of a time range as page, JSON and a short table."""

import json
from collections.abc import Sequence
from datetime import timedelta, tzinfo
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from qc.commands.edge_records import EdgeRecords, compared_range, edge_records, time_range
from qc.commands.layout import facts
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError
from qc.goals import wording
from qc.goals.as_json import report_json
from qc.goals.page import cards, report_page
from qc.goals.period import PeriodReader
from qc.goals.report import Report, Wishes, build_report
from qc.goals.targets import GoalState
from qc.goals.wording import METRIC_WORDS, STATE_WORDS
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.watch import Monitor, MonitorSettings, Reading
from qc.record.columns import ColumnReader
from qc.record.evidence_log import EvidenceLog
from qc.record.quality_reader import QualityReader
from qc.settings import load_recipes
from qc.settings.goals import GoalsSettings, load_goals

USUAL_RANGE = timedelta(days=30)
MONITOR_STATE = "monitor"
_COLOURS = {GoalState.MET: "green", GoalState.NOT_MET: "red", GoalState.NOT_ENOUGH_EVIDENCE: "yellow"}


def report(
    config: Path, *, since: str, until: str, compare: str, html: Path | None, json_file: Path | None, goals: Path | None
) -> int:
    """Prints the short form and writes the files that were asked for. Raises ConfigError, StoreError, EvaluationError."""
    now = SystemClock().now()
    wishes = wishes_of(goals_for(config, goals))
    with edge_records(config) as edge:
        asked = time_range(since, until, edge.zone, now, default=USUAL_RANGE)
        reader = period_reader(edge)
        baseline = None
        if compare:
            before = compared_range(compare, edge.zone)
            baseline = reader.read(before.since, before.until)
        period = reader.read(asked.since, asked.until)
        found = build_report(str(edge.name), now, period, baseline, wishes, truth=edge.truth, readings=stored_readings(edge))
        if html is not None:
            _write(html, report_page(found, edge.zone, has_costs=wishes.costs is not None))
        if json_file is not None:
            _write(json_file, json.dumps(report_json(found), ensure_ascii=False, indent=2, allow_nan=False) + "\n")
        Console().print(short_report(found, edge.zone))
    for path in (html, json_file):
        if path is not None:
            print(f"written: {path}")
    return 0


def goals_for(config: Path, goals: Path | None) -> GoalsSettings:
    """The named file, else ``goals.toml`` beside the line's settings, else no goals and no prices."""
    beside = config.with_name("goals.toml")
    if goals is not None:
        return load_goals(goals)
    return load_goals(beside) if beside.exists() else GoalsSettings()


def wishes_of(settings: GoalsSettings) -> Wishes:
    return Wishes(
        goals=[goal.to_goal() for goal in settings.goals],
        costs=settings.costs.to_model() if settings.costs else None,
        audit=settings.audit.to_rules(),
        standstill_s=settings.standstill_s,
    )


def period_reader(edge: EdgeRecords) -> PeriodReader:
    columns, quality = ColumnReader(edge.database), QualityReader(edge.database)
    columns.pack()  # a running edge has done it; after an update of an old file this once takes some seconds per million records
    return PeriodReader(columns, edge.truth, edge.alarms, quality, line=edge.name.line, evidence=EvidenceLog(edge.database))


def stored_readings(edge: EdgeRecords) -> Sequence[Reading]:
    """E-values of the monitor as the running edge stored them last; empty when it never did."""
    state = edge.alarms.get_state(MONITOR_STATE)
    if not isinstance(state, dict):
        return ()
    variants = max(1, len(load_recipes(edge.settings.recipes.directory)))
    book = StoredAlarmBook(edge.alarms, SystemClock(), lambda _: None)
    monitor = Monitor(book, MonitorSettings(slices=variants), lambda *_: None)
    monitor.restore(state)
    return monitor.readings()


def short_report(found: Report, zone: tzinfo) -> RenderableType:
    """The report for a terminal."""
    now = found.now
    currency = now.cost.currency if now.cost else ""
    span = " to ".join(f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in (now.since, now.until))
    parts: list[RenderableType] = [Text(f"{found.line}  {span}", "bold"), _counts(found)]
    headline = [
        (METRIC_WORDS[name].name, f"{wording.with_interval(rate, name, currency)}  [{wording.evidence(rate, name)}]")
        for name, rate in cards(found)
    ]
    parts.append(facts(headline))
    if found.goals:
        parts.append(_goals(found))
    if found.changes:
        parts.append(_changes(found, currency))
    parts += [
        Text(
            f"✖ {c.column} {c.level}: {METRIC_WORDS[c.metric].name} {wording.change(c.difference, c.metric)} against the rest",
            "red",
        )
        for c in found.audit.differing
    ]
    return Group(*parts)


def _counts(found: Report) -> Text:
    parts, labels = found.now.parts, found.now.labels
    if not parts.records:
        return Text("no inspection records in this period", "yellow")
    text = (
        f"{parts.records:,} records, {parts.judged:,} behind the rates; {labels.used:,} settled labels of {labels.asked:,} asked"
    )
    if labels.unconfirmed:
        text += f"; {labels.unconfirmed} defects wait for a second look"
    return Text(text, "dim")


def _goals(found: Report) -> Table:
    table = Table("goal", "target", "state", "by", box=None, padding=(0, 2, 0, 0))
    for verdict in found.goals:
        goal = verdict.goal
        sign, word = STATE_WORDS[verdict.state]
        more = f", about {verdict.labels_needed:,} more needed" if verdict.labels_needed else ""
        state = Text(f"{sign} {word}", _COLOURS[verdict.state]) + Text(f" ({verdict.reason}{more})", "dim")
        target = f"{'≥' if goal.at_least else '≤'} {wording.value(goal.target, METRIC_WORDS[goal.metric].unit)}"
        table.add_row(goal.name, target, state, f"{goal.by}{' overdue' if verdict.overdue else ''}")
    return table


def _changes(found: Report, currency: str) -> Table:
    table = Table("before and after", "before", "after", "change", box=None, padding=(0, 2, 0, 0))
    for change in found.changes:
        word = "" if change.good is None else " ✔ better" if change.good else " ✖ worse"
        table.add_row(
            METRIC_WORDS[change.metric].name,
            wording.with_interval(change.before, change.metric, currency),
            wording.with_interval(change.after, change.metric, currency),
            wording.change(change.difference, change.metric, currency) + word,
        )
    return table


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
