"""Rates of one edge from its own store: what the console shows, what ``state/kpi`` says, what the next plan learns from."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import numpy as np

from qc.domain.columns import NO_LABELS, RecordColumns, concatenate
from qc.domain.ports import Clock, TruthStore
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.domain.truth import Rate
from qc.evaluate.production import challenge_rate, plans_among, production
from qc.evaluate.slices import SliceRates, slice_rates
from qc.evaluate.tally import ProductionTally, Tallied
from qc.label.plan import LabelledParts
from qc.label.plan_book import PlanBook
from qc.label.sampler import History
from qc.label.windows import Shifts, Window
from qc.record.columns import ColumnReader

LATEST = timedelta(days=7)
"""What ``kpi`` and the planner look back on: a week, so that every shift of it is in."""
CHALLENGE = "challenge_detection_rate"
HISTORY_PARTS = 200_000
"""The planner learns the distribution of scores from at most so many of the latest parts: enough for any border, and bounded."""


@dataclass(frozen=True, slots=True)
class RateReport:
    """Rates of [since, until): of the whole line, and by columns. challenge: apart from production.

    unplanned: judged parts in shifts without a sampling plan; no rate can speak about them.
    """

    since: datetime
    until: datetime
    tallied: Tallied
    overall: SliceRates
    challenge: Rate
    unplanned: int

    def by(self, columns: Sequence[str]) -> Sequence[SliceRates]:
        """Per combination of these columns that occurs. Raises EvaluationError for an unknown column."""
        return slice_rates(self.tallied.parts, self.tallied.labels, columns)


class RateBook:
    """Reads and computes on the caller's thread, batch by batch: a few tenths of a second per million parts, and flat memory.

    Never call it from the line's thread.
    """

    def __init__(self, columns: ColumnReader, truth: TruthStore, clock: Clock, shifts: Shifts) -> None:
        self._columns = columns
        self._truth = truth
        self._clock = clock
        self._shifts = shifts

    def report(self, since: datetime | None = None, until: datetime | None = None) -> RateReport:
        """since, until: the last week when left out."""
        until = until or self._clock.now()
        since = since or until - LATEST
        found = self._tally(since, until)
        overall = slice_rates(found.parts, found.labels)[0]
        return RateReport(since, until, found, overall, challenge_rate(found.special), found.unplanned)

    def kpi(self) -> dict[str, Json]:
        """Body of ``state/kpi``: ``<variant>/<metric>`` -> the rate with its counts, or why it cannot be had; over the last week."""
        now = self._clock.now()
        since = now - LATEST
        found = self._tally(since, now)
        metrics: dict[str, Json] = {}
        for one in slice_rates(found.parts, found.labels, ["variant"]):
            variant = one.key["variant"]
            rates = {**one.rates, CHALLENGE: challenge_rate(found.special, variant=variant)}
            for metric, rate in rates.items():
                metrics[f"{variant}/{metric}"] = {"variant": variant, "metric": metric, "parts": one.parts, **asdict(rate)}
        return {
            "window": self._shifts.window_of(now).name,
            "since": since.isoformat(),
            "until": now.isoformat(),
            "metrics": metrics,
        }

    def history(self, recipe: Recipe) -> History:
        """What the last week taught about a recipe version: its latest ``HISTORY_PARTS`` parts, and those of them that are settled."""
        now = self._clock.now()
        plan_of = PlanBook(self._truth).plan
        latest: deque[RecordColumns] = deque()
        held, of_window = 0, Counter[str]()
        for batch in self._columns.batches(now - LATEST, now):
            mine = batch.where(
                batch.per_combination([(c[0], c[4]) == (recipe.variant, recipe.version) for c in batch.combinations])
            )
            made = production(mine, NO_LABELS, plans_among(mine, plan_of))
            codes, first, counts = np.unique(made.parts.columns["shift"], return_index=True, return_counts=True)
            for i in np.argsort(first):  # in the order of time, whatever the shifts are called
                of_window[made.parts.levels["shift"][codes[i]]] += int(counts[i])
            latest.append(mine)
            held += len(mine.seq)
            while held - len(latest[0].seq) >= HISTORY_PARTS:
                held -= len(latest.popleft().seq)
        records = concatenate(list(latest))
        made = production(records, self._columns.labels(now - LATEST, now), plans_among(records, plan_of))
        scores, rejected = records.score[made.row], made.parts.stratum_rejected[made.parts.stratum]
        use = ~made.labels.unconfirmed
        labels = made.labels
        labelled = LabelledParts(
            scores[labels.row[use]], labels.defective[use].astype(np.int64), labels.inclusion_probability[use]
        )
        return History(scores, rejected, labelled, _parts_per_window(of_window, self._shifts.window_of(now), now))

    def _tally(self, since: datetime, until: datetime) -> Tallied:
        tally = ProductionTally(self._columns.labels(since, until), PlanBook(self._truth).plan)
        for batch in self._columns.batches(since, until):
            tally.add(batch)
        return tally.result()


def _parts_per_window(parts: Mapping[str, int], running: Window, now: datetime) -> float:
    """Mean over the last three whole windows in which the recipe ran; 0 when it never did. parts: by window, oldest first.

    The window that runs when the next one is planned is not over: counted as a whole one it made every plan ask for more labels than
    intended. Only when there is no other is it taken, as if it went on like this."""
    whole = [count for window, count in parts.items() if window != running.name and count]
    if whole:
        return float(np.mean(whole[-3:]))
    return sum(parts.values()) / max((now - running.start) / (running.end - running.start), 0.1)
