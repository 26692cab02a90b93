"""From SQLite to rates: a simulated production through the real stores, sampler and plan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from qc.domain.clock import SystemClock
from qc.domain.record import Entry, Event, EventKind, InspectionRecord
from qc.domain.truth import Label, PlanRecord, Purpose, Truth
from qc.domain.verdict import Decision, Reason, Verdict
from qc.evaluate.agreement import inspector_rates
from qc.evaluate.production import agreement_answers, challenge_rate, production
from qc.evaluate.slices import slice_rates
from qc.label.plan import SamplingPlan
from qc.label.sampler import Sampler
from qc.record.columns import ColumnReader
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
PLANS = {
    "one": SamplingPlan("cell", (0.2,), (), (0.05, 0.3), (0.5,), seed=3),
    "two": SamplingPlan("cell", (), (), (0.1,), (0.4,), seed=4),
}
GOOD = InspectionRecord(
    event_id="",
    part_id="",
    camera_id="cam1",
    captured_at=START,
    decided_at=START,
    verdict=Verdict(Decision.OK, Reason.BELOW_REVIEW),
    variant="cell",
    recipe_version="r1",
    model_id="m1",
    model_sha256="0" * 64,
    review_at=0.6,
    reject_at=0.6,
)


def make_record(i: int, score: float, shift: str) -> InspectionRecord:
    verdict = Verdict(Decision.NG, Reason.ABOVE_REJECT) if score >= 0.6 else GOOD.verdict
    at = START + timedelta(seconds=i)
    return replace(GOOD, event_id=f"e{i:06d}", part_id=f"p{i:06d}", decided_at=at, verdict=verdict, score=score, shift=shift)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """4,000 parts over two shifts and plans, all tickets answered truthfully by one labeller, second looks by another."""
    database = Database(tmp_path_factory.mktemp("line") / "qc.sqlite3", synchronous="NORMAL")
    store, truths = SqliteRecordStore(database), SqliteTruthStore(database)
    for window, plan in PLANS.items():
        truths.add_plan(PlanRecord("cell", "r1", window, plan.policy, START, plan.to_json()))
    sampler = Sampler(truths, SystemClock())
    rng = np.random.default_rng(5)
    defective = rng.random(4000) < 0.1
    score = np.where(defective, rng.beta(4, 1.5, 4000), rng.beta(1, 8, 4000))
    records = [make_record(i, float(score[i]), "one" if i < 2500 else "two") for i in range(4000)]
    # What must not enter: a challenge part, a canary's part, a part not inspected, a shift without plan.
    others = [
        replace(make_record(4000, 0.9, "two"), challenge_id="K1"),
        replace(make_record(4001, 0.1, "two"), challenge_id="K1"),
        replace(make_record(4002, 0.9, "two"), role="canary"),
        replace(make_record(4003, 0.5, "two"), score=None, verdict=Verdict(Decision.NOT_INSPECTED, Reason.CAMERA_FAULT)),
        make_record(4004, 0.5, "no plan"),
        # Reviewed only because the line reviewed everything: on the accepted side.
        replace(make_record(4005, 0.3, "two"), verdict=Verdict(Decision.REVIEW, Reason.REVIEW_ALL)),
    ]
    entries = []
    for record in [*records, *others]:
        ticket = sampler.ticket_for(record) if record.shift in PLANS and record.role == "active" else None
        event = Event(EventKind.INSPECTION, record.event_id, record.decided_at, {"event_id": record.event_id})
        entries.append(Entry(event, record, ticket))
    store.append(entries)
    tickets = [entry.ticket for entry in entries if entry.ticket]
    for ticket in tickets:
        i = int(ticket.event_id[1:])
        bad = i < 4000 and bool(defective[i])
        one = Label(f"l1-{i}", ticket.ticket_id, Truth.DEFECT if bad else Truth.GOOD, "crack" if bad else "", "ann", START)
        looks = ()
        if bad and ticket.stratum.startswith("a"):
            looks = (replace(ticket, ticket_id=f"again-{i}", purpose=Purpose.ADJUDICATE, review_round=2),)
        truths.add(one, looks)
        for again in looks:
            truths.add(Label(f"l2-{i}", again.ticket_id, Truth.DEFECT, "finger", "bob", START, review_round=2))
    yield database, truths, records, defective, tickets
    database.close()


def read(line, **kwargs):
    reader = ColumnReader(line[0])
    plans = {("cell", "r1", window): plan for window, plan in PLANS.items()}
    return production(reader.records(**kwargs), reader.labels(**kwargs), plans)


def test_counts_and_what_was_left_out(line):
    _, _, records, _, tickets = line
    found = read(line)
    assert len(found.parts.stratum) == len(records) + 1
    assert found.unplanned == 1
    assert (found.orphaned, found.unsure) == (0, 0)
    assert len(found.labels.row) == len(tickets)


def test_each_part_is_in_the_stratum_of_its_ticket(line):
    tickets = {ticket.event_id: ticket for ticket in line[4]}
    records = ColumnReader(line[0]).records()
    found = read(line)
    by_seq = {int(records.seq[i]): code for i, code in zip(found.row, found.parts.stratum, strict=True)}
    for seq, code in list(by_seq.items()):
        ticket = tickets.get(f"e{seq - 1:06d}")
        if ticket is not None:
            assert found.parts.stratum_names[code] == f"{ticket.stratum}@{ticket.policy}"


def test_rates_cover_the_truth_of_this_production(line):
    _, _, records, defective, _ = line
    (pooled,) = slice_rates(read(line).parts, read(line).labels)
    rejected = np.array([record.verdict.decision is Decision.NG for record in records])
    dr, fpr = rejected[defective].mean(), rejected[~defective].mean()
    assert pooled.rates["detection_rate"].low <= dr <= pooled.rates["detection_rate"].high
    assert pooled.rates["false_positive_rate"].low <= fpr <= pooled.rates["false_positive_rate"].high
    assert pooled.rates["detection_rate"].high - pooled.rates["detection_rate"].low < 0.3
    assert not pooled.rates["detection_rate"].unconfirmed
    assert pooled.rates["review_rate"].found == 1


def test_slices_by_shift(line):
    found = read(line)
    shifts = slice_rates(found.parts, found.labels, ("shift",))
    assert [s.key["shift"] for s in shifts] == ["one", "two"]
    assert sum(s.parts for s in shifts) == len(found.parts.stratum)


def test_defect_type_is_the_last_looks(line):
    found = read(line)
    accepted = ~found.parts.stratum_rejected[found.parts.stratum[found.labels.row]]
    types = np.array(found.labels.defect_types)[found.labels.defect_type]
    assert set(types[accepted & found.labels.defective]) == {"finger"}
    assert set(types[~accepted & found.labels.defective]) == {"crack"}


def test_time_range_takes_parts_and_their_labels(line):
    until = START + timedelta(seconds=1000)
    found = read(line, until=until)
    assert len(found.parts.stratum) == 1000
    assert found.orphaned == 0
    assert len(found.labels.row) == sum(ticket.created_at < until for ticket in line[4])


def test_labels_of_purged_records_are_counted_not_used(line):
    reader = ColumnReader(line[0])
    plans = {("cell", "r1", window): plan for window, plan in PLANS.items()}
    found = production(reader.records(since=START + timedelta(seconds=500)), reader.labels(), plans)
    assert found.orphaned == sum(ticket.created_at < START + timedelta(seconds=500) for ticket in line[4])


def test_challenge_parts_apart(line):
    rate = challenge_rate(ColumnReader(line[0]).records())
    assert (rate.found, rate.n) == (1, 2)
    assert challenge_rate(ColumnReader(line[0]).records(), variant="other").not_estimable


def test_agreement_reads_both_labellers(line):
    answers = agreement_answers(ColumnReader(line[0]).labels())
    assert len(inspector_rates(answers)) == 2


def test_empty_database_gives_empty_arrays(tmp_path):
    database = Database(tmp_path / "qc.sqlite3")
    reader = ColumnReader(database)
    found = production(reader.records(), reader.labels(), {})
    (pooled,) = slice_rates(found.parts, found.labels)
    assert pooled.parts == 0
    assert pooled.rates["detection_rate"].not_estimable
    assert challenge_rate(reader.records()).not_estimable
    assert inspector_rates(agreement_answers(reader.labels())) == []
    database.close()
