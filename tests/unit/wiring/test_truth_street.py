"""The truth street of an edge: planned stops, and labels that another process stored."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.system.edge_process import write_settings
from tests.unit.wiring.test_edge import NO_BROKER, edge_of, until

from qc.domain.clock import SystemClock
from qc.domain.errors import CommandError
from qc.domain.ports import Command
from qc.label.intake import LabelIntake
from qc.record.alarm_store import SqliteAlarmStore
from qc.settings import load_line
from qc.wiring.truth import stop_calendar

STOPS = """
[monitoring]
weekly_stops = [{ weekday = "sunday", start = "06:00", hours = 12, reason = "maintenance" }]
planned_stops = [{ start = 2026-12-24T14:00:00+01:00, end = 2026-12-27T06:00:00+01:00, reason = "holidays" }]
"""


def test_planned_stops_come_from_the_settings(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    config.write_text(config.read_text() + STOPS)
    calendar = stop_calendar(load_line(config, {}))
    sunday = datetime(2026, 11, 22, 7, tzinfo=UTC)
    assert calendar.stop_at(sunday) == "maintenance"
    assert calendar.stop_at(sunday + timedelta(days=1)) is None
    assert calendar.stop_at(datetime(2026, 12, 25, tzinfo=UTC)) == "holidays"


@pytest.mark.parametrize("other_process", [False, True])
def test_every_label_reaches_the_monitor_once(tmp_path: Path, other_process: bool) -> None:
    """Through the edge's own door at once; through another process's with the next look for such labels."""
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER, sampling=True)
    with edge_of(config, 40) as edge:
        assert until(lambda: edge.line.status().triggers == 40)
        heard: list[str] = []
        on_answer = edge.street.monitor.on_answer
        edge.street.monitor.on_answer = lambda variant, answer: (heard.append(answer.label.label_id), on_answer(variant, answer))[
            1
        ]
        ticket = edge.truth.open_tickets(SystemClock().now())[0]
        fields = {"ticket_id": ticket.ticket_id, "truth": "good", "labeller": "anna"}
        if other_process:
            LabelIntake(edge.truth, SystemClock()).submit(fields)
            assert heard == []
        else:
            edge.street.submit_label(fields)
        for _ in range(25):
            edge.street.upkeep()
        assert len(heard) == 1


def test_relearning_is_a_command_that_outlives_a_crash_and_names_what_it_does_not_know(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    with edge_of(config, 20) as edge:
        assert until(lambda: edge.line.status().triggers == 20)
        variant = edge.line.setup.recipe.variant
        assert until(lambda: edge.street.monitor.cameras_of(variant) != [])
        body = {"variant": variant, "operator": "ann", "reason": "new lamps"}
        with pytest.raises(CommandError, match="no reference of"):
            edge.control.handle(Command("relearn", {**body, "camera": "attic"}, "ann", "mqtt"))
        done = edge.control.handle(Command("relearn", body, "ann", "mqtt"))
        assert done["cameras"] == edge.street.monitor.cameras_of(variant)
        state = SqliteAlarmStore(edge.database).get_state("monitor")
        assert isinstance(state, dict)
        ((_, _, _, lots),) = state["inputs"]
        assert (lots["reference"], lots["learned"]) == (None, [])
        audited = [(entry.action, entry.outcome.split(":")[0]) for entry in edge.store.audit_trail(action="relearn")]
        assert ("relearn", "done") in audited
        assert ("relearn", "refused") in audited
