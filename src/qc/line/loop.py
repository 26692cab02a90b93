"""THE LOOP. Three stages, a thread each (capture: one per camera), joined by short queues:

capture   camera -> shot -> preprocessed             overlaps with the inference of the part before
judge     inspection -> verdict -> record            one part at a time, in order
keep      commit record and event -> signal, archive, observers, publisher (ledger.py)

Every trigger ends in exactly one record. A part is judged by the setup that was active when it was captured.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from qc.decide import halt
from qc.decide.judge import camera_fault, deadline_missed, judge, not_inspected, review_all
from qc.domain.alarm import Action
from qc.domain.errors import EndOfStream, InspectionError
from qc.domain.frame import CameraFault, Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import Camera
from qc.domain.verdict import Decision, Reason, Verdict
from qc.line.ledger import Ledger
from qc.line.parts import Job, Judged, make_record
from qc.line.ports import LinePorts
from qc.line.setup import Setup
from qc.line.status import LineStatus, Tally

log = structlog.get_logger(__name__)

_POLL_S = 0.2
"""How long a stage waits before it looks whether the line stops."""
_BATCH = 32
"""Most parts in one commit; on a slower line each part is committed by itself."""
_PATIENCE_S = 5.0
"""How long a stage may take to finish what it has in hand when the line stops."""

T = TypeVar("T")


class Line:
    """The running line. Assigning ``setup`` is the changeover: it takes effect with the next shot."""

    def __init__(
        self,
        ports: LinePorts,
        setup: Setup,
        *,
        choose: Callable[[Shot, Setup], Setup] = lambda _shot, setup: setup,
        queue_length: int = 4,
        counts: Mapping[tuple[str, str], int] | None = None,
        halts: int = 0,
    ) -> None:
        """choose: which setup judges a shot, given the active one (part-id rule, canary).

        queue_length: parts that may wait before the model; a live camera's part beyond it is NOT_INSPECTED (overload).
        counts, halts: parts by (decision, reason) and halts so far, so that the counters survive a restart.
        """
        self.setup = setup
        self._ports = ports
        self._choose = choose
        self._tally = Tally(counts)
        self._ledger = Ledger(ports, self._tally)
        self._halt = halt.HaltState(halts=halts)
        self._halt_lock = threading.Lock()
        self._jobs: queue.Queue[Job | None] = queue.Queue(queue_length)
        self._judged: queue.Queue[Judged | None] = queue.Queue(256)
        self._stopping = threading.Event()
        self._paused = False
        self._captures = [self._thread(f"capture-{camera.camera_id}", self._capture, camera) for camera in ports.cameras]
        self._judge_thread = self._thread("judge", self._judge_parts)
        self._keep_thread = self._thread("keep", self._keep_records)
        self._looked_ns = dict.fromkeys(("judge", "keep"), ports.clock.monotonic_ns())

    # --- stage 1: capture ---------------------------------------------------------------------------------

    def _capture(self, camera: Camera) -> None:
        while not self._stopping.is_set():
            try:
                shot = camera.next_shot(_POLL_S)
            except EndOfStream:
                log.info("camera_ended", camera=camera.camera_id)
                return
            except Exception:  # whatever a camera's code does, the line and the other cameras go on
                log.exception("camera_failed", camera=camera.camera_id)
                self._stopping.wait(1.0)
                continue
            if shot is not None:
                self._offer(self._prepare(shot), wait=camera.lossless)

    def _prepare(self, shot: Shot) -> Job:
        setup = self.setup
        try:
            setup = self._choose(shot, setup)
            return self._prepare_with(shot, setup)
        except Exception as error:  # the part still needs its one verdict
            log.exception("part_not_prepared", part=shot.part_id)
            return Job(shot, setup, verdict=not_inspected(Reason.MODEL_ERROR, f"preparing failed: {error}"))

    def _prepare_with(self, shot: Shot, setup: Setup) -> Job:
        if shot.fault is not None or shot.frame is None:
            return Job(shot, setup, verdict=camera_fault(shot.fault or CameraFault.NO_FRAME, shot.fault_detail))
        try:
            return Job(shot, setup, prepared=setup.inspector.prepare(shot.frame.pixels, setup.recipe))
        except Exception as error:
            if setup.fallback is None or setup.trial is None:
                raise
            setup.trial.failed(str(error))  # a candidate on trial costs no part
            return self._prepare_with(shot, setup.fallback)

    def _offer(self, job: Job, *, wait: bool) -> None:
        """Hand over to the judge. Files wait for their turn; a live part that finds the queue full is not inspected."""
        while True:
            try:
                self._jobs.put(job, block=wait, timeout=_POLL_S)
            except queue.Full:
                if wait and self._judge_thread.is_alive():
                    continue
                break
            return
        reason = f"{self._jobs.maxsize} parts were waiting for the model already"
        self._judged.put(self._conclude(job, not_inspected(Reason.OVERLOAD, reason)))

    # --- stage 2: judge -----------------------------------------------------------------------------------

    def _judge_parts(self) -> None:
        while (job := self._next(self._jobs, "judge")) is not None:
            try:
                judged = self._judge(job)
            except Exception as error:  # the part still needs its one verdict
                log.exception("part_not_judged", part=job.shot.part_id)
                judged = self._conclude(job, not_inspected(Reason.MODEL_ERROR, f"judging failed: {error}"))
            if (trial := judged.job.setup.trial) is not None:
                trial.judged(judged.record)
            self._judged.put(judged)

    def _judge(self, job: Job) -> Judged:
        setup = job.setup
        if setup.trial is not None and setup.fallback is not None and setup.trial.withdrawn():
            job = self._prepare_with(job.shot, setup.fallback)
        recipe = job.setup.recipe
        if job.prepared is None:
            return self._conclude(job, job.verdict or camera_fault(CameraFault.NO_FRAME))
        if (waited_ms := self._elapsed_ms(job.shot)) > recipe.deadline_ms:
            return self._conclude(job, deadline_missed(waited_ms, recipe))
        try:
            inspection = job.setup.inspector.inspect(job.prepared)
        except InspectionError as error:
            log.error("model_failed", part=job.shot.part_id, model=job.setup.inspector.card.model_id, error=str(error))
            if job.setup.trial is not None and job.setup.fallback is not None:
                job.setup.trial.failed(str(error))
                return self._judge(self._prepare_with(job.shot, job.setup.fallback))
            return self._conclude(job, not_inspected(Reason.MODEL_ERROR, str(error)))
        if (elapsed_ms := self._elapsed_ms(job.shot)) > recipe.deadline_ms:
            return self._conclude(job, deadline_missed(elapsed_ms, recipe), inspection)
        return self._decide(job, inspection)

    def _decide(self, job: Job, inspection: Inspection) -> Judged:
        recipe = job.setup.recipe
        verdict = judge(inspection.score, recipe)
        challenge_id = self._ports.challenge_of(job.shot)
        if challenge_id is not None:  # a known defective sent on purpose is no evidence against the process
            return self._conclude(job, verdict, inspection, challenge_id=challenge_id)
        with self._halt_lock:
            before = self._halt
            # A candidate's parts count in the evidence of the recipe that it stands in for; by its own they would restart it each time.
            version = (job.setup.fallback or job.setup).recipe.version
            after = self._halt = halt.step(before, verdict.decision, recipe.halt, version)
        raised = after if halt.LEVELS.index(after.level) > halt.LEVELS.index(before.level) else None
        if halt.reviews_everything(after):
            verdict = review_all(verdict)
        return self._conclude(job, verdict, inspection, raised=raised)

    def _conclude(
        self,
        job: Job,
        verdict: Verdict,
        inspection: Inspection | None = None,
        *,
        challenge_id: str | None = None,
        raised: halt.HaltState | None = None,
    ) -> Judged:
        record = make_record(
            job,
            verdict,
            inspection,
            decided_at=self._ports.clock.now(),
            elapsed_ms=self._elapsed_ms(job.shot),
            shift=self._ports.shift_of(job.shot.triggered_at),
            challenge_id=challenge_id,
        )
        return Judged(record, job, inspection, raised)

    # --- stage 3: keep ------------------------------------------------------------------------------------

    def _keep_records(self) -> None:
        ended = False
        while not ended:
            batch = [self._next(self._judged, "keep")]
            while batch[-1] is not None and len(batch) < _BATCH and not self._judged.empty():
                batch.append(self._judged.get())
            ended = batch[-1] is None
            if parts := [item for item in batch if item is not None]:
                self._ledger.keep(parts)

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start cameras and stages; returns at once."""
        for camera in self._ports.cameras:
            camera.start()
        for thread in (self._judge_thread, self._keep_thread, *self._captures):
            thread.start()

    def finished(self) -> bool:
        """Whether every camera has come to its end (only finite sources do)."""
        return not any(thread.is_alive() for thread in self._captures)

    def stop(self) -> None:
        """Take no more shots, then judge and record those in hand. Idempotent."""
        self._stopping.set()
        self._ledger.stop()
        for camera in self._ports.cameras:
            camera.close()
        for thread in self._captures:
            if thread.is_alive():
                thread.join(_PATIENCE_S)
        if self._judge_thread.is_alive():
            self._jobs.put(None)
            self._judge_thread.join(_PATIENCE_S)
        if self._keep_thread.is_alive():
            self._judged.put(None)
            self._keep_thread.join(_PATIENCE_S)

    def pause(self) -> None:
        """A planned stop: self-triggered cameras make no parts, commanded triggers are refused."""
        self._paused = True
        for camera in self._ports.cameras:
            camera.pause()

    def resume(self) -> None:
        for camera in self._ports.cameras:
            camera.resume()
        self._paused = False

    def acknowledge_level(self) -> Action:
        """Somebody looked at the halt policy's level: back to normal with fresh evidence. Returns the former level."""
        with self._halt_lock:
            before, self._halt = self._halt, halt.acknowledge(self._halt)
        return before.level

    def raise_level(self, level: Action, reason: str) -> bool:
        """An alarm elsewhere (rates, drift) asks for more caution; never lowers. Returns whether the level rose."""
        with self._halt_lock:
            before, self._halt = self._halt, halt.raise_to(self._halt, level, reason)
            rose = self._halt is not before
        if rose and level is Action.HALT and self.setup.recipe.halt.stop_line:
            self._ports.signal.request_halt(reason)
        return rose

    def healthy(self, patience_s: float = 10.0) -> bool:
        """Whether judge and keep are alive and have looked at their input within patience_s: what the watchdog asks.

        A store that cannot be written is no reason to restart: the stages wait for it on purpose.
        """
        now_ns = self._ports.clock.monotonic_ns()
        fresh = all(now_ns - looked_ns < patience_s * 1e9 for looked_ns in self._looked_ns.values())
        return (fresh or not self._ledger.storing) and self._judge_thread.is_alive() and self._keep_thread.is_alive()

    @property
    def waiting(self) -> int:
        """Parts before the model now."""
        return self._jobs.qsize()

    def status(self) -> LineStatus:
        """A snapshot for health checks, telemetry and the console."""
        recipe, card, state = self.setup.recipe, self.setup.inspector.card, self._halt
        counts = self._tally.decisions()
        p50, p99, worst = self._tally.latency_ms()
        return LineStatus(
            variant=recipe.variant,
            recipe_version=recipe.version,
            model_id=card.model_id,
            paused=self._paused,
            level=state.level,
            level_reason=state.reason,
            triggers=sum(counts.values()),
            ok=counts[Decision.OK],
            ng=counts[Decision.NG],
            review=counts[Decision.REVIEW],
            not_inspected=counts[Decision.NOT_INSPECTED],
            by_reason=self._tally.reasons(),
            halts=state.halts,
            parts_per_s=self._tally.parts_per_s(self._ports.clock.monotonic_ns()),
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            latency_max_ms=worst,
            queued=self._jobs.qsize(),
            storing=self._ledger.storing,
            running=self._judge_thread.is_alive() and not self._stopping.is_set(),
        )

    def _next(self, source: queue.Queue[T], stage: str) -> T:
        """The next item, however long it takes; shows the watchdog meanwhile that the stage looks."""
        while True:
            self._looked_ns[stage] = self._ports.clock.monotonic_ns()
            try:
                return source.get(timeout=_POLL_S)
            except queue.Empty:
                continue

    @staticmethod
    def _thread(name: str, target: Callable[..., None], *args: object) -> threading.Thread:
        return threading.Thread(target=target, args=args, name=f"qc-{name}", daemon=True)

    def _elapsed_ms(self, shot: Shot) -> float:
        return (self._ports.clock.monotonic_ns() - shot.triggered_ns) / 1e6
