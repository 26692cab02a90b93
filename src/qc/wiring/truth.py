"""The truth street of one edge, joined: who gets labelled, what people said, challenge parts, and the monitor over it all."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from qc.domain.errors import CommandError, UnknownPart
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import AlarmBook, AlarmStore, Clock, Command, CommandHandler, Publisher
from qc.domain.recipe import Recipe
from qc.domain.record import Entry, InspectionRecord, Json
from qc.domain.truth import Answer, SampleTicket
from qc.label.challenge import ChallengeRegister
from qc.label.intake import Accepted, LabelIntake
from qc.label.known import KnownParts
from qc.label.plan import SamplingPlan
from qc.label.queue import LabelQueue
from qc.label.sampler import Sampler
from qc.label.windows import PlannedStop, Shifts, StopCalendar, WeeklyStop
from qc.monitor.cause import Diagnosis
from qc.monitor.input_watch import InputSettings
from qc.monitor.label_watch import RateBounds
from qc.monitor.replay import replay
from qc.monitor.watch import INPUTS, Monitor, MonitorSettings
from qc.publish.events import label_request_event
from qc.publish.topics import EdgeName
from qc.record.archive import DiskImageArchive
from qc.record.columns import ColumnReader
from qc.record.evidence_log import EvidenceLog
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore
from qc.settings.line import LineSettings
from qc.wiring.planning import WindowPlanner
from qc.wiring.rates import RateBook

log = structlog.get_logger(__name__)

KPI_EVERY = timedelta(minutes=5)
_STATE = "monitor"
_HEAR_EVERY = 10
"""Rounds of upkeep (minutes) between two looks for labels of other processes."""
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PAGE = 5000


def stop_calendar(settings: LineSettings) -> StopCalendar:
    """The planned stops of the settings, in the shifts' time zone. Raises ConfigError."""
    monitoring = settings.monitoring
    weekly = [
        WeeklyStop(weekday=_WEEKDAYS.index(stop.weekday), start=stop.start, hours=stop.hours, reason=stop.reason)
        for stop in monitoring.weekly_stops
    ]
    dated = [PlannedStop(start=stop.start, end=stop.end, reason=stop.reason) for stop in monitoring.planned_stops]
    return StopCalendar(dated, weekly, settings.sampling.timezone)


class TruthStreet:
    """An observer of the line, and the one door for labels and challenge parts (MQTT, HTTP and CLI alike)."""

    def __init__(
        self,
        settings: LineSettings,
        recipes: Mapping[str, Recipe],
        *,
        name: EdgeName,
        store: SqliteRecordStore,
        truth: SqliteTruthStore,
        archive: DiskImageArchive,
        alarms: AlarmBook,
        alarm_store: AlarmStore,
        columns: ColumnReader,
        evidence: EvidenceLog,
        clock: Clock,
        publisher: Publisher,
    ) -> None:
        """columns: what rates and plans are computed from. evidence: where the monitor's e-values are kept over time."""
        sampling, monitoring = settings.sampling, settings.monitoring
        self.shifts = Shifts([(shift.name, shift.start) for shift in sampling.shifts], sampling.timezone)
        lifetime = timedelta(hours=sampling.ticket_hours)
        self.sampler = Sampler(truth, clock, recipes.values(), lifetime=lifetime)
        self.register = ChallengeRegister(truth, clock)
        self.intake = LabelIntake(
            truth, clock, defect_types=sampling.defect_types, known=KnownParts(truth, _HasPicture(archive), lifetime=lifetime)
        )
        self.queue = LabelQueue(truth, clock)
        self.monitor_bounds = bounds = RateBounds(
            monitoring.detection_floor, monitoring.false_positive_ceiling, monitoring.prevalence_ceiling
        )
        slices = max(1, len(recipes))
        inputs = InputSettings(
            lot_parts=monitoring.lot_parts,
            reference_lots=monitoring.reference_lots,
            streams=len(INPUTS) * slices * len(settings.cameras),
        )
        self.monitor = Monitor(
            alarms,
            MonitorSettings(default_bounds=bounds, slices=slices, inputs=inputs),
            self._plan_of,
            planned_stop=stop_calendar(settings).stop_at,
        )
        self._lifetime = lifetime
        self._heard: set[str] = set()
        self._rounds = 0
        self._enabled = sampling.enabled
        self._monitoring = monitoring.enabled
        self._name, self._store, self._truth, self._clock = name, store, truth, clock
        self.rates = RateBook(columns, truth, clock, self.shifts)
        self.planner = WindowPlanner(
            recipes, truth=truth, clock=clock, shifts=self.shifts, history=self.rates.history, alarms=alarms.open_alarms
        )
        self.canary_labelled: Callable[[InspectionRecord, Answer], None] = lambda _record, _answer: None
        """Labels of parts that a candidate decided: evidence about it, not about the active model."""
        self._alarm_store, self._publisher, self._evidence = alarm_store, publisher, evidence
        self._saved_at_lot = 0
        self._kpi_due = clock.now()
        self._labels_since_save = 0
        self._lock = threading.Lock()

    # --- what the line asks once per part -----------------------------------------------------------------

    def shift_of(self, at: datetime) -> str:
        return self.shifts.window_of(at).name

    def ticket_for(self, record: InspectionRecord) -> SampleTicket | None:
        return self.sampler.ticket_for(record) if self._enabled else None

    def challenge_of(self, shot: Shot) -> str | None:
        return self.register.recognise(shot.part_id, shot.camera_id)

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        if record.challenge_id is not None:
            challenge = self.register.passed(record)
            if challenge is not None and self._monitoring:
                self.monitor.on_pass(record.variant, challenge)
        elif self._monitoring:
            self.monitor.inspected(record, shot, inspection)

    def diagnosis(self, variant: str) -> Diagnosis:
        """What the monitor would name as the cause now, for an alarm that somebody else raises."""
        return self.monitor.diagnosis(variant)

    # --- labels and challenge parts -----------------------------------------------------------------------

    def commands(self) -> dict[str, CommandHandler]:
        """The commands that this street serves."""
        return {"label": self._label, "challenge": self._challenge, "relearn": self._relearn}

    def submit_label(self, fields: Mapping[str, object]) -> Accepted:
        """Check and store one label; further looks that it makes necessary are asked for. Raises LabelError."""
        accepted = self.intake.submit(fields)
        if not accepted.repeated:
            self._ask(accepted.tickets)
            self._tell_monitor(accepted)
        return accepted

    def _label(self, command: Command) -> Mapping[str, Json]:
        accepted = self.submit_label(dict(command.body))
        return {"label_id": accepted.label.label_id, "repeated": accepted.repeated, "further_looks": len(accepted.tickets)}

    def _challenge(self, command: Command) -> Mapping[str, Json]:
        challenge_id, part_id = str(command.body["challenge_id"]), command.body.get("part_id")
        try:
            part = self.register.part(challenge_id)
        except UnknownPart as error:
            raise CommandError("unknown_challenge", str(error)) from error
        self.register.announce(challenge_id, part_id=None if part_id is None else str(part_id))
        return {"challenge_id": challenge_id, "defect_type": part.defect_type, "severity": part.severity}

    def _relearn(self, command: Command) -> Mapping[str, Json]:
        variant, camera = str(command.body["variant"]), command.body.get("camera")
        known = self.monitor.cameras_of(variant)
        if not known or camera not in {None, *known}:
            there = f"there are {', '.join(known)}" if known else "no part of this variant was judged since it is watched"
            raise CommandError("unknown_reference", f"no reference of {variant!r} on camera {camera!r} is kept; {there}")
        cameras = known if camera is None else [str(camera)]
        for name in cameras:
            self.monitor.relearn(variant, name)
        self._alarm_store.put_state(_STATE, self.monitor.state(), self._clock.now())  # a crash must not bring the old one back
        log.info("reference_discarded", variant=variant, cameras=cameras, reason=command.body["reason"])
        return {"variant": variant, "cameras": list(cameras), "parts_needed": self.monitor.reference_parts}

    def _ask(self, tickets: Sequence[SampleTicket]) -> None:
        """Have further looks labelled: their requests look like any other."""
        entries = []
        for ticket in tickets:
            record = self._store.by_event(ticket.event_id)
            if record.image_ref is not None:
                request = label_request_event(
                    ticket, self._name, image_ref=record.image_ref, camera_id=record.camera_id, variant=record.variant
                )
                entries.append(Entry(request))
        if entries:
            self._store.append(entries)
            self._publisher.wake()

    def _tell_monitor(self, accepted: Accepted) -> None:
        ticket = self._truth.ticket(accepted.label.ticket_id)
        self._hear(self._store.by_event(ticket.event_id), Answer(ticket, accepted.label))

    def _hear(self, record: InspectionRecord, answer: Answer) -> None:
        """One label goes to whoever watches the model that judged its part."""
        if record.role == "canary":
            self.canary_labelled(record, answer)
        elif self._monitoring:
            self.monitor.on_answer(record.variant, answer)
        with self._lock:
            self._labels_since_save += 1
            self._heard.add(answer.label.label_id)

    # --- life ---------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take up the monitor where the last process left it, then feed it what it missed."""
        if not self._monitoring:
            return
        state = self._alarm_store.get_state(_STATE)
        if isinstance(state, dict):
            self.monitor.restore(state)
        since = self._clock.now() - timedelta(days=7)
        labelled = self._labelled(since)
        self._heard = {answer.label.label_id for _, answer in labelled}
        answers = [(record.variant, answer) for record, answer in labelled if record.role == "active"]
        passes = [(self._store.by_event(one.event_id).variant, one) for one in self._truth.passes(since=since)]
        replay(self.monitor, self._store.records_after(self.monitor.resume_after, page=_PAGE), answers, passes)
        self._saved_at_lot = self.monitor.lots

    def canary_answers(self, since: datetime) -> list[tuple[InspectionRecord, Answer]]:
        """Labels on parts that canaries decided, of tickets drawn since."""
        return [(record, answer) for record, answer in self._labelled(since) if record.role == "canary"]

    def _labelled(self, since: datetime) -> list[tuple[InspectionRecord, Answer]]:
        """Labels of tickets drawn since, with the part's record."""
        return [(self._store.by_event(answer.ticket.event_id), answer) for answer in self._truth.answers(since=since)]

    def _hear_others(self) -> None:
        """Labels that another process stored (``qc label import``). Feeding one twice would change nothing."""
        before = set(self._heard)
        answers = self._truth.answers(since=self._clock.now() - self._lifetime)
        for answer in answers:
            if answer.label.label_id not in before:
                self._hear(self._store.by_event(answer.ticket.event_id), answer)
        with self._lock:  # older ones cannot come again: the set must not grow for as long as the edge runs
            self._heard -= before - {answer.label.label_id for answer in answers}

    def upkeep(self) -> None:
        """What the telemetry's thread does once a minute: the monitor's state, the challenge register, plans and KPIs."""
        self._rounds += 1
        if self._rounds % _HEAR_EVERY == 0:
            self._hear_others()
        with self._lock:
            labels, self._labels_since_save = self._labels_since_save, 0
        if self._monitoring and (labels or self.monitor.lots != self._saved_at_lot):
            self._saved_at_lot = self.monitor.lots
            now = self._clock.now()
            self._alarm_store.put_state(_STATE, self.monitor.state(), now)
            readings = [
                (r.quantity, r.slice, r.log_value, r.log_threshold) for r in self.monitor.readings() if r.log_value is not None
            ]
            self._evidence.put(now, readings)
        self.register.reload()  # the CLI may have changed it
        if self._enabled:
            self.planner.upkeep()
            self._publish_kpi()

    def _publish_kpi(self) -> None:
        now = self._clock.now()
        if now >= self._kpi_due:
            self._kpi_due = now + KPI_EVERY
            self._publisher.state("kpi", self.rates.kpi())

    def use(self, recipe: Recipe, active: bool) -> None:
        """A recipe that will decide parts (active) or some of them (a candidate on trial)."""
        self.sampler.use(recipe)
        if active:
            self.planner.use(recipe)

    def lowest_q(self, variant: str, recipe_version: str, window: str) -> tuple[float, float]:
        """Smallest inclusion probabilities (rejected, accepted) of the plan in force; 1 without one."""
        plan = self._plan_of(variant, recipe_version, window)
        return (min(plan.rejected_q), min(plan.accepted_q)) if plan else (1.0, 1.0)

    def _plan_of(self, variant: str, recipe_version: str, window: str) -> SamplingPlan | None:
        plan = self._truth.plan(variant, recipe_version, window)
        return None if plan is None else SamplingPlan.from_json(plan.body)


class _HasPicture:
    """Whether the picture of an event is still in the archive."""

    def __init__(self, archive: DiskImageArchive) -> None:
        self._archive = archive

    def __call__(self, event_id: str) -> bool:
        try:
            self._archive.load(event_id)
        except UnknownPart:
            return False
        return True
