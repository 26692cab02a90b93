"""``qc audit``: compare the slices and write the result into a hash-chained record; or verify that chain."""

import getpass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qc.commands.edge_records import EdgeRecords, edge_records, time_range
from qc.commands.report import goals_for, period_reader, wishes_of
from qc.domain.clock import SystemClock
from qc.domain.record import AuditEntry, Json
from qc.goals import chain, measures, wording
from qc.goals.as_json import plain
from qc.goals.audit import Audit, Finding
from qc.goals.audit import audit as compare_slices
from qc.goals.period import Period
from qc.goals.targets import judge
from qc.goals.wording import METRIC_WORDS

ACTION = "audit-record"
USUAL_RANGE = timedelta(days=30)
_WORDS = {
    Finding.DIFFERS: ("✖ differs", "red"),
    Finding.ALIKE: ("✔ alike", "green"),
    Finding.TOO_LITTLE_EVIDENCE: ("○ too little evidence", "yellow"),
}


def audit(config: Path, *, since: str, until: str, directory: Path | None, goals: Path | None) -> int:
    """Writes one record and prints the findings. Raises ConfigError, StoreError, EvaluationError."""
    clock = SystemClock()
    wishes = wishes_of(goals_for(config, goals))
    with edge_records(config, write=True) as edge:
        asked = time_range(since, until, edge.zone, clock.now(), default=USUAL_RANGE)
        period = period_reader(edge).read(asked.since, asked.until)
        found = compare_slices(period, wishes.audit)
        sampled = [goal for goal in wishes.goals if goal.metric != "production_efficiency"]
        verdicts = [judge(goal, measures.rate_of(period, goal.metric, goal.slice), clock.now().date()) for goal in sampled]
        body = {**_body(edge, period, found), "goals": plain(verdicts)}
        record = chain.append(_directory(edge, directory), "audit", body, clock.now())
        detail: dict[str, Json] = {"number": record.number, "sha256": record.sha256, "file": record.path.name}
        edge.store.audit(AuditEntry(clock.now(), getpass.getuser(), "cli", ACTION, detail, "done"))
    Console().print(findings_table(found))
    for column, level, labels in found.thin:
        print(f"too little evidence: {column} {level} has {labels} labels, fewer than {wishes.audit.min_labels}")
    for column in found.single:
        print(f"nothing to compare: only one level of {column}")
    print(f"record {record.number} written: {record.path} (SHA-256 {record.sha256})")
    return 0


def verify(config: Path, *, directory: Path | None) -> int:
    """Exit code 1 when a record was altered, removed or inserted."""
    with edge_records(config) as edge:
        place = _directory(edge, directory)
        trail = edge.store.audit_trail(action=ACTION, limit=1)
    last = (int(str(trail[0].detail["number"])), str(trail[0].detail["sha256"])) if trail and directory is None else None
    problems = chain.verify(place, last=last)
    for problem in problems:
        print(problem)
    if problems:
        return 1
    written = chain.records(place)
    print(f"{len(written)} records in {place} are sound" + (f"; the last one is {written[-1].created_at}" if written else ""))
    return 0


def findings_table(found: Audit) -> Table | Text:
    if not found.comparisons:
        return Text("nothing to compare: one level of everything, or no labels", "yellow")
    table = Table("slice", "rate", "difference to the rest", "adjusted p", "finding", box=None, padding=(0, 2, 0, 0))
    for one in found.comparisons:
        word, colour = _WORDS[one.finding]
        p = "-" if one.adjusted is None else f"{one.adjusted:.3g}"
        change = wording.change(one.difference, one.metric)
        table.add_row(f"{one.column} {one.level}", METRIC_WORDS[one.metric].name, change, p, Text(word, colour))
    return table


def _body(edge: EdgeRecords, period: Period, found: Audit) -> dict[str, Json]:
    return {
        "edge": str(edge.name),
        "since": plain(period.since),
        "until": plain(period.until),
        "judged_parts": period.judged,
        "labels": len(period.labels.row),
        "rates": plain(measures.rates_by(period)[0].rates),
        "challenge": plain(period.challenge[""]),
        "audit": plain(found),
    }


def _directory(edge: EdgeRecords, directory: Path | None) -> Path:
    return directory or edge.settings.storage.directory / "audits"
