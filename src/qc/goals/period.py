"""A time range of production as the report needs it: parts and labels in cells, with every column that it is sliced by.

Columns: variant, camera, line, shift (``early``), day, window (``2026-11-24/early``), model, recipe, and environment: thirds of
the range's parts by the brightness of their pictures, because DR and FPR should not depend on the light.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.alarm import Alarm
from qc.domain.columns import LabelColumns, RecordColumns
from qc.domain.evidence import EvidenceHour
from qc.domain.ports import AlarmStore, TruthStore
from qc.domain.truth import Rate
from qc.evaluate.cells import in_cells
from qc.evaluate.production import Production, challenge_rate, plans_among, production
from qc.evaluate.sample import Ints
from qc.evaluate.slices import Labels, Parts
from qc.label.plan_book import PlanBook
from qc.record.columns import ColumnReader
from qc.record.evidence_log import EvidenceLog
from qc.record.quality_reader import QualityReader, ShiftQuality

UNKNOWN: Final = "(unknown)"
_RENAMED: Final = {
    "variant": "variant",
    "camera_id": "camera",
    "shift": "window",
    "model_id": "model",
    "recipe_version": "recipe",
}
SLICES: Final = ("variant", "camera", "line", "shift", "environment", "model", "recipe", "day", "window")
_LEAST_SPREAD: Final = 1.0
"""Grey levels between the thirds' borders; below that the light did not change and there is one environment."""
MOST_ALARMS: Final = 500

Strings: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """since <= its records < until. parts has one row per cell, with weights. first, last: of the records; None without any.

    production: what was left out of parts and labels is counted there.
    """

    since: datetime
    until: datetime
    first: datetime | None
    last: datetime | None
    records: RecordColumns
    looks: LabelColumns
    parts: Parts
    labels: Labels
    production: Production
    challenge: Mapping[str, Rate]
    """Challenge DR by variant; "" pools them."""
    quality: Sequence[ShiftQuality]
    alarms: Sequence[Alarm]
    evidence: Sequence[EvidenceHour] = ()
    """E-values of the detectors, hour by hour."""

    @property
    def days(self) -> float:
        """From the first record to the last; 0 without records."""
        if self.first is None or self.last is None:
            return 0.0
        return (self.last - self.first) / timedelta(days=1)

    @property
    def judged(self) -> int:
        """Production parts with a verdict and a sampling plan: what all rates are about."""
        return 0 if self.parts.weight is None else int(self.parts.weight.sum())

    @property
    def rejected(self) -> int:
        assert self.parts.weight is not None
        return int(self.parts.weight[self.parts.stratum_rejected[self.parts.stratum]].sum()) if len(self.parts.stratum) else 0

    @property
    def reviewed(self) -> int:
        assert self.parts.weight is not None
        return int(self.parts.weight[self.parts.reviewed].sum())


class PeriodReader:
    """Reads periods from the stores of one edge. line: its name, the level of the column ``line``."""

    def __init__(
        self,
        columns: ColumnReader,
        truth: TruthStore,
        alarms: AlarmStore,
        quality: QualityReader,
        *,
        line: str,
        evidence: EvidenceLog | None = None,
    ) -> None:
        self._columns = columns
        self._truth = truth
        self._alarms = alarms
        self._quality = quality
        self._line = line
        self._evidence = evidence

    def read(self, since: datetime, until: datetime) -> Period:
        """Raises StoreError, EvaluationError when labels contradict their inclusion probabilities."""
        records, looks = self._columns.records(since, until), self._columns.labels(since, until)
        made = production(records, looks, plans_among(records, PlanBook(self._truth).plan))
        parts, labels = in_cells(_with_columns(made.parts, records, made.row, self._line), made.labels)
        variants = records.column("variant")[1]
        decided = records.decided_us
        return Period(
            since=since,
            until=until,
            first=_moment(decided.min()) if len(decided) else None,
            last=_moment(decided.max()) if len(decided) else None,
            records=records,
            looks=looks,
            parts=parts,
            labels=labels,
            production=made,
            challenge={"": challenge_rate(records)} | {v: challenge_rate(records, variant=v) for v in variants},
            quality=self._quality.by_shift(since, until),
            alarms=self._alarms.find(since=since, until=until, limit=MOST_ALARMS),
            evidence=self._evidence.between(since, until) if self._evidence is not None else (),
        )


def _with_columns(parts: Parts, records: RecordColumns, row: NDArray[np.int64], line: str) -> Parts:
    columns: dict[str, Ints] = {new: parts.columns[old].astype(np.int64) for old, new in _RENAMED.items()}
    levels: dict[str, Strings] = {new: parts.levels[old] for old, new in _RENAMED.items()}
    windows = levels["window"]
    for name, of in (("day", [w.rpartition("/")[0] for w in windows]), ("shift", [w.rpartition("/")[2] for w in windows])):
        columns[name], levels[name] = _mapped(columns["window"], [value or UNKNOWN for value in of])
    columns["line"], levels["line"] = np.zeros(len(row), np.int64), (line,)
    columns["environment"], levels["environment"] = _environment(records.brightness[row])
    return replace(parts, columns=columns, levels=levels)


def _mapped(codes: Ints, names: Sequence[str]) -> tuple[Ints, Strings]:
    """Codes of the names that the old levels have; equal names become one level."""
    levels = tuple(sorted(set(names)))
    table = np.array([levels.index(name) for name in names], np.int64)
    return (table[codes] if len(table) else codes.astype(np.int64)), levels


def _environment(brightness: NDArray[np.float32]) -> tuple[Ints, Strings]:
    seen = ~np.isnan(brightness)
    if not seen.any():
        return np.zeros(len(brightness), np.int64), (UNKNOWN,)
    low, high = (float(v) for v in np.quantile(brightness[seen], [1 / 3, 2 / 3]))
    if high - low < _LEAST_SPREAD:
        return np.where(seen, 0, 1).astype(np.int64), ("steady light", UNKNOWN)
    names = (f"brightness < {low:.0f}", f"brightness {low:.0f}-{high:.0f}", f"brightness > {high:.0f}", UNKNOWN)
    code = (brightness >= low).astype(np.int64) + (brightness > high)
    return np.where(seen, code, 3), names


def _moment(us: np.int64) -> datetime:
    return datetime.fromtimestamp(int(us) / 1e6, UTC)
