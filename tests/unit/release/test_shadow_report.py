"""The shadow's comparison is unbiased although disagreements are labelled fifty times more often than agreements."""

from datetime import timedelta

import numpy as np
from tests.unit.release.conftest import T0

from qc.domain.truth import Answer, Label, Purpose, SampleTicket, Truth
from qc.record.shadow_store import CELLS
from qc.release.shadow_report import shadow_comparison

RUN = "cell/old/new"
SHARES = {"both_accept": 0.02, "both_reject": 0.05, "only_active_rejects": 0.5, "only_candidate_rejects": 0.5}


def answer(number: int, cell: str, truth: Truth, run: str = RUN) -> Answer:
    ticket = SampleTicket(
        f"t{number}", f"e{number}", f"p{number}", "w", cell, SHARES[cell], f"shadow/{run}", Purpose.TRAINING, T0, T0 + timedelta(1)
    )  # fmt: skip
    return Answer(ticket, Label(f"l{number}", ticket.ticket_id, truth, "", "ann", T0))


def world(seed: int) -> tuple[dict[str, int], list[Answer], float, float]:
    """20,000 parts, 5 % defective; the candidate finds 95 % of the defects, the active model 80 %, at equal false positives of 6 %."""
    rng = np.random.default_rng(seed)
    defective = rng.random(20_000) < 0.05
    active = rng.random(20_000) < np.where(defective, 0.80, 0.06)
    candidate = rng.random(20_000) < np.where(defective, 0.95, 0.06)
    code = np.where(active & candidate, 1, np.where(active, 2, np.where(candidate, 3, 0)))
    cells = {cell: int((code == index).sum()) for index, cell in enumerate(CELLS)}
    drawn = rng.random(20_000) < np.array([SHARES[cell] for cell in CELLS])[code]
    answers = [
        answer(int(i), CELLS[code[i]], Truth.DEFECT if defective[i] else Truth.GOOD) for i in np.flatnonzero(drawn).tolist()
    ]
    truth = [float(candidate[side].mean() - active[side].mean()) for side in (defective, ~defective)]
    return cells, answers, truth[0], truth[1]


def test_the_differences_are_unbiased_and_their_intervals_hold() -> None:
    errors, held = [], []
    for seed in range(30):
        cells, answers, detection, false_positive = world(seed)
        found = shadow_comparison(RUN, cells, answers)
        for difference, true in zip(found, (detection, false_positive), strict=True):
            assert difference.estimate is not None
            assert difference.low is not None
            assert difference.high is not None
            errors.append(difference.estimate - true)
            held.append(difference.low <= true <= difference.high)
    assert abs(np.mean(errors[0::2])) < 0.03
    assert abs(np.mean(errors[1::2])) < 0.003
    assert np.mean(held) >= 0.9


def test_answers_of_other_runs_and_unsure_ones_do_not_count() -> None:
    cells, answers, _, _ = world(0)
    noise = [answer(90_000 + n, "both_accept", Truth.DEFECT, "another/run/x") for n in range(50)]
    noise += [answer(95_000 + n, "both_accept", Truth.UNSURE) for n in range(50)]
    assert shadow_comparison(RUN, cells, [*answers, *noise]) == shadow_comparison(RUN, cells, answers)


def test_without_labels_nothing_is_claimed() -> None:
    detection, _ = shadow_comparison(RUN, dict.fromkeys(CELLS, 100), [])
    assert detection.estimate is None
    assert detection.not_estimable
