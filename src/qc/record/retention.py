"""Which pictures go when: a ring of bounded size for OK parts, longer for the others, the disk's free space before all.

Pictures of an open label request or of an undelivered event are never chosen (``image_index.deletable``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from qc.domain.verdict import Decision
from qc.record.files import ImageFiles
from qc.record.image_index import ImageIndex

DELETION_ORDER = (Decision.OK, Decision.NOT_INSPECTED, Decision.REVIEW, Decision.NG)
"""Least telling first; inside each, oldest first."""

assert set(DELETION_ORDER) == set(Decision), "every decision needs its place in DELETION_ORDER"

_STEP = 50
"""Events per step: some ten milliseconds of index work and unlinking, so that new pictures do not wait long."""
_SLACK = 0.02
"""Freed beyond the limit at once, so that a full archive does not search before every picture."""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """budget_bytes: all pictures together; ok_budget_bytes: OK parts' share of it; min_free_bytes: left free on the disk."""

    budget_bytes: int = 20_000_000_000
    ok_budget_bytes: int = 8_000_000_000
    min_free_bytes: int = 2_000_000_000
    ok_max_age_s: float = 30 * _DAY_S
    max_age_s: float = 365 * _DAY_S


class Retention:
    """Frees room in small steps; run by the archive's thread only."""

    def __init__(self, index: ImageIndex, files: ImageFiles, limits: RetentionLimits) -> None:
        self._index = index
        self._files = files
        self._limits = limits

    def shortage(self) -> str:
        """Empty when there is room for another picture; otherwise what is short, as a sentence."""
        if self._missing_free() > 0:
            free, needed = self._files.free_bytes(), self._limits.min_free_bytes
            return f"{free} bytes are free on the disk of {self._files.directory}, {needed} must stay free"
        if self._excess() > 0:
            return f"pictures that must be kept fill the budget of {self._limits.budget_bytes} bytes"
        return ""

    def steps(self, now: datetime, *, with_ages: bool) -> Iterator[int]:
        """Delete what has to go; yields after each short step how many events lost their pictures."""
        limits = self._limits
        if with_ages:
            self._index.recount()
        for decision in DELETION_ORDER if with_ages else ():
            age_s = limits.ok_max_age_s if decision is Decision.OK else limits.max_age_s
            yield from self._delete(decision, now, before=now - timedelta(seconds=age_s))
        if self._ok_excess() > 0:
            spare = limits.ok_budget_bytes * _SLACK
            yield from self._delete(Decision.OK, now, enough=lambda: self._ok_excess() <= -spare)
        if self._excess() > 0:
            spare_all = limits.budget_bytes * _SLACK
            for decision in DELETION_ORDER:
                yield from self._delete(decision, now, enough=lambda: self._excess() <= -spare_all)
        if self._missing_free() > 0:
            spare_free = limits.min_free_bytes * _SLACK
            for decision in DELETION_ORDER:
                yield from self._delete(decision, now, enough=lambda: self._missing_free() <= -spare_free)

    def _ok_excess(self) -> int:
        return self._index.bytes_by_decision[Decision.OK] - self._limits.ok_budget_bytes

    def _excess(self) -> int:
        return self._index.total_bytes - self._limits.budget_bytes

    def _missing_free(self) -> int:
        return self._limits.min_free_bytes - self._files.free_bytes()

    def _delete(
        self, decision: Decision, now: datetime, *, enough: Callable[[], bool] = lambda: False, before: datetime | None = None
    ) -> Iterator[int]:
        """Oldest first, until ``enough`` or until nothing deletable is left that was decided before ``before``."""
        while not enough():
            events = self._index.deletable(decision, now, _STEP, before)
            if not events:
                return
            gone = 0
            for event_id in events:
                for name in self._index.remove([event_id]):
                    self._files.delete(name)
                gone += 1
                if enough():
                    break
            yield gone
