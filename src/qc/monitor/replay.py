"""Feed stored records, labels and challenge passes to a monitor in the order in which they happened."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from heapq import merge
from typing import TypeAlias

from qc.domain.record import InspectionRecord
from qc.domain.truth import Answer, ChallengePass
from qc.monitor.watch import Monitor

_Step: TypeAlias = tuple[datetime, int, Callable[[], None]]


def replay(
    monitor: Monitor,
    records: Iterable[InspectionRecord],
    answers: Iterable[tuple[str, Answer]] = (),
    passes: Iterable[tuple[str, ChallengePass]] = (),
) -> None:
    """records by seq, answers (with their variant) as stored, passes by time. A fresh monitor ends up as the one that was there live."""
    steps: Iterator[_Step] = merge(
        ((record.decided_at, 0, partial(monitor.on_record, record)) for record in records),
        ((answer.label.labelled_at, 1, partial(monitor.on_answer, variant, answer)) for variant, answer in answers),
        ((one.passed_at, 2, partial(monitor.on_pass, variant, one)) for variant, one in passes),
        key=lambda step: step[:2],
    )
    with monitor.catching_up():
        for _, _, feed in steps:
            feed()
