"""The line remembers small facts over restarts."""

from pathlib import Path

from qc.record.database import Database
from qc.record.line_state import ACTIVE_VARIANT, HALTS, LineState


def test_values_survive_a_reopened_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "qc.sqlite3")
    state = LineState(database)
    assert state.get(ACTIVE_VARIANT) is None
    state.put(ACTIVE_VARIANT, "mono")
    state.put(ACTIVE_VARIANT, "poly")
    state.put(HALTS, "3")
    database.close()
    again = LineState(Database(tmp_path / "qc.sqlite3"))
    assert (again.get(ACTIVE_VARIANT), again.get(HALTS)) == ("poly", "3")
