"""What the line is joined to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from qc.decide.halt import HaltState
from qc.domain.frame import Shot
from qc.domain.ports import AlarmBook, Camera, Clock, ImageArchive, Observer, Publisher, RecordStore, ResultSignal
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord, Json
from qc.domain.truth import Answer, SampleTicket
from qc.monitor.label_watch import RateBounds
from qc.publish.topics import EdgeName
from qc.release.canary import LowestQ
from qc.release.registry import Registry
from qc.release.shadow import ShadowLink
from qc.release.transitions import By


def no_ticket(_record: InspectionRecord) -> SampleTicket | None:
    """A line that asks for no labels."""
    return None


def no_challenge(_shot: Shot) -> str | None:
    """A line without registered known-defective parts."""
    return None


def no_listener(_state: HaltState, _record: InspectionRecord) -> None:
    """Nobody listens to the halt policy."""


@dataclass(frozen=True, slots=True)
class LinePorts:
    """Everything the loop talks to. The callables are asked about every part and must be quick.

    shift_of: the sampling window of a time. ticket_for: draws a part for labelling. challenge_of: the id of the registered
    known-defective part that a shot shows. level_raised: told when the halt policy's level rises.
    """

    name: EdgeName
    cameras: Sequence[Camera]
    store: RecordStore
    archive: ImageArchive
    publisher: Publisher
    signal: ResultSignal
    clock: Clock
    shift_of: Callable[[datetime], str]
    ticket_for: Callable[[InspectionRecord], SampleTicket | None] = no_ticket
    challenge_of: Callable[[Shot], str | None] = no_challenge
    level_raised: Callable[[HaltState, InspectionRecord], None] = no_listener
    observers: Sequence[Observer] = ()


@dataclass(frozen=True, slots=True)
class RolloutPorts:
    """What a rollout talks to. bounds, lowest_q: see CanaryLabels.

    use: makes a recipe known to the sampler (and, where it is active, to the planner). tell: an event of the line (what, who did it,
    message, facts). answers: the labels so far of parts that canaries decided since a time, so that a restart forgets none.
    """

    registry: Registry
    alarms: AlarmBook
    clock: Clock
    shadow_link: ShadowLink
    bounds: RateBounds
    lowest_q: LowestQ
    use: Callable[[Recipe, bool], None]
    tell: Callable[[str, By, str, Mapping[str, Json]], None]
    answers: Callable[[datetime], Iterable[tuple[InspectionRecord, Answer]]]


class NoSignal:
    """ResultSignal of a line without a reject gate."""

    def result(self, record: InspectionRecord) -> None:
        """Nobody waits for it."""

    def request_halt(self, reason: str) -> None:
        """Nothing can be stopped."""

    def close(self) -> None:
        """Nothing is open."""
