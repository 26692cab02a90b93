"""A made-up line whose true rates are known, put through the real stores: records, tickets, labels with second looks, alarms."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from scipy import stats

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.frame import ImageQuality
from qc.domain.record import Entry, Event, EventKind, InspectionRecord
from qc.domain.truth import ChallengePart, ChallengePass, PlanRecord, Purpose
from qc.domain.verdict import Decision, Reason, Verdict
from qc.goals.period import PeriodReader
from qc.label.draw import Draw, draw_ticket
from qc.label.intake import LabelIntake
from qc.label.plan import PlanBudget, SamplingPlan, design_plan
from qc.label.windows import Shifts
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.columns import ColumnReader
from qc.record.database import Database
from qc.record.quality_reader import QualityReader
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore

MONDAY = datetime(2026, 11, 2, 6, tzinfo=UTC)
SHIFTS = Shifts([("early", "06:00"), ("late", "14:00"), ("night", "22:00")], "UTC")
REVIEW_AT, REJECT_AT = 0.6, 0.75
TYPES = ("crack", "finger", "dark spot")


@dataclass(frozen=True)
class Rates:
    """True rates of a stretch of production; rejects are NG and REVIEW."""

    dr: float = 0.94
    fpr: float = 0.08
    prevalence: float = 0.03
    brightness: float = 118.0


class ManualClock:
    def __init__(self) -> None:
        self.time = MONDAY

    def now(self) -> datetime:
        return self.time

    def monotonic_ns(self) -> int:
        return int(self.time.timestamp() * 1e9)


class World:
    """Stores under ``directory`` and methods that fill them. Seeded; times are simulated."""

    def __init__(self, directory: Path, seed: int = 0) -> None:
        self.database = Database(directory / "qc.sqlite3", synchronous="NORMAL")
        self.store = SqliteRecordStore(self.database)
        self.truth = SqliteTruthStore(self.database)
        self.alarms = SqliteAlarmStore(self.database)
        self.clock = ManualClock()
        self.intake = LabelIntake(self.truth, self.clock)
        self.rng = np.random.default_rng(seed)
        self.reader = PeriodReader(
            ColumnReader(self.database), self.truth, self.alarms, QualityReader(self.database), line="line1"
        )
        self.count = 0

    def shift(
        self,
        number: int,
        *,
        parts: int = 800,
        rates: Rates = Rates(),
        variant: str = "solar-mono",
        model: str = "m1",
        labels: int = 100,
        answered: float = 1.0,
        challenges: int = 4,
    ) -> list[str]:
        """One shift, ``number`` counting from MONDAY; returns the event ids of its rejects."""
        start = MONDAY + timedelta(hours=8 * number)
        window = SHIFTS.window_of(start)
        rng = self.rng
        defective = rng.random(parts) < rates.prevalence
        cut = float(stats.norm.ppf(REVIEW_AT))
        mean = cut + np.where(defective, stats.norm.ppf(rates.dr), -stats.norm.ppf(1 - rates.fpr))
        score = stats.norm.cdf(rng.normal(mean, 1.0))
        plan = self._plan(variant, labels, parts)
        self.truth.add_plan(PlanRecord(variant, "r1", window.name, plan.policy, start, plan.to_json()))
        draw = Draw(plan.seed, plan.policy, Purpose.ESTIMATE)
        entries, asked, rejects = [], [], []
        for i in range(parts):
            at = start + timedelta(seconds=60 + i * 27000 / parts)
            record = self.record(float(score[i]), at, window.name, rates.brightness, variant=variant, model_id=model)
            rejected = record.verdict.decision is not Decision.OK
            ticket = draw_ticket(record, draw, *plan.stratum(float(score[i]), rejected), timedelta(days=3))
            entries.append(entry_of(record, ticket))
            if rejected:
                rejects.append(record.event_id)
            if ticket is not None and rng.random() < answered:
                asked.append((ticket, bool(defective[i])))
        begun = start + timedelta(hours=1)
        entries += [self._challenge(begun, window.name, rates, variant, model) for _ in range(challenges)]
        self.store.append(entries)
        self.clock.time = window.end
        for ticket, truth in asked:
            self.answer(ticket.ticket_id, truth)
        return rejects

    def answer(self, ticket_id: str, defective: bool, who: str = "anna") -> None:
        """A label and the second looks that follow from it, all of them right."""
        kind = str(self.rng.choice(TYPES, p=[0.6, 0.3, 0.1])) if defective else ""
        fields = {"ticket_id": ticket_id, "truth": "defect" if defective else "good", "labeller": who, "seconds_spent": 6}
        accepted = self.intake.submit({**fields, "defect_type": kind})
        for further in accepted.tickets:
            self.answer(further.ticket_id, defective, "bert" if who == "anna" else "carl")

    def halt(self, at: datetime, parts: list[str], *, note: str = "", minutes: float = 30.0) -> None:
        """An acknowledged halt alarm."""
        alarm = Alarm(
            alarm_id=f"halt-{at.isoformat()}",
            quantity="halt_policy",
            slice="solar-mono",
            state=AlarmState.CLEARED,
            cause=Cause.UNKNOWN,
            action=Action.HALT,
            evidence=8,
            threshold=8,
            message="8 NG among the last 10 judged parts",
            since=at,
            updated_at=at + timedelta(minutes=minutes),
            parts=tuple(parts),
            acknowledged_by="olga",
            note=note,
        )
        self.alarms.save(alarm)

    def _plan(self, variant: str, labels: int, parts: int) -> SamplingPlan:
        rng = np.random.default_rng(7)
        y = rng.random(20_000) < 0.03
        s = stats.norm.cdf(rng.normal(float(stats.norm.ppf(REVIEW_AT)) + np.where(y, 1.55, -1.405), 1.0))
        p = np.clip(s**6, 1e-4, 0.9)
        return design_plan(variant, s, s >= REVIEW_AT, p, PlanBudget(labels, parts))

    def record(self, score: float, at: datetime, window: str, brightness: float, **fields: str) -> InspectionRecord:
        self.count += 1
        name = f"e{self.count:07d}"
        if score >= REJECT_AT:
            verdict = Verdict(Decision.NG, Reason.ABOVE_REJECT)
        elif score >= REVIEW_AT:
            verdict = Verdict(Decision.REVIEW, Reason.BETWEEN_THRESHOLDS)
        else:
            verdict = Verdict(Decision.OK, Reason.BELOW_REVIEW)
        light = brightness + float(self.rng.normal(0, 4))
        values = {"variant": "solar-mono", "model_id": "m1", "recipe_version": "r1", "model_sha256": "0" * 64} | fields
        return InspectionRecord(
            event_id=name,
            part_id=f"part-{name}",
            camera_id=f"cam{1 + self.count % 2}",
            captured_at=at,
            decided_at=at,
            verdict=verdict,
            review_at=REVIEW_AT,
            reject_at=REJECT_AT,
            score=score,
            quality=ImageQuality(light, 40 + light / 20, 300 + light, 2.0, 0.5),
            shift=window,
            **values,
        )

    def _challenge(self, at: datetime, window: str, rates: Rates, variant: str, model: str) -> Entry:
        challenge_id = f"C{self.count % 7}-{variant}"
        known = {part.challenge_id for part in self.truth.challenge_parts()}
        if challenge_id not in known:
            self.truth.register_challenge(
                ChallengePart(challenge_id, f"barcode-{challenge_id}", variant, "crack", "major", MONDAY)
            )
        score = 0.9 if self.rng.random() < rates.dr else 0.2
        record = self.record(score, at, window, rates.brightness, variant=variant, model_id=model)
        record = replace(record, challenge_id=challenge_id)
        rejected = record.verdict.decision is not Decision.OK
        self.truth.add_pass(ChallengePass(record.event_id, challenge_id, window, at, rejected))
        return entry_of(record, None)


def entry_of(record: InspectionRecord, ticket: object) -> Entry:
    body = {"schema": "qc.inspection/1", "event_id": record.event_id, "ts": record.decided_at.isoformat()}
    event = Event(EventKind.INSPECTION, record.event_id, record.decided_at, body)
    return Entry(event, record, ticket)
