"""What the client tools make of an edge's messages, readable or not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.unit.publish.samples import AT, NAME, STATES, record

from qc.commands.edge_state import EdgeState
from qc.commands.release_words import release_lines
from qc.commands.watch import edge_panel
from qc.domain.record import Json
from qc.publish.client import EdgeMessage
from qc.publish.events import inspection_event

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def message(leaf: str, body: dict[str, Json], *, retained: bool = False, at: datetime = NOW) -> EdgeMessage:
    return EdgeMessage(NAME, leaf, body, retained, at)


def state(ts: Json, *, word: str = "online", heartbeat_s: Json = 10.0) -> EdgeState:
    edge = EdgeState()
    edge.take(message("status", {"state": word, "ts": ts, "heartbeat_s": heartbeat_s}, retained=True))
    return edge


@pytest.mark.parametrize(
    ("edge", "condition"),
    [
        (EdgeState(), "unknown"),
        (state("2026-11-24T11:59:50Z"), "online"),
        (state("2026-11-24T11:59:29Z"), "stale"),  # three heartbeats are 30 s
        (state("2026-11-24T11:59:29Z", heartbeat_s=None), "online"),
        (state("2026-11-24T11:58:59Z", heartbeat_s="ten"), "stale"),
        (state("2026-11-24T11:59:50Z", word="offline"), "offline"),
        (state("2026-11-24T13:00:00+02:00", heartbeat_s=3600), "online"),
        (state("yesterday"), "unknown"),
        (state("2026-11-24T11:59:50"), "unknown"),  # which zone?
        (state(None), "unknown"),
    ],
)
def test_condition(edge: EdgeState, condition: str) -> None:
    assert edge.condition(NOW) == condition


def test_a_word_of_its_own_counts_as_a_heartbeat_and_a_retained_one_does_not() -> None:
    edge = state("2026-11-24T11:00:00Z")
    edge.take(message("state/line", {"state": "running"}, retained=True, at=NOW))
    assert edge.condition(NOW) == "stale"
    edge.take(message("state/line", {"state": "running"}, at=NOW - timedelta(seconds=5)))
    assert edge.condition(NOW) == "online"


def test_states_replace_each_other_and_only_the_last_verdicts_are_kept() -> None:
    edge = EdgeState(keep=3)
    for number in range(5):
        edge.take(message("evt/inspection", {"part_id": f"P{number}"}))
        edge.take(message("state/counters", {"triggers": number}))
    edge.take(message("evt/alarm", {"quantity": "x"}))
    assert [body["part_id"] for body in edge.verdicts] == ["P2", "P3", "P4"]
    assert edge.states == {"counters": {"triggers": 4}}


def shown(edge: EdgeState, width: int, *, compact: bool = False) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(edge_panel(str(NAME), edge, compact=compact, width=width))
    return capture.get()


@pytest.mark.parametrize("width", [80, 120, 300])
def test_the_view_of_an_edge_fits_the_terminal_and_cuts_no_fact_off(width: int) -> None:
    edge = state(datetime.now(UTC).isoformat())
    for name, body in STATES.items():
        edge.take(message(f"state/{name}", body))
    edge.take(message("evt/inspection", {**inspection_event(record("P-1"), NAME).body, "seq": 1}))
    text = shown(edge, width)
    assert max(len(line) for line in text.splitlines()) <= min(width, 118)
    for words in ("online", "running", "mono", "1 NG", "1 REVIEW", "0 NOT_INSPECTED", "halt policy", "P-1", "detection rate"):
        assert words in text
    assert "P-1" not in shown(edge, width, compact=True)


def test_what_is_on_trial_is_said_in_words() -> None:
    text = " ".join(word for words, _ in release_lines(STATES["release"]) for word in words.split())
    for words in (
        "mono: canary pv-3 decides 10% of the parts, until 2026-11-24T09:00:00+00:00: 12 parts, 1 errors, 4 labels; WITHDRAWN: 1 parts",
        "mono: shadow pv-2 judges 100% of the parts: 80 agree, 3 differ (only it rejects 1, only pv-1 2), 7 shed, 0 failed",
        "mono: rollback by itself at 2026-11-24T07:00:00+00:00 from pv-4 to pv-1: its reject rate jumped",
    ):
        assert words in text
    assert "poly" not in text  # nothing but its active model


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
BODIES = st.dictionaries(
    st.sampled_from(
        ["state", "ts", "heartbeat_s", "alarms", "level", "detail", "verdict", "part_id", "variant", "triggers", "ok", "releases"]
    ),
    JSON,
)


LEAVES = ["status", "state/line", "state/alarms", "state/counters", "state/release", "evt/inspection", "x"]


@example(
    [
        (
            "state/release",
            {"releases": [{"canary": {"share": "x", "until": 3}, "shadow": {}, "last_rollback": {}, "trouble": 1}, 7]},
        )
    ]
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(st.lists(st.tuples(st.sampled_from(LEAVES), BODIES)))
def test_nothing_that_anybody_publishes_breaks_the_view(messages: list[tuple[str, dict[str, Json]]]) -> None:
    edge = EdgeState()
    for leaf, body in messages:
        edge.take(message(leaf, body, at=AT))
    assert edge.condition(NOW) in {"unknown", "offline", "online", "stale"}
    assert str(NAME) in shown(edge, 100)
