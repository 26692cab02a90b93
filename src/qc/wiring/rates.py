"""Rates of one edge from its own store: what the console shows, what ``state/kpi`` says, what the next plan learns from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from qc.domain.columns import FIELDS, RecordColumns
from qc.domain.ports import Clock, TruthStore
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.domain.truth import Rate
from qc.evaluate.production import Plans, Production, challenge_rate, production
from qc.evaluate.slices import SliceRates, slice_rates
from qc.label.plan import LabelledParts, SamplingPlan
from qc.label.sampler import History
from qc.label.windows import Shifts
from qc.record.columns import ColumnReader

LATEST = timedelta(days=7)
"""What ``kpi`` and the planner look back on: a week, so that every shift of it is in."""
CHALLENGE = "challenge_detection_rate"


@dataclass(frozen=True, slots=True)
class RateReport:
    """Rates of [since, until): of the whole line, and per value of the columns that were asked for. challenge: apart from production.

    unplanned: judged parts in shifts without a sampling plan; no rate can speak about them.
    """

    since: datetime
    until: datetime
    overall: SliceRates
    slices: Sequence[SliceRates]
    challenge: Rate
    unplanned: int


class RateBook:
    """Reads and computes on the caller's thread: about a second per million parts. Never call it from the line's."""

    def __init__(self, columns: ColumnReader, truth: TruthStore, clock: Clock, shifts: Shifts) -> None:
        self._columns = columns
        self._truth = truth
        self._clock = clock
        self._shifts = shifts

    def report(self, since: datetime | None = None, until: datetime | None = None, by: Sequence[str] = ()) -> RateReport:
        """since, until: the last week when left out. Raises EvaluationError for an unknown column."""
        until = until or self._clock.now()
        since = since or until - LATEST
        records = self._columns.records(since, until)
        made = self._production(records, since, until)
        overall = slice_rates(made.parts, made.labels)[0]
        slices = slice_rates(made.parts, made.labels, by) if by else []
        return RateReport(since, until, overall, slices, challenge_rate(records), made.unplanned)

    def kpi(self) -> dict[str, Json]:
        """Body of ``state/kpi``: ``<variant>/<metric>`` -> the rate with its counts, or why it cannot be had; over the last week."""
        now = self._clock.now()
        since = now - LATEST
        records = self._columns.records(since, now)
        made = self._production(records, since, now)
        metrics: dict[str, Json] = {}
        for one in slice_rates(made.parts, made.labels, ["variant"]):
            variant = one.key["variant"]
            rates = {**one.rates, CHALLENGE: challenge_rate(records, variant=variant)}
            for metric, rate in rates.items():
                metrics[f"{variant}/{metric}"] = {"variant": variant, "metric": metric, "parts": one.parts, **asdict(rate)}
        return {
            "window": self._shifts.window_of(now).name,
            "since": since.isoformat(),
            "until": now.isoformat(),
            "metrics": metrics,
        }

    def history(self, recipe: Recipe) -> History:
        """What the last week taught about a recipe version: every judged part of it, and the labels that are settled."""
        now = self._clock.now()
        since = now - LATEST
        records = _of_version(self._columns.records(since, now, variant=recipe.variant), recipe.version)
        made = self._production(records, since, now)
        scores, rejected = records.score[made.row], made.parts.stratum_rejected[made.parts.stratum]
        use = ~made.labels.unconfirmed
        labels = made.labels
        labelled = LabelledParts(
            scores[labels.row[use]], labels.defective[use].astype(np.int64), labels.inclusion_probability[use]
        )
        return History(scores, rejected, labelled, _parts_per_window(made))

    def _production(self, records: RecordColumns, since: datetime, until: datetime) -> Production:
        return production(records, self._columns.labels(since, until), plans_of(self._truth, records))


def plans_of(truth: TruthStore, records: RecordColumns) -> Plans:
    """The plan that was in force for each (variant, recipe_version, window) among the records, where there was one."""
    variant, version, shift = (FIELDS.index(name) for name in ("variant", "recipe_version", "shift"))
    keys = sorted({(names[variant], names[version], names[shift]) for names in records.combinations})
    found = {key: truth.plan(*key) for key in keys}
    return {key: SamplingPlan.from_json(plan.body) for key, plan in found.items() if plan is not None}


def _of_version(records: RecordColumns, version: str) -> RecordColumns:
    """Only the records of one recipe version: another threshold or model is another relation of score and decision."""
    index = FIELDS.index("recipe_version")
    keep = records.per_combination([names[index] == version for names in records.combinations])
    return replace(
        records,
        seq=records.seq[keep],
        decided_us=records.decided_us[keep],
        score=records.score[keep],
        brightness=records.brightness[keep],
        combination=records.combination[keep],
    )


def _parts_per_window(made: Production) -> float:
    """Mean over the last three windows in which the recipe ran; 0 when it never did."""
    shift = made.parts.columns["shift"]
    codes, first, counts = np.unique(shift, return_index=True, return_counts=True)
    latest = np.argsort(first)[-3:]
    return float(counts[latest].mean()) if len(codes) else 0.0
