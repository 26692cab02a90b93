"""The loop: every trigger ends in exactly one record, in order, whatever fails on the way."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qc.domain.alarm import Action
from qc.domain.clock import SystemClock
from qc.domain.errors import BadImage, InspectionError, StoreError
from qc.domain.frame import CameraFault, Pixels
from qc.domain.inspection import Inspection
from qc.domain.ports import Inspector, Prepared
from qc.domain.recipe import HaltPolicy, Recipe
from qc.domain.record import Entry, EventKind, InspectionRecord
from qc.domain.verdict import Decision, Reason
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame
from qc.inspection.fake import FakeInspector
from qc.line import Line, LinePorts, Setup
from qc.line.ports import NoSignal
from qc.publish.fake import MemoryPublisher
from qc.publish.topics import EdgeName
from qc.record.fake import MemoryRecordStore

NAME = EdgeName("s", "a", "l", "e")
RECIPE = Recipe(variant="cell", model_id="m", review_at=0.4, reject_at=0.6, deadline_ms=5000)


def grey(level: int) -> Pixels:
    pixels = np.full((32, 32, 3), level, np.uint8)
    pixels[::2, ::2] = level // 2
    return pixels


@dataclass
class MemoryArchive:
    kept: list[str] = field(default_factory=list)
    share: float = 1.0

    def wants(self, record: InspectionRecord, *, ticketed: bool) -> bool:
        return self.share > 0 or ticketed

    def submit(self, record: InspectionRecord, pixels: Pixels, defect_map: object) -> bool:
        self.kept.append(record.event_id)
        return True

    def close(self) -> None: ...


class FailingStore(MemoryRecordStore):
    """Cannot be written while ``broken`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = threading.Event()
        self.attempts = 0

    def append(self, entries: Sequence[Entry]) -> list[int]:
        self.attempts += 1
        if self.broken.is_set():
            raise StoreError("disk full")
        return super().append(entries)


@dataclass
class Rig:
    line: Line
    store: FailingStore
    archive: MemoryArchive
    publisher: MemoryPublisher

    def records(self) -> list[InspectionRecord]:
        return sorted(self.store.find(limit=100_000), key=lambda record: record.seq)

    def run(self) -> list[InspectionRecord]:
        self.line.start()
        assert until(self.line.finished)
        self.line.stop()
        return self.records()


def until(condition: Callable[[], bool], patience_s: float = 20.0) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def rig(script: Iterable[Pixels | BadImage], inspector: Inspector | None = None, recipe: Recipe = RECIPE, **ports: object) -> Rig:
    store, archive = FailingStore(), MemoryArchive()
    publisher = MemoryPublisher(store, NAME)
    camera = TriggeredCamera(ScriptedSource("cam1", list(script)), EachFrame())
    line_ports = LinePorts(
        name=NAME,
        cameras=[camera],
        store=store,
        archive=archive,
        publisher=publisher,
        signal=NoSignal(),
        clock=SystemClock(),
        shift_of=lambda _at: "2026-11-24/early",
    )
    line_ports = replace(line_ports, **ports)
    return Rig(Line(line_ports, Setup(recipe, inspector or FakeInspector())), store, archive, publisher)


def test_every_part_gets_one_record_in_order() -> None:
    rig_ = rig(grey(level) for level in range(50, 250, 2))
    records = rig_.run()
    assert len(records) == 100
    assert [record.frame_number for record in records] == list(range(100))
    assert len({record.event_id for record in records}) == 100
    assert {record.shift for record in records} == {"2026-11-24/early"}
    assert rig_.line.status().triggers == 100
    assert set(rig_.archive.kept) == {record.event_id for record in records if record.image_ref}


def test_verdicts_follow_the_scores() -> None:
    records = rig([grey(99)] * 4, FakeInspector(script=[0.1, 0.5, 0.7, InspectionError("out of memory")])).run()
    assert [record.verdict.decision for record in records] == [Decision.OK, Decision.REVIEW, Decision.NG, Decision.NOT_INSPECTED]
    assert records[3].verdict.reason is Reason.MODEL_ERROR
    assert "out of memory" in records[3].verdict.detail
    assert records[3].score is None


def test_a_faulty_picture_is_not_inspected_and_no_evidence_for_a_halt() -> None:
    bad = BadImage("x.png: truncated", part_id="x", source_ref="x.png", fault=CameraFault.TRUNCATED)
    rig_ = rig([bad] * 20 + [grey(0)] + [grey(99)])
    records = rig_.run()
    assert [record.verdict.reason for record in records[:21]] == [Reason.CAMERA_FAULT] * 21
    assert records[0].part_id == "x"
    assert records[0].source_ref == "x.png"
    assert records[0].image_ref is None
    assert records[21].verdict.decision is not Decision.NOT_INSPECTED
    assert rig_.line.status().level is Action.NONE


def test_a_late_result_is_not_inspected() -> None:
    class SlowInspector(FakeInspector):
        def inspect(self, prepared: Prepared) -> Inspection:
            time.sleep(0.05)
            return super().inspect(prepared)

    records = rig([grey(99)] * 3, SlowInspector(), replace(RECIPE, deadline_ms=20)).run()
    assert {record.verdict.reason for record in records} == {Reason.DEADLINE_MISSED}


def test_a_run_of_rejects_raises_the_level_and_everything_is_reviewed_until_somebody_acknowledges() -> None:
    raised: list[Action] = []
    rig_ = rig(
        [grey(99)] * 30,
        FakeInspector(script=[0.9] * 8 + [0.1] * 22),
        level_raised=lambda state, _record: raised.append(state.level),
    )
    records = rig_.run()
    assert [record.verdict.reason for record in records[8:]] == [Reason.REVIEW_ALL] * 22
    assert raised[-1] is Action.HALT
    assert rig_.line.status().halts == 1
    events = [row.kind for row in rig_.store.pending(0, 1000)]
    assert events.count(EventKind.LINE) == len(raised)
    assert rig_.line.acknowledge_level() is Action.HALT
    assert rig_.line.status().level is Action.NONE


def test_the_signal_is_asked_to_stop_only_where_the_recipe_says_so() -> None:
    class Signal(NoSignal):
        def __init__(self) -> None:
            self.halts: list[str] = []
            self.results: list[int] = []

        def result(self, record: InspectionRecord) -> None:
            self.results.append(record.seq)

        def request_halt(self, reason: str) -> None:
            self.halts.append(reason)

    for stop_line in (False, True):
        signal = Signal()
        recipe = replace(RECIPE, halt=HaltPolicy(stop_line=stop_line))
        records = rig([grey(99)] * 10, FakeInspector(script=[0.9] * 10), recipe, signal=signal).run()
        assert signal.results == [record.seq for record in records]
        assert len(signal.halts) == int(stop_line)


def test_a_store_that_cannot_be_written_delays_verdicts_and_loses_none() -> None:
    rig_ = rig(grey(level) for level in range(50, 90))
    rig_.store.broken.set()
    rig_.line.start()
    assert until(lambda: rig_.store.attempts >= 2)
    assert not rig_.line.status().storing
    assert rig_.line.healthy()
    rig_.store.broken.clear()
    assert until(lambda: len(rig_.records()) == 40)
    rig_.line.stop()
    assert rig_.line.status().storing
    assert len({record.event_id for record in rig_.records()}) == 40


def test_a_verdict_that_the_store_held_up_past_the_deadline_was_never_issued() -> None:
    rig_ = rig([grey(99)], recipe=replace(RECIPE, deadline_ms=300))
    rig_.store.broken.set()
    rig_.line.start()
    assert until(lambda: rig_.store.attempts >= 2)
    rig_.store.broken.clear()
    assert until(lambda: len(rig_.records()) == 1)
    rig_.line.stop()
    assert rig_.records()[0].verdict.reason is Reason.DEADLINE_MISSED


def test_a_changeover_takes_effect_between_two_parts_and_mixes_nothing() -> None:
    other = replace(RECIPE, variant="other", review_at=0.0, reject_at=0.0)
    rig_ = rig([grey(99)] * 300, FakeInspector(script=[0.1] * 600))
    rig_.line.start()
    assert until(lambda: rig_.line.status().triggers >= 50)
    rig_.line.setup = Setup(other, rig_.line.setup.inspector)
    assert until(rig_.line.finished)
    rig_.line.stop()
    records = rig_.records()
    assert len(records) == 300
    variants = [record.variant for record in records]
    assert variants == sorted(variants)  # "cell" ... then "other" ..., never back
    assert all((record.verdict.decision is Decision.NG) == (record.variant == "other") for record in records)
    assert {record.recipe_version for record in records} == {RECIPE.version, other.version}


def test_a_live_part_that_finds_the_queue_full_is_not_inspected() -> None:
    hold = threading.Event()

    class HeldInspector(FakeInspector):
        def inspect(self, prepared: Prepared) -> Inspection:
            hold.wait(20)
            return super().inspect(prepared)

    rig_ = rig([grey(99)] * 20, HeldInspector())
    camera = rig_.line._ports.cameras[0]
    camera.lossless = False  # as a live camera would say
    rig_.line.start()
    assert until(lambda: len(rig_.records()) == 15)  # 1 in the model, 4 waiting
    hold.set()
    assert until(rig_.line.finished)
    rig_.line.stop()
    records = rig_.records()
    assert len(records) == 20
    assert sum(record.verdict.reason is Reason.OVERLOAD for record in records) == 15


def test_pausing_stops_self_triggered_parts_and_resuming_goes_on() -> None:
    rig_ = rig(grey(level % 200 + 50) for level in range(3000))
    rig_.line.start()
    assert until(lambda: rig_.line.status().triggers > 10)
    rig_.line.pause()
    assert rig_.line.status().paused
    time.sleep(0.5)
    held = rig_.line.status().triggers
    time.sleep(0.3)
    assert rig_.line.status().triggers == held < 3000
    rig_.line.resume()
    assert until(lambda: rig_.line.status().triggers > held)
    rig_.line.stop()


def test_an_observer_sees_every_record_after_its_commit() -> None:
    class Watcher:
        def __init__(self) -> None:
            self.seqs: list[int] = []

        def inspected(self, record: InspectionRecord, shot: object, inspection: object) -> None:
            self.seqs.append(record.seq)

    watcher = Watcher()
    records = rig([grey(99)] * 10, observers=[watcher]).run()
    assert watcher.seqs == [record.seq for record in records]


def test_a_challenge_part_is_recorded_as_such_and_is_no_evidence_for_a_halt() -> None:
    rig_ = rig([grey(99)] * 20, FakeInspector(script=[0.9] * 20), challenge_of=lambda _shot: "chal-1")
    records = rig_.run()
    assert {record.challenge_id for record in records} == {"chal-1"}
    assert rig_.line.status().level is Action.NONE


def test_stopping_twice_and_before_the_start_is_harmless() -> None:
    rig_ = rig([grey(99)])
    rig_.line.stop()
    rig_.line.stop()
    assert not rig_.line.status().running


def test_counters_survive_a_restart() -> None:
    rig_ = rig([grey(99)])
    line = Line(rig_.line._ports, rig_.line.setup, counts={("NG", "above_reject_at"): 7}, halts=2)
    assert (line.status().ng, line.status().triggers, line.status().halts) == (7, 7, 2)


def test_a_bug_in_a_model_or_an_observer_costs_one_part_its_verdict_and_not_the_line() -> None:
    class BuggyInspector(FakeInspector):
        def inspect(self, prepared: Prepared) -> Inspection:
            raise ZeroDivisionError("oops")

    class BuggyObserver:
        def inspected(self, record: InspectionRecord, shot: object, inspection: object) -> None:
            raise KeyError(record.part_id)

    records = rig([grey(99)] * 5, BuggyInspector(), observers=[BuggyObserver()]).run()
    assert [record.verdict.reason for record in records] == [Reason.MODEL_ERROR] * 5
    assert "oops" in records[0].verdict.detail


def test_an_alarm_elsewhere_raises_the_level_and_never_lowers_it() -> None:
    rig_ = rig([grey(99)])
    assert rig_.line.raise_level(Action.REVIEW_ALL, "detection rate fell")
    assert not rig_.line.raise_level(Action.ADVISE, "something milder")
    assert rig_.line.status().level is Action.REVIEW_ALL
    records = rig_.run()
    assert records[0].verdict.reason is Reason.REVIEW_ALL
