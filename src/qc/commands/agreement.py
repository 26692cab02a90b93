"""``qc agreement``: how far the inspectors can be trusted, against AIAG's lines."""

import json
import math
from datetime import timedelta
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from qc.commands.edge_records import TimeRange, edge_records, time_range
from qc.domain.clock import SystemClock
from qc.domain.record import Json
from qc.domain.truth import Rate
from qc.evaluate import agreement as study
from qc.evaluate.agreement import Answers, Grade
from qc.evaluate.production import agreement_answers
from qc.goals.as_json import plain
from qc.goals.wording import interval
from qc.record.columns import ColumnReader

USUAL_RANGE = timedelta(days=90)
_COLOURS = {Grade.ACCEPTABLE: "green", Grade.MARGINAL: "yellow", Grade.UNACCEPTABLE: "red", Grade.UNKNOWN: "dim"}


def agreement(config: Path, *, since: str, until: str, as_json: bool) -> int:
    """Raises ConfigError, StoreError."""
    with edge_records(config) as edge:
        asked = time_range(since, until, edge.zone, SystemClock().now(), default=USUAL_RANGE)
        columns = ColumnReader(edge.database).labels(asked.since, asked.until)
    answers, names = agreement_answers(columns), columns.labellers
    if as_json:
        print(json.dumps(agreement_json(answers, names, asked)))
    else:
        Console().print(agreement_view(answers, names))
    return 0


def agreement_json(answers: Answers, names: tuple[str, ...], asked: TimeRange) -> dict[str, Json]:
    """Kappa null where chance alone decides or nothing is shared."""
    inspectors: list[Json] = [
        {
            "labeller": names[one.labeller],
            "effectiveness": plain(one.effectiveness),
            "effectiveness_grade": study.grade_effectiveness(one.effectiveness).value,
            "miss": plain(one.miss),
            "miss_grade": study.grade_miss(one.miss).value,
            "false_alarm": plain(one.false_alarm),
            "false_alarm_grade": study.grade_false_alarm(one.false_alarm).value,
            "repeatability": plain(one.repeatability),
        }
        for one in study.inspector_rates(answers)
    ]
    pairs: list[Json] = [
        {"labellers": [names[a], names[b]], "kappa": plain(kappa), "parts": parts}
        for (a, b), (kappa, parts) in study.pairwise_kappa(answers).items()
    ]
    return {
        "since": plain(asked.since),
        "until": plain(asked.until),
        "inspectors": inspectors,
        "cohen": pairs,
        "fleiss_kappa": plain(study.fleiss_kappa_of(answers)) if len(answers.part) else None,
    }


def agreement_view(answers: Answers, names: tuple[str, ...]) -> RenderableType:
    """Tables for a terminal."""
    if not len(answers.part):
        return Text("nobody has labelled anything in this period", "yellow")
    table = Table("inspector", "effectiveness", "misses", "false alarms", "repeatability", box=None, padding=(0, 2, 0, 0))
    for one in study.inspector_rates(answers):
        table.add_row(
            names[one.labeller],
            _graded(one.effectiveness, study.grade_effectiveness(one.effectiveness)),
            _graded(one.miss, study.grade_miss(one.miss)),
            _graded(one.false_alarm, study.grade_false_alarm(one.false_alarm)),
            _graded(one.repeatability, None),
        )
    lines: list[RenderableType] = [table, Text()]
    for (a, b), (kappa, parts) in study.pairwise_kappa(answers).items():
        if parts:
            lines.append(Text(f"Cohen's kappa {names[a]}, {names[b]}: {_kappa(kappa)} on {parts} parts"))
    lines.append(Text(f"Fleiss' kappa of all: {_kappa(study.fleiss_kappa_of(answers))} ({len(answers.part):,} answers)"))
    lines.append(Text("AIAG MSA: effectiveness >= 90 % (marginal 80), misses <= 2 % (5), false alarms <= 5 % (10)", "dim"))
    return Group(*lines)


def _graded(rate: Rate, grade: Grade | None) -> Text:
    if rate.estimate is None:
        return Text(f"not estimable: {rate.not_estimable}", "dim")
    text = Text(f"{100 * rate.estimate:.1f} % ({interval(rate, 'share')})\n{rate.found} of {rate.n}")
    if grade is not None:
        text.append(f"  {grade.value}", _COLOURS[grade])
    return text


def _kappa(value: float) -> str:
    return "not estimable" if math.isnan(value) else f"{value:.2f}"
