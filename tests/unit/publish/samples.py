"""Domain objects for the tests of publishing."""

from datetime import UTC, datetime, timedelta

from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.inspection import Region, StageTimings
from qc.domain.record import Entry, InspectionRecord
from qc.domain.truth import Purpose, SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.publish.events import inspection_event, line_event, new_event_id
from qc.publish.topics import EdgeName

NAME = EdgeName("plant-1", "hall_2", "line3", "edge-a")
AT = datetime(2026, 11, 24, 8, 15, 7, 123456, tzinfo=UTC)


def record(part_id: str = "P-1", score: float | None = 0.71, decision: Decision = Decision.NG) -> InspectionRecord:
    return InspectionRecord(
        event_id=new_event_id(),
        part_id=part_id,
        camera_id="top",
        captured_at=AT,
        decided_at=AT + timedelta(milliseconds=40),
        verdict=Verdict(decision, Reason.ABOVE_REJECT, "score above reject_at"),
        variant="mono",
        recipe_version="0123456789ab",
        model_id="pv-1",
        model_sha256="ab" * 32,
        review_at=0.3,
        reject_at=0.6,
        score=score,
        regions=(Region(0.1, 0.2, 0.05, 0.05, 0.0012, 0.93),),
        timings=StageTimings(0.2, 1.5, 20.25, 22.0),
        image_ref="/api/images/abc.jpg",
        shift="2026-11-24/early",
    )


def ticket() -> SampleTicket:
    return SampleTicket(
        ticket_id="T-1",
        event_id=new_event_id(),
        part_id="P-1",
        window="2026-11-24/early",
        stratum="NG/0.6-0.8",
        inclusion_probability=0.0625,
        policy="plan-77",
        purpose=Purpose.CHALLENGE,
        created_at=AT,
        expires_at=AT + timedelta(hours=8),
    )


def alarm(evidence: float = 120.0) -> Alarm:
    return Alarm(
        alarm_id="A-1",
        quantity="detection_rate",
        slice="variant=mono",
        state=AlarmState.OPEN,
        cause=Cause.MODEL_DECAY,
        action=Action.REVIEW_ALL,
        evidence=evidence,
        threshold=100.0,
        message="the detection rate fell below 90 %",
        since=AT,
        updated_at=AT + timedelta(minutes=3),
        parts=("e1", "e2"),
        evidence_by_cause=(("camera_fault", "no camera fault in the window"),),
    )


def part_entries(first: int, count: int) -> list[Entry]:
    """Inspections P-<number>, in order."""
    entries = []
    for number in range(first, first + count):
        one = record(f"P-{number}")
        entries.append(Entry(inspection_event(one, NAME), record=one))
    return entries


def line_entries(count: int) -> list[Entry]:
    return [Entry(line_event("note", NAME, at=AT, detail={"number": number})) for number in range(count)]


STATES: dict[str, dict] = {
    "camera": {"cameras": [{"camera": "top", "connected": True, "fault": None, "frames": 3, "dropped": 0}]},
    "model": {"model": "pv-1", "model_sha256": "ab" * 32, "provider": "CPUExecutionProvider"},
    "recipe": {
        "variant": "mono",
        "recipe_version": "0123456789ab",
        "model": "pv-1",
        "review_at": 0.3,
        "reject_at": 0.6,
        "deadline_ms": 200.0,
        "variants": ["mono", "poly"],
    },
    "counters": {"triggers": 3, "ok": 1, "ng": 1, "review": 1, "not_inspected": 0},
    "kpi": {"window": "2026-11-24/early", "metrics": {"detection_rate": {"estimate": 0.94, "low": 0.9, "high": 0.97, "n": 60}}},
    "line": {"state": "running"},
    "release": {
        "releases": [
            {
                "variant": "mono",
                "active": "pv-1",
                "previous": "pv-0",
                "shadow": {
                    "model": "pv-2",
                    "share": 1.0,
                    "since": "2026-11-24T08:00:00+00:00",
                    "offered": 90,
                    "skipped": 0,
                    "shed": 7,
                    "judged": 83,
                    "failed": 0,
                    "not_ticketed": 0,
                    "both_accept": 75,
                    "both_reject": 5,
                    "only_active_rejects": 2,
                    "only_candidate_rejects": 1,
                },
                "canary": {
                    "model": "pv-3",
                    "share": 0.1,
                    "since": "2026-11-24T08:00:00+00:00",
                    "until": "2026-11-24T09:00:00+00:00",
                    "parts": 12,
                    "errors": 1,
                    "labels": 4,
                    "withdrawn": True,
                    "reason": "1 parts could not be judged by the candidate",
                },
                "last_rollback": {
                    "at": "2026-11-24T07:00:00+00:00",
                    "action": "rollback",
                    "model": "pv-1",
                    "former": "pv-4",
                    "who": "qc",
                    "via": "line",
                    "reason": "its reject rate jumped above 13.0% within 9 parts",
                },
                "trouble": "",
            },
            {
                "variant": "poly",
                "active": "pv-1",
                "previous": None,
                "shadow": None,
                "canary": None,
                "last_rollback": None,
                "trouble": "",
            },
        ]
    },
    "alarms": {"open": 1, "alarms": [{"alarm_id": "A-1", "message": "the detection rate fell"}]},
}
