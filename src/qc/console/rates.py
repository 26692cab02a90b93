"""What the quality page shows, from the edge's own rate book, labels and detectors; computed at most once per CACHE_S."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from qc.console.api.answers import rate_answer
from qc.console.schema.quality import (
    DifferenceAnswer,
    EvidenceAnswer,
    InspectorAnswer,
    PeriodAnswer,
    QualityAnswer,
    QualityQuery,
    RateAnswer,
    SliceAnswer,
)
from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.agreement import (
    fleiss_kappa_of,
    grade_effectiveness,
    grade_false_alarm,
    grade_miss,
    inspector_rates,
)
from qc.evaluate.compare import independent_difference
from qc.evaluate.production import agreement_answers
from qc.evaluate.slices import SliceRates
from qc.record.columns import ColumnReader
from qc.wiring import Edge

CACHE_S = 20.0
_COLUMN = {"variant": "variant", "camera": "camera_id", "shift": "shift", "model": "model_id"}
_PERIODS = 60
"""Shifts that the charts show at most."""
_COMPARED = ("detection_rate", "false_positive_rate", "escapes_ppm", "review_rate")
_GRADES = ("unacceptable", "marginal", "acceptable", "unknown")
"""Worst first: an inspector is as good as their worst grade."""


class RatesReader:
    """Callable with a QualityQuery, in a worker thread; one at a time, because ten million parts take some seconds."""

    def __init__(self, edge: Edge, report_url: Callable[[], str]) -> None:
        """report_url: where the full report is; empty while there is none."""
        self._edge, self._report_url = edge, report_url
        self._columns = ColumnReader(edge.database)
        monitoring = edge.settings.monitoring
        self._goals = {
            "detection_rate": (monitoring.detection_floor, True),
            "false_positive_rate": (monitoring.false_positive_ceiling, False),
        }
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[float, QualityAnswer]] = {}

    def __call__(self, query: QualityQuery) -> QualityAnswer:
        key = query.model_dump_json()
        with self._lock:
            found = self._cache.get(key)
            if found is not None and time.monotonic() - found[0] < self._patience_s(found[1]):
                return found[1]
            try:
                answer = self._read(query)
            except EvaluationError as error:
                answer = QualityAnswer(available=False, message=str(error))
            self._cache = {name: item for name, item in self._cache.items() if time.monotonic() - item[0] < CACHE_S}
            self._cache[key] = (time.monotonic(), answer)
            return answer

    @staticmethod
    def _patience_s(answer: QualityAnswer) -> float:
        """A small line is read again at once: whoever has just labelled a part wants to see what it did."""
        return 1.0 if answer.overall is None or answer.overall.parts < 20_000 else CACHE_S

    def _read(self, query: QualityQuery) -> QualityAnswer:
        rates = self._edge.street.rates
        found = rates.report(query.since, query.until)
        slices = found.by([_COLUMN[query.by]]) if query.by else []
        labels = self._columns.labels(found.since, found.until)
        answers = agreement_answers(labels)
        kappa = fleiss_kappa_of(answers)
        message = f"{found.unplanned} parts lie in shifts without a sampling plan and are left out" if found.unplanned else ""
        return QualityAnswer(
            available=True,
            message=message,
            since=found.since,
            until=found.until,
            overall=self._slice(found.overall),
            slices=[self._slice(one) for one in slices],
            periods=self._periods(found.by(["shift"])),
            challenge=rate_answer("challenge_detection_rate", found.challenge),
            agreement=[
                InspectorAnswer(
                    labeller=labels.labellers[one.labeller],
                    answers=int((answers.labeller == one.labeller).sum()),
                    effectiveness=rate_answer("effectiveness", one.effectiveness),
                    miss=rate_answer("miss", one.miss),
                    false_alarm=rate_answer("false_alarm", one.false_alarm),
                    grade=min(
                        (grade_effectiveness(one.effectiveness), grade_miss(one.miss), grade_false_alarm(one.false_alarm)),
                        key=_GRADES.index,
                    ),
                )
                for one in inspector_rates(answers)
            ],
            kappa=kappa if math.isfinite(kappa) else None,
            report=self._report_url(),
            evidence=self._evidence(),
            comparison=self._comparison(query.split, found.since, found.until) if query.split else [],
        )

    def _slice(self, one: SliceRates) -> SliceAnswer:
        names = {column: name for name, column in _COLUMN.items()}
        key = {names.get(column, column): level for column, level in one.key.items()}
        return SliceAnswer(key=key, parts=one.parts, rates=self._rates(one.rates))

    def _rates(self, rates: Mapping[str, Rate]) -> list[RateAnswer]:
        answers = []
        for metric, rate in rates.items():
            goal, higher = self._goals.get(metric, (None, True))
            answers.append(rate_answer(metric, rate, goal, higher_is_better=higher))
        return answers

    def _periods(self, slices: Sequence[SliceRates]) -> list[PeriodAnswer]:
        found = [(self._start(one.key["shift"]), one) for one in slices]
        known = sorted(((start, one) for start, one in found if start is not None), key=lambda item: item[0])
        return [
            PeriodAnswer(window=one.key["shift"], start=start, parts=one.parts, rates=self._rates(one.rates))
            for start, one in known[-_PERIODS:]
        ]

    def _start(self, shift: str) -> datetime | None:
        """When a shift named like ``2026-11-24/early`` began; None for a name that the settings no longer know."""
        day, _, name = shift.partition("/")
        sampling = self._edge.settings.sampling
        clock = {each.name: each.start for each in sampling.shifts}.get(name)
        if clock is None:
            return None
        try:
            return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(sampling.timezone))
        except ValueError:
            return None

    def _evidence(self) -> list[EvidenceAnswer]:
        return [
            EvidenceAnswer(
                quantity=reading.quantity,
                slice=reading.slice,
                log10_evidence=None if reading.log_value is None else reading.log_value / math.log(10),
                log10_threshold=reading.log_threshold / math.log(10),
            )
            for reading in self._edge.street.monitor.readings()
        ]

    def _comparison(self, split: datetime, since: datetime, until: datetime) -> list[DifferenceAnswer]:
        if not since < split < until:
            return []
        before = self._edge.street.rates.report(since, split).overall.rates
        after = self._edge.street.rates.report(split, until).overall.rates
        rows = []
        for metric in _COMPARED:
            difference = independent_difference(before[metric], after[metric])
            rows.append(
                DifferenceAnswer(
                    metric=metric,
                    before=rate_answer(metric, before[metric]),
                    after=rate_answer(metric, after[metric]),
                    difference=difference.estimate,
                    low=difference.low,
                    high=difference.high,
                    significant=difference.significant,
                    not_estimable=difference.not_estimable,
                )
            )
        return rows
