"""Everything that a report says, computed once: the page, the JSON and the terminal only show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qc.domain.alarm import Alarm
from qc.domain.evidence import EvidenceHour
from qc.domain.ports import TruthStore
from qc.domain.truth import Rate
from qc.evaluate.compare import Difference, independent_difference
from qc.evaluate.slices import SliceRates
from qc.goals import measures
from qc.goals.audit import Audit, AuditRules, audit
from qc.goals.cost import Consumption, CostModel, MonthlyCost, monthly_cost
from qc.goals.efficiency import Efficiency, efficiency, production_hours
from qc.goals.facts import LabelFacts, PartFacts, label_facts, part_facts
from qc.goals.halts import Halt, HaltSummary, halts_of, summary
from qc.goals.period import Period
from qc.goals.targets import Goal, GoalVerdict, judge
from qc.goals.timeline import FEWEST_DEFECTS, Bucket, timeline
from qc.monitor.watch import Reading
from qc.record.quality_reader import ShiftQuality

SHOWN_SLICES = ("variant", "camera", "line", "shift", "environment", "model", "recipe")
MONTHLY_COST = "monthly_cost"
_SHORTEST_DAYS = 1 / 24
"""A month is not projected from less than an hour of production."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the plant wants; costs None when it gave no prices."""

    goals: Sequence[Goal] = ()
    costs: CostModel | None = None
    audit: AuditRules = field(default_factory=AuditRules)
    standstill_s: float = 60.0


@dataclass(frozen=True, slots=True)
class DefectType:
    """share: of all parts, with this type of defect. detection_rate: of these."""

    name: str
    share: Rate
    detection_rate: Rate


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """All numbers of one period. rates: of the whole line. challenge: by variant, "" for all.

    buckets: rates over time, in steps that hold enough labels; shifts: in the finest steps, for what needs no labels."""

    since: datetime
    until: datetime
    first: datetime | None
    last: datetime | None
    parts: PartFacts
    labels: LabelFacts
    rates: Mapping[str, Rate]
    challenge: Mapping[str, Rate]
    buckets: Sequence[Bucket]
    shifts: Sequence[Bucket]
    slices: Mapping[str, Sequence[SliceRates]]
    defect_types: Sequence[DefectType]
    efficiency: Efficiency
    cost: MonthlyCost | None
    halts: Sequence[Halt]
    halt_summary: HaltSummary
    quality: Sequence[ShiftQuality]
    alarms: Sequence[Alarm]
    evidence: Sequence[EvidenceHour] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the before/after table. good: the change is proved and in the wanted direction; None: not proved."""

    metric: str
    before: Rate
    after: Rate
    difference: Difference
    good: bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """baseline and changes: only when a period to compare with was named. savings: money per month, baseline minus now."""

    line: str
    created_at: datetime
    now: PeriodReport
    goals: Sequence[GoalVerdict]
    audit: Audit
    readings: Sequence[Reading]
    baseline: PeriodReport | None = None
    changes: Sequence[Change] = ()
    savings: Difference | None = None


def build_report(
    line: str,
    created_at: datetime,
    period: Period,
    baseline: Period | None,
    wishes: Wishes,
    *,
    truth: TruthStore,
    readings: Sequence[Reading] = (),
) -> Report:
    """readings: e-values of the monitor as they stand now."""
    now = period_report(period, wishes, truth, created_at)
    goals = [judge(goal, _goal_rate(goal, period, now), created_at.date()) for goal in wishes.goals]
    audited = audit(period, wishes.audit)
    if baseline is None:
        return Report(line, created_at, now, goals, audited, readings)
    before = period_report(baseline, wishes, truth, created_at)
    changes = changes_between(before, now)
    saved = next((change.difference for change in changes if change.metric == MONTHLY_COST), None)
    return Report(line, created_at, now, goals, audited, readings, before, changes, saved and _turned(saved))


def period_report(period: Period, wishes: Wishes, truth: TruthStore, now: datetime) -> PeriodReport:
    """What one period says."""
    halts = halts_of(period.alarms, period.records.decided_us, truth.answers_of_event, least_s=wishes.standstill_s)
    halted = summary(halts)
    labels = label_facts(period, truth, now)
    escaped, hours = measures.escaped_share(period), production_hours(period.records)
    per_hour = wishes.costs.parts_per_hour if wishes.costs else None
    produced = efficiency(period.judged, period.rejected, escaped, halted, hours=hours, parts_per_hour=per_hour)
    cost = None
    if wishes.costs is not None and period.days >= _SHORTEST_DAYS:
        used = Consumption(
            parts=period.judged,
            days=period.days,
            escaped=escaped,
            thrown_out=measures.thrown_out_share(period),
            reviewed=period.reviewed,
            label_s=labels.seconds,
            halted_min=halted.minutes,
        )
        cost = monthly_cost(wishes.costs, used)
    rates = dict(measures.rates_by(period)[0].rates)
    return PeriodReport(
        since=period.since,
        until=period.until,
        first=period.first,
        last=period.last,
        parts=part_facts(period),
        labels=labels,
        rates=rates,
        challenge=period.challenge,
        buckets=timeline(period, fewest_defects=FEWEST_DEFECTS),
        shifts=timeline(period),
        slices={name: measures.rates_by(period, (name,)) for name in SHOWN_SLICES} if period.judged else {},
        defect_types=_defect_types(period),
        efficiency=produced,
        cost=cost,
        halts=halts,
        halt_summary=halted,
        quality=period.quality,
        alarms=period.alarms,
        evidence=period.evidence,
    )


def changes_between(before: PeriodReport, after: PeriodReport) -> list[Change]:
    """The table of the reference story: rates, efficiency and money, before and after."""
    pairs = [(name, before.rates[name], after.rates[name]) for name in ("detection_rate", "false_positive_rate", "escapes_ppm")]
    pairs.append(("challenge_detection_rate", before.challenge[""], after.challenge[""]))
    pairs.append(("review_rate", before.rates["review_rate"], after.rates["review_rate"]))
    pairs.append(("production_efficiency", before.efficiency.rate, after.efficiency.rate))
    if before.cost is not None and after.cost is not None:
        pairs.append((MONTHLY_COST, before.cost.total, after.cost.total))
    return [_change(*pair) for pair in pairs]


def _change(metric: str, before: Rate, after: Rate) -> Change:
    difference = independent_difference(before, after)
    good = None
    if difference.significant and difference.estimate is not None:
        rises = metric in ("detection_rate", "challenge_detection_rate", "production_efficiency")
        good = (difference.estimate > 0) is rises
    return Change(metric, before, after, difference, good)


def _goal_rate(goal: Goal, period: Period, report: PeriodReport) -> Rate:
    if goal.metric == "production_efficiency":
        return report.efficiency.rate
    if not goal.slice and goal.metric in report.rates:
        return report.rates[goal.metric]
    return measures.rate_of(period, goal.metric, goal.slice)


def _defect_types(period: Period) -> list[DefectType]:
    """Most frequent first."""
    rates = measures.defect_types(period)
    rows = [DefectType(name or "(not named)", share, rates[name]) for name, share in measures.share_of_types(period).items()]
    return sorted(rows, key=lambda row: -(row.share.estimate or 0.0))


def _turned(change: Difference) -> Difference:
    """after - before as before - after."""
    if change.estimate is None or change.low is None or change.high is None:
        return change
    values = (-change.estimate, -change.high, -change.low)
    return Difference(*values, change.n, change.found, change.method, change.confidence)
