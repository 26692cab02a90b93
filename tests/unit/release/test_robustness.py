"""The rule of the robustness checks: proven not worse over all disturbances together, and by twice the margin under each."""

import numpy as np
import pytest

from qc.release.report import Outcome
from qc.release.robustness import on_average
from qc.release.rules import GateRules

RULES = GateRules()


def answers(parts: int, lost: int, gained: int = 0) -> np.ndarray:
    """(8, parts, 2) right answers: under every disturbance the candidate is wrong on ``lost`` parts that the incumbent has right, and the reverse."""
    right = np.ones((8, parts, 2), bool)
    right[:, :lost, 0] = False
    right[:, lost : lost + gained, 1] = False
    return right


@pytest.mark.parametrize(
    ("parts", "lost", "gained", "outcome"),
    [
        (54, 0, 0, Outcome.NOT_ENOUGH_EVIDENCE),
        (55, 0, 0, Outcome.PASS),
        (200, 2, 2, Outcome.PASS),
        (200, 10, 0, Outcome.FAIL),
        (200, 11, 10, Outcome.NOT_ENOUGH_EVIDENCE),
        (400, 0, 40, Outcome.PASS),
        (0, 0, 0, Outcome.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_over_all_disturbances_together(parts: int, lost: int, gained: int, outcome: Outcome) -> None:
    check = on_average(answers(parts, lost, gained), RULES)
    assert check.outcome is outcome
    assert bool(check.labels_needed) == (outcome is Outcome.NOT_ENOUGH_EVIDENCE)


def test_a_truly_worse_candidate_passes_hardly_ever() -> None:
    """Worse by the margin under all disturbances, each answer by itself: at most 5 % of the runs."""
    rng, passed, runs = np.random.default_rng(3), 0, 400
    for _ in range(runs):
        right = np.ones((8, 200, 2), bool)
        draw = rng.random((8, 200))
        right[:, :, 0] = draw >= 0.10
        right[:, :, 1] = draw < 0.95  # five points fewer are wrong
        passed += on_average(right, RULES).outcome is Outcome.PASS
    assert passed <= 0.05 * runs
