"""From looks to truth: which answers count, and which parts are still unconfirmed.

A single "defect" on an accepted part would weigh hundreds of parts, so it must be confirmed by another look before it
counts; a third look settles a disagreement (``label/adjudication.py`` asks for the looks). The last look that is not
"unsure" says what a part is; a defect on an accepted part is unconfirmed while only one look, not the third, says so:

    looks                 accepted part              rejected part
    defect                defect, unconfirmed        defect
    defect, defect        defect                     defect
    defect, good          good                       good
    good, defect          defect, unconfirmed        defect
    x, y, third           what the third look says   what the third look says

Only "unsure", at every look: no truth, the label is left out and counted. Why: with an inspector specificity of .995 the
naive DR read 65 % for a true 94 % (docs/monitoring.md, point 11).
"""

from dataclasses import dataclass

import numpy as np

from qc.domain.errors import EvaluationError
from qc.evaluate.sample import Bools, Ints

GOOD, DEFECT, UNSURE = 0, 1, 2
LAST_ROUND = 3


@dataclass(frozen=True, slots=True)
class SettledTruth:
    """Per event, arrays of shape (m,). event: its code. defective: settled truth, or what the looks so far say.

    unconfirmed: a defect on an accepted part that still waits for another look. unsure: no usable answer.
    """

    event: Ints
    defective: Bools
    unconfirmed: Bools
    unsure: Bools


def settle(event: Ints, review_round: Ints, said: Ints, rejected: Bools, *, third_look: bool = True) -> SettledTruth:
    """Settle labels (n,) that no later label corrects. said: GOOD, DEFECT or UNSURE; rejected: the model's decision on the event.
    third_look: False when the second look decides (``LookRules.third_look``).

    >>> truth = settle(np.array([0, 1, 1, 2]), np.array([1, 1, 2, 1]), np.array([1, 1, 1, 0]), np.array([False] * 4))
    >>> truth.defective.tolist(), truth.unconfirmed.tolist()
    ([True, True, False], [True, False, False])
    """
    if len({len(event), len(review_round), len(said), len(rejected)}) != 1:
        raise EvaluationError("event, review_round, said and rejected must have one entry per label")
    events, first = np.unique(event, return_index=True)
    code = np.searchsorted(events, event)
    usable = said != UNSURE
    order = np.lexsort((review_round, code))
    order = order[usable[order]]
    last_round = np.zeros(len(events), np.int64)
    last_said = np.full(len(events), UNSURE)
    # Later assignments win, and the order is by round: what stays is the last usable look.
    last_round[code[order]] = review_round[order]
    last_said[code[order]] = said[order]
    defective = last_said == DEFECT
    saw_defect = np.bincount(code, said == DEFECT, len(events))
    settled = (saw_defect >= 2) | (last_round >= (LAST_ROUND if third_look else 2))
    unconfirmed = ~rejected[first] & defective & ~settled
    return SettledTruth(events, defective, unconfirmed, last_said == UNSURE)
