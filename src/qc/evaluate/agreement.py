"""How far the inspectors can be trusted: effectiveness, misses, false alarms, kappa, repeatability.

Known parts (truth settled, slipped in) give per inspector: effectiveness = right answers / answers, miss rate = defects
called good / defects, false-alarm rate = goods called defect / goods, each with Wilson's interval. The lines are those
of AIAG, Measurement Systems Analysis, 4th ed. 2010, ch. III.C: effectiveness >= 90 % acceptable, >= 80 % marginal; miss
<= 2 / 5 %; false alarm <= 5 / 10 %. kappa = (p_o - p_e) / (1 - p_e): Cohen 1960, Educ. Psychol. Meas. 20:37 for two
inspectors, Fleiss 1971, Psychol. Bull. 76:378 for many (here with a varying number of answers per part).
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from qc.domain.errors import EvaluationError
from qc.domain.truth import Rate
from qc.evaluate.sample import Bools, Floats, Ints
from qc.evaluate.wilson import wilson_rate


class Grade(StrEnum):
    """AIAG's judgement of a rate; taken at the point estimate, as AIAG does, the interval beside it."""

    ACCEPTABLE = "acceptable"
    MARGINAL = "marginal"
    UNACCEPTABLE = "unacceptable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answers:
    """First looks, arrays of shape (n,). said_defect: the answer (unsure answers left out).

    known: 1 defect, 0 good, -1 unknown truth.
    """

    part: Ints
    labeller: Ints
    said_defect: Bools
    known: Ints

    def __post_init__(self) -> None:
        if len({len(self.part), len(self.labeller), len(self.said_defect), len(self.known)}) != 1:
            raise EvaluationError("part, labeller, said_defect and known must have one entry per answer")


@dataclass(frozen=True, slots=True)
class InspectorRates:
    """One inspector's quality on known parts and agreement with themselves."""

    labeller: int
    effectiveness: Rate
    miss: Rate
    false_alarm: Rate
    repeatability: Rate
    """Share of parts seen at least twice that always got the same answer."""


def inspector_rates(answers: Answers) -> list[InspectorRates]:
    """Per labeller code, ascending."""
    return [_one_inspector(answers, int(who)) for who in np.unique(answers.labeller)]


def _one_inspector(answers: Answers, who: int) -> InspectorRates:
    mine = answers.labeller == who
    said, known, part = answers.said_defect[mine], answers.known[mine], answers.part[mine]
    defects, goods = known == 1, known == 0
    _, code = np.unique(part, return_inverse=True)
    looks, yes = np.bincount(code), np.bincount(code, said)
    repeated = looks >= 2
    same = repeated & ((yes == 0) | (yes == looks))
    right = int((said & defects).sum() + (~said & goods).sum())
    return InspectorRates(
        who,
        wilson_rate(right, int(defects.sum() + goods.sum()), "answers on known parts"),
        wilson_rate(int((~said & defects).sum()), int(defects.sum()), "answers on known defects"),
        wilson_rate(int((said & goods).sum()), int(goods.sum()), "answers on known good parts"),
        wilson_rate(int(same.sum()), int(repeated.sum()), "parts seen twice by this inspector"),
    )


def grade_effectiveness(rate: Rate) -> Grade:
    return _grade(None if rate.estimate is None else 1 - rate.estimate, 0.10, 0.20)


def grade_miss(rate: Rate) -> Grade:
    return _grade(rate.estimate, 0.02, 0.05)


def grade_false_alarm(rate: Rate) -> Grade:
    return _grade(rate.estimate, 0.05, 0.10)


def _grade(value: float | None, acceptable: float, marginal: float) -> Grade:
    if value is None:
        return Grade.UNKNOWN
    # A rate of exactly the limit, such as 18 of 20, must not fail by rounding.
    if value <= acceptable + 1e-12:
        return Grade.ACCEPTABLE
    return Grade.MARGINAL if value <= marginal + 1e-12 else Grade.UNACCEPTABLE


def cohen_kappa(a: Bools, b: Bools) -> float:
    """Two inspectors on the same parts; nan when chance alone must agree (both always give the same one answer).

    >>> a = np.array([1] * 25 + [0] * 25, bool)
    >>> b = np.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15, bool)
    >>> round(cohen_kappa(a, b), 4)
    0.4
    """
    if len(a) != len(b):
        raise EvaluationError("cohen_kappa: the two inspectors must have judged the same parts")
    if len(a) == 0:
        return float("nan")
    observed = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def pairwise_kappa(answers: Answers) -> dict[tuple[int, int], tuple[float, int]]:
    """(kappa, parts in common) for each pair of labeller codes, on each one's first answer per part."""
    first = {int(who): _first_answers(answers, int(who)) for who in np.unique(answers.labeller)}
    result = {}
    for one, other in combinations(sorted(first), 2):
        common = np.intersect1d(first[one][0], first[other][0])
        a, b = (parts_said[1][np.searchsorted(parts_said[0], common)] for parts_said in (first[one], first[other]))
        result[one, other] = (cohen_kappa(a, b), len(common))
    return result


def _first_answers(answers: Answers, who: int) -> tuple[Ints, Bools]:
    mine = answers.labeller == who
    parts, index = np.unique(answers.part[mine], return_index=True)
    return parts, answers.said_defect[mine][index]


def fleiss_kappa(defect_votes: Floats, votes: Floats) -> float:
    """Agreement of many inspectors. Arrays (parts,): votes for defect, and all votes; parts with one vote are left out.

    Agreement of a part: the share of equal pairs among its votes; parts weigh by their votes (Fleiss' formula when
    every part has the same number).

    >>> round(fleiss_kappa(np.array([3.0, 0.0, 2.0, 3.0]), np.array([3.0, 3.0, 3.0, 3.0])), 4)
    0.625
    """
    use = votes >= 2
    n, x = votes[use], defect_votes[use]
    if len(n) == 0:
        return float("nan")
    agreement = (x * (x - 1) + (n - x) * (n - x - 1)) / (n * (n - 1))
    observed = float((n * agreement).sum() / n.sum())
    p = float(x.sum() / n.sum())
    chance = p * p + (1 - p) * (1 - p)
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def fleiss_kappa_of(answers: Answers) -> float:
    """Fleiss' kappa over all answers, one vote per labeller and part."""
    pair, index = np.unique(np.stack([answers.part, answers.labeller]), axis=1, return_index=True)
    _, code = np.unique(pair[0], return_inverse=True)
    return fleiss_kappa(np.bincount(code, answers.said_defect[index]).astype(float), np.bincount(code).astype(float))
