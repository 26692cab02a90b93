"""The monitor: reads records, labels and challenge passes as they come, and reports to the alarm book what left its bounds.

``inspected`` is called by the line after each commit and costs microseconds; the work is done once per lot, label or window.
Everything it knows is a function of the stored records, labels and passes (see ``replay``). Slices: labels by variant; inputs
by variant and camera.

Restart rules. A new model starts everything of its variant anew; new thresholds start the label evidence anew (the bound is on what
the line does now) and keep the reference of the inputs, so that an unwanted change of decisions is seen. An acknowledged
alarm restarts its evidence: it clears when ``quiet_for`` lots (or windows) bring nothing new, and opens again otherwise.
Parts during a planned stop are not looked at. Canary parts belong to the release gate, not to this monitor.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog

from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.ports import AlarmBook
from qc.domain.record import InspectionRecord, Json
from qc.domain.truth import Answer, ChallengePass, Purpose
from qc.domain.verdict import Decision, Reason
from qc.label.plan import SamplingPlan
from qc.label.strata import is_accepted_stratum
from qc.monitor.cause import Diagnosis, Findings, diagnose
from qc.monitor.evidence import log_threshold
from qc.monitor.findings import REJECT_RATE_FALL, findings_of, message, parts_for, telling_parts
from qc.monitor.follow_up import FollowUp
from qc.monitor.input_watch import EMBEDDING, QUALITY, REJECT_RATE, SCORE, InputSettings, InputWatch
from qc.monitor.label_watch import DETECTION, FALSE_POSITIVE, PREVALENCE, LabelWatch, RateBounds

log = structlog.get_logger(__name__)

INPUTS = (SCORE, QUALITY, EMBEDDING, REJECT_RATE)
RATES = (DETECTION, FALSE_POSITIVE, PREVALENCE)
LATEST = 500
"""Parts of a camera over which the share of camera faults is taken."""
FORMAT = 2
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """bounds: by variant; default_bounds for the others. slices: variants that will be watched.

    horizon_windows, alpha: P(any false alarm on labels, over all slices and quantities, in so many windows) <= alpha.
    open_windows: how many windows a label may be late. third_look: as ``label.adjudication.LookRules``. quiet_for: see the module.
    """

    default_bounds: RateBounds = field(default_factory=RateBounds)
    bounds: Mapping[str, RateBounds] = field(default_factory=dict)
    inputs: InputSettings = field(default_factory=InputSettings)
    slices: int = 1
    horizon_windows: int = 1095
    alpha: float = 0.05
    open_windows: int = 12
    third_look: bool = True
    quiet_for: int = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One quantity of one slice: natural logarithms of the e-value (None: nothing to say yet) and of the alarm threshold."""

    quantity: str
    slice: str
    log_value: float | None
    log_threshold: float


class Monitor:
    """Observer of the line. Thread-safe: labels arrive on other threads than records.

    plan_of(variant, recipe_version, window): the plan in force, asked once per window; None when no labels are drawn.
    """

    def __init__(
        self,
        alarms: AlarmBook,
        settings: MonitorSettings,
        plan_of: Callable[[str, str, str], SamplingPlan | None],
        *,
        planned_stop: Callable[[datetime], str | None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._plan_of = plan_of
        self._planned_stop = planned_stop
        self._lock = threading.RLock()
        self._follow_up = FollowUp(alarms, settings.quiet_for)
        self._labels: dict[str, LabelWatch] = {}
        self._inputs: dict[tuple[str, str], InputWatch] = {}
        self._current: dict[str, tuple[str, str, str]] = {}
        """Model, recipe version and window by variant, from its latest part."""
        self._since: dict[str, datetime] = {}
        """When a variant's model or thresholds last changed: tickets from before do not count."""
        self._faults: dict[str, deque[bool]] = {}
        self._catching_up = False
        self._seen = 0
        self._resume_after = 0
        self.lots = 0
        """Lots completed so far. The state is worth saving when this has grown."""

    # --- what comes in ------------------------------------------------------------------------------------

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.on_record(record)

    def on_record(self, record: InspectionRecord) -> None:
        """One committed record, in the order of seq. Records up to the restored state only complete its unfinished lots."""
        if record.challenge_id is not None or record.role != "active" or self._planned_stop(record.decided_at) is not None:
            return
        with self._lock:
            again = 0 < record.seq <= self._seen
            if not again:
                self._seen = record.seq
                self._count_fault(record)
            if record.score is None or record.verdict.decision is Decision.NOT_INSPECTED:
                return
            if not again:
                self._notice_changes(record)
            key = (record.variant, record.camera_id)
            watch = self._inputs.get(key)
            if watch is None:
                watch = self._inputs[key] = InputWatch(self._settings.inputs)
            full_lot = watch.update(record)
            self.lots += full_lot
            if full_lot:
                for quantity in INPUTS:
                    self._judge_input(quantity, key, watch)
            elif watch.reject_rate_left and not again and not self._follow_up.is_raised((REJECT_RATE, _name(key))):
                # Within the lot it is told once; updates follow with the lots.
                self._judge_input(REJECT_RATE, key, watch)
            if not again and (full_lot or watch.worth_another_look):
                self._refresh_causes(key[0], name_only=not full_lot)

    def on_answer(self, variant: str, answer: Answer) -> None:
        """One stored label, corrections included, in the order in which they were stored. Feeding it again changes nothing."""
        ticket, label = answer.ticket, answer.label
        if ticket.purpose not in (Purpose.ESTIMATE, Purpose.ADJUDICATE):
            return
        with self._lock:
            if ticket.created_at < self._since.get(variant, _LONG_AGO):
                return
            counted = self._label_watch(variant).label(
                ticket.window,
                ticket.event_id,
                q=ticket.inclusion_probability,
                rejected=not is_accepted_stratum(ticket.stratum),
                review_round=label.review_round,
                truth=label.truth,
            )
            if not counted:
                log.info("label_not_counted", ticket=ticket.ticket_id, window=ticket.window)
            self._judge_labels(variant)

    def on_pass(self, variant: str, challenge: ChallengePass) -> None:
        """One pass of a challenge part. Feeding it again changes nothing."""
        with self._lock:
            if challenge.passed_at >= self._since.get(variant, _LONG_AGO):
                self._label_watch(variant).challenge(challenge.window, challenge.event_id, missed=not challenge.rejected)
                self._judge_labels(variant)

    @contextmanager
    def catching_up(self) -> Iterator[None]:
        """While stored labels and passes are fed in bulk: they are judged once, at the end."""
        with self._lock:
            self._catching_up = True
            try:
                yield
            finally:
                self._catching_up = False
            for variant in sorted(self._labels):
                self._judge_labels(variant)

    def relearn(self, variant: str, camera_id: str) -> None:
        """An engineer says: what is seen from now on is normal."""
        with self._lock:
            if (watch := self._inputs.get((variant, camera_id))) is not None:
                watch.relearn()
            for quantity in INPUTS:
                self._follow_up.forget((quantity, f"{variant}/{camera_id}"))

    def cameras_of(self, variant: str) -> list[str]:
        """Cameras that have seen the variant."""
        with self._lock:
            return sorted(camera for of, camera in self._inputs if of == variant)

    @property
    def reference_parts(self) -> int:
        """Parts that a reference takes."""
        return self._settings.inputs.lot_parts * self._settings.inputs.reference_lots

    # --- what is known ------------------------------------------------------------------------------------

    def readings(self) -> list[Reading]:
        """Every watched quantity, for the console and the report."""
        with self._lock:
            bar = self._label_threshold()
            rates = [
                Reading(quantity, variant, _finite(watch.log_value(quantity)), bar)
                for variant, watch in sorted(self._labels.items())
                for quantity in RATES
            ]
            return rates + [
                Reading(quantity, _name(key), _finite(watch.log_value(quantity)), watch.log_threshold(quantity))
                for key, watch in sorted(self._inputs.items())
                for quantity in INPUTS
            ]

    @property
    def resume_after(self) -> int:
        """After ``restore``: feed the stored records with a higher seq, then the labels and passes of the last days."""
        return self._resume_after

    def state(self) -> dict[str, Json]:
        """JSON. Inputs as of each slice's last full lot, the rest as of now."""
        with self._lock:
            return {
                "format": FORMAT,
                "seen": self._seen,
                "labels": {variant: watch.state() for variant, watch in self._labels.items()},
                "inputs": [
                    [variant, camera, watch.unfinished, watch.state()] for (variant, camera), watch in self._inputs.items()
                ],
                "current": {variant: list(names) for variant, names in self._current.items()},
                "since": {variant: moment.isoformat() for variant, moment in self._since.items()},
                "quiet": self._follow_up.state(),
            }

    def restore(self, state: Mapping[str, Json]) -> None:
        """Take over a stored state; one of another format is ignored, and the monitor learns anew."""
        if state.get("format") != FORMAT:
            log.warning("monitor_state_ignored", format=state.get("format"), known=FORMAT)
            return
        labels, inputs, current, since = state["labels"], state["inputs"], state["current"], state["since"]
        assert isinstance(labels, dict)
        assert isinstance(inputs, list)
        assert isinstance(current, dict)
        assert isinstance(since, dict)
        with self._lock:
            self._seen = self._resume_after = int(str(state["seen"]))
            self._current = {variant: _three(names) for variant, names in current.items()}
            self._since = {variant: datetime.fromisoformat(str(moment)) for variant, moment in since.items()}
            self._follow_up.restore(state["quiet"])
            for variant, body in labels.items():
                assert isinstance(body, dict)
                self._label_watch(variant).restore(body)
            for item in inputs:
                assert isinstance(item, list)
                name, camera, unfinished, lots = item
                assert isinstance(lots, dict)
                watch = self._inputs[str(name), str(camera)] = InputWatch(self._settings.inputs)
                watch.restore(lots)
                if unfinished:
                    self._resume_after = min(self._resume_after, watch.resume_after)

    # --- deciding -----------------------------------------------------------------------------------------

    def _count_fault(self, record: InspectionRecord) -> None:
        faults = self._faults.get(record.camera_id)
        if faults is None:
            faults = self._faults[record.camera_id] = deque(maxlen=LATEST)
        faults.append(record.verdict.reason is Reason.CAMERA_FAULT)

    def _notice_changes(self, record: InspectionRecord) -> None:
        """Another model, other thresholds or another window than at the variant's part before."""
        variant, now = record.variant, (record.model_sha256, record.recipe_version, record.shift)
        before = self._current.get(variant)
        if before == now:
            return
        self._current[variant] = now
        watch = self._label_watch(variant)
        if before is not None and before[:2] != now[:2]:
            self._since[variant] = record.decided_at
            watch.restart()
            for quantity in RATES:
                self._follow_up.forget((quantity, variant))
            if before[0] != now[0]:
                for key in [key for key in self._inputs if key[0] == variant]:
                    self.relearn(*key)
            log.info("evidence_restarted", variant=variant, new_model=before[0] != now[0])
        plan = self._plan_of(variant, record.recipe_version, record.shift)
        q_rejected, q_accepted = (min(plan.rejected_q), min(plan.accepted_q)) if plan else (1.0, 1.0)
        watch.start(record.shift, q_rejected=q_rejected, q_accepted=q_accepted)
        for quantity in RATES:
            self._follow_up.quiet((quantity, variant))

    def _judge_labels(self, variant: str) -> None:
        if self._catching_up:
            return
        watch, bar = self._label_watch(variant), self._label_threshold()
        for quantity in RATES:
            self._follow_up.restart_if_acknowledged((quantity, variant), partial(watch.restart_evidence, quantity))
            if (value := watch.log_value(quantity)) >= bar:
                self._report(quantity, variant, variant, (value, bar), watch.telling(quantity))

    def _judge_input(self, quantity: str, key: tuple[str, str], watch: InputWatch) -> None:
        name = _name(key)
        self._follow_up.restart_if_acknowledged((quantity, name), partial(watch.restart, quantity))
        value, bar = watch.log_value(quantity), watch.log_threshold(quantity)
        if value >= bar:
            said = REJECT_RATE_FALL if quantity == REJECT_RATE and not watch.rejects_rose else ""
            self._report(quantity, name, key[0], (value, bar), telling_parts(quantity, watch), said=said)
        else:
            self._follow_up.quiet((quantity, name))

    def diagnosis(self, variant: str) -> Diagnosis:
        """What would be named now as the cause if something else raised an alarm: the halt policy asks."""
        with self._lock:
            return diagnose(self._findings(variant))

    def _report(
        self, quantity: str, name: str, variant: str, values: tuple[float, float], parts: list[str], *, said: str = ""
    ) -> None:
        """said: whose words and grades are used, the quantity's own when empty."""
        diagnosis = diagnose(self._findings(variant))
        said = said or quantity
        self._follow_up.report((quantity, name), values, diagnosis, message(said, name, *values), parts, graded=said)

    def _refresh_causes(self, variant: str, *, name_only: bool) -> None:
        watches = [watch for (of, _), watch in self._inputs.items() if of == variant]
        self._follow_up.refresh(
            variant, lambda: diagnose(self._findings(variant)), lambda cause: parts_for(cause, watches), name_only=name_only
        )

    def _findings(self, variant: str) -> Findings:
        watches = {camera: watch for (of, camera), watch in self._inputs.items() if of == variant}
        shares = [sum(faults) / len(faults) for camera in watches if (faults := self._faults.get(camera))]
        return findings_of(
            watches,
            self._label_watch(variant),
            faulty_share=max(shares, default=0.0),
            label_threshold=self._label_threshold(),
        )

    def _label_watch(self, variant: str) -> LabelWatch:
        watch = self._labels.get(variant)
        if watch is None:
            s = self._settings
            bounds = s.bounds.get(variant, s.default_bounds)
            watch = self._labels[variant] = LabelWatch(bounds, keep=s.open_windows, third_look=s.third_look)
        return watch

    def _label_threshold(self) -> float:
        s = self._settings
        return log_threshold(s.horizon_windows, s.slices * len(RATES), s.alpha)


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]}/{key[1]}"


def _finite(value: float) -> float | None:
    return None if value == float("-inf") else float(value)


def _three(names: Json) -> tuple[str, str, str]:
    assert isinstance(names, list)
    return str(names[0]), str(names[1]), str(names[2])
