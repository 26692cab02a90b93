"""One canary on trial: what the line asks of it for every part, and what ends it."""

import threading
from collections.abc import Callable, Iterable

from qc.domain.alarm import Action, Alarm
from qc.domain.record import InspectionRecord
from qc.domain.truth import Answer
from qc.line.setup import Setup
from qc.release.canary import CanaryGuard, CanaryLabels
from qc.release.index import Canary

ROLLBACK_ALARM = "canary"
"""Quantity of the alarm that an automatic rollback raises."""
MODEL_ALARM = "model"
"""Quantity of the alarm that a model which cannot run raises."""


class CanaryTrial:
    """The line's ``Trial``. The decision to withdraw holds at once; the registry hears of it right after (``withdraw``)."""

    def __init__(
        self,
        setup: Setup,
        canary: Canary,
        watches: tuple[CanaryGuard, CanaryLabels],
        withdraw: Callable[[], None],
        known_alarms: Iterable[str],
    ) -> None:
        """setup: the candidate's. known_alarms: those that were open before it began; they speak about the model that it is to replace."""
        self.setup = Setup(setup.recipe, setup.inspector, "canary", trial=self)
        self.canary = canary
        self.guard, self.labels = watches
        self.reason = ""
        """Why it was withdrawn; empty while it decides."""
        self.told = False
        """Whether an alarm has said so."""
        self._known_alarms = frozenset(known_alarms)
        self._withdrawn = withdraw
        self._lock = threading.Lock()

    def withdrawn(self) -> bool:
        return bool(self.reason)

    def judged(self, record: InspectionRecord) -> None:
        self._end(self.guard.judged(record))

    def failed(self, error: str) -> None:
        if reason := self.guard.failed():
            self._end(f"{reason} ({error})")

    def labelled(self, record: InspectionRecord, answer: Answer) -> None:
        """A label of a part that a canary decided; those of an earlier one, or at other thresholds, say nothing about this one."""
        if record.model_sha256 == self.canary.slot.sha256 and record.recipe_version == self.setup.recipe.version:
            self._end(self.labels.take(record, answer))

    def heed(self, alarm: Alarm) -> None:
        """An alarm about its variant that was not open before and asks for more than attention."""
        variant = self.setup.recipe.variant
        about = alarm.slice == variant or alarm.slice.startswith(f"{variant}/")
        new = alarm.alarm_id not in self._known_alarms and alarm.quantity not in (ROLLBACK_ALARM, MODEL_ALARM)
        if about and new and alarm.action is not Action.NONE:
            self._end(f"alarm {alarm.quantity}: {alarm.message}")

    def _end(self, reason: str) -> None:
        """The first reason counts; an empty one ends nothing."""
        with self._lock:
            if not reason or self.reason:
                return
            self.reason = reason
        self._withdrawn()
