import json
import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.publish.samples import AT, NAME, STATES, alarm, record, ticket

from qc.domain.errors import PublishError
from qc.domain.record import Event, EventKind
from qc.domain.verdict import Decision, Reason, Verdict
from qc.publish.events import alarm_event, inspection_event, label_request_event, line_event, new_event_id
from qc.publish.payloads import EVENT_PAYLOADS, rfc3339, state_payload, to_json


def check(event: Event) -> dict:
    """The body obeys its model once the store has added seq; returns what a consumer parses."""
    raw = to_json({**event.body, "seq": 7})
    EVENT_PAYLOADS[event.kind].model_validate_json(raw)
    return json.loads(raw)


def test_inspection_is_flat_and_complete() -> None:
    one = record()
    event = inspection_event(one, NAME)
    body = check(event)
    assert event.kind is EventKind.INSPECTION
    assert event.event_id == body["event_id"] == one.event_id
    assert body["ts"] == "2026-11-24T08:15:07.163Z"
    assert (body["verdict"], body["score"], body["threshold"], body["review_at"]) == ("NG", 0.71, 0.6, 0.3)
    assert body["model_sha256"] == "ab" * 32
    assert body["model_sha256"].startswith(body["model_version"])
    assert body["inference_ms"] == 20.25
    assert body["regions"] == [{"x": 0.1, "y": 0.2, "width": 0.05, "height": 0.05, "area": 0.0012, "peak": 0.93}]
    assert [key for key, value in body.items() if isinstance(value, dict)] == []


scores = st.none() | st.floats(0, 1) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(
    score=scores,
    decision=st.sampled_from(Decision),
    reason=st.sampled_from(Reason),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    at=st.datetimes(min_value=AT.replace(year=2000, tzinfo=None), timezones=st.just(timezone(timedelta(hours=9, minutes=30)))),
)
def test_every_record_gives_a_valid_payload_without_nan(
    score: float | None, decision: Decision, reason: Reason, text: str, at: datetime
) -> None:
    one = replace(record(), score=score, verdict=Verdict(decision, reason, text), source_ref=text, part_id=text, decided_at=at)
    body = check(inspection_event(one, NAME))
    assert body["score"] == (score if score is not None and math.isfinite(score) else None)
    assert (body["verdict"], body["part_id"]) == (decision.value, text)
    assert abs(datetime.fromisoformat(body["ts"]) - at) < timedelta(milliseconds=1)


def test_alarm_and_its_update_are_two_events_of_one_alarm() -> None:
    opened, updated = alarm_event(alarm(), NAME), alarm_event(replace(alarm(), updates=1), NAME)
    assert opened.event_id != updated.event_id
    assert check(opened)["alarm_id"] == check(updated)["alarm_id"] == "A-1"
    assert check(opened)["evidence_by_cause"] == {"camera_fault": "no camera fault in the window"}


def test_infinite_evidence_becomes_null() -> None:
    assert check(alarm_event(alarm(evidence=math.inf), NAME))["evidence"] is None


def test_label_requests_are_blind() -> None:
    event = label_request_event(ticket(), NAME, image_ref="/api/images/abc.jpg", camera_id="top", variant="mono")
    body = check(event)
    assert body["ticket_id"] == "T-1"
    text = json.dumps(body).lower()
    for secret in (
        "score",
        "verdict",
        "stratum",
        "ng/0.6",
        "0.0625",
        "challenge",
        "purpose",
        "plan-77",
        "threshold",
        ticket().event_id[:8],
    ):
        assert secret not in text.replace(event.event_id, ""), secret


def test_line_events_carry_who_and_flat_detail() -> None:
    event = line_event("changeover", NAME, at=AT, who="anna", via="mqtt", detail={"variant": "poly", "rate": math.nan})
    body = check(event)
    assert (body["what"], body["who"], body["detail"]) == ("changeover", "anna", {"variant": "poly", "rate": None})


def test_naive_times_are_refused() -> None:
    with pytest.raises(PublishError, match="no zone"):
        rfc3339(AT.replace(tzinfo=None))


def test_event_ids_sort_by_time() -> None:
    ids = [new_event_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert ids[0][14] == "7"


@pytest.mark.parametrize("name", STATES)
def test_every_state_has_a_valid_example(name: str) -> None:
    payload, schema = state_payload(name, STATES[name])
    assert json.loads(payload)["schema"] == schema == f"qc.state.{name}/1"


def test_a_state_may_tell_more_but_not_wrongly() -> None:
    more = json.loads(state_payload("line", {"state": "running", "speed": 3.5})[0])
    assert more["speed"] == 3.5
    with pytest.raises(PublishError, match=r"state counters: ok"):
        state_payload("counters", {**STATES["counters"], "ok": "three"})
    with pytest.raises(PublishError, match="no state topic 'weather'; there are camera"):
        state_payload("weather", {})


def test_json_never_holds_nan_or_lone_surrogates() -> None:
    raw = to_json({"a": [math.nan, {"b": math.inf}], "name": "part-\udcff"})
    assert json.loads(raw, parse_constant=pytest.fail) == {"a": [None, {"b": None}], "name": "part-?"}
