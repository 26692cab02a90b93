"""The sampling plan of a recipe: strata of decision x score with the probability that a part of each is drawn for labelling."""

import hashlib
import json
import math
from bisect import bisect_right
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc.domain.errors import SamplingError
from qc.label.calibration import defect_probability
from qc.label.strata import Floats, allocate, anticipated_detection_rate, anticipated_variance, cut_points

STRATA = ((6000, (8, 4)), (1500, (5, 3)), (0, (3, 2)))
"""Accepted and rejected strata from so many labels under one plan on (simulated for docs/monitoring.md)."""
FEWEST = 20
"""Labels of a stratum under one plan, if a quarter of all labels suffices for that: thin strata cost both rates (docs/monitoring.md)."""
_FORMAT = "qc.plan/1"


@dataclass(frozen=True)
class SamplingPlan:
    """What is drawn, fixed for a window. Strata are named ``a1, a2, ...`` (accepted) and ``r1, r2, ...`` (rejected), score rising.

    accepted_cuts, rejected_cuts: inner score borders of each side, rising; a part on a border belongs to the class above.
    accepted_q, rejected_q: inclusion probability in (0, 1] per stratum, one more than borders. seed: of the draw.
    Raises SamplingError when these do not fit together.
    """

    variant: str
    accepted_cuts: tuple[float, ...]
    rejected_cuts: tuple[float, ...]
    accepted_q: tuple[float, ...]
    rejected_q: tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        for side in ("accepted", "rejected"):
            cuts, q = getattr(self, f"{side}_cuts"), getattr(self, f"{side}_q")
            if len(q) != len(cuts) + 1:
                raise SamplingError(
                    f"{side}_q: {len(cuts)} borders make {len(cuts) + 1} strata, but {len(q)} probabilities are given"
                )
            if not all(math.isfinite(cut) for cut in cuts) or any(low >= high for low, high in pairwise(cuts)):
                raise SamplingError(f"{side}_cuts must rise strictly, not {cuts}")
            if not all(0 < probability <= 1 for probability in q):
                raise SamplingError(f"{side}_q must lie in (0, 1], not {q}; a stratum that is never drawn can never be estimated")

    @cached_property
    def policy(self) -> str:
        """First 12 hex digits of the SHA-256 over the plan; equal plans share it, and their labels can be pooled."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"a{i + 1}" for i in range(len(self.accepted_q))) + tuple(f"r{i + 1}" for i in range(len(self.rejected_q)))

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """(H,) the side of each stratum, in the order of ``names``."""
        return np.arange(len(self.names)) >= len(self.accepted_q)

    @property
    def probabilities(self) -> Floats:
        """(H,) inclusion probability of each stratum, in the order of ``names``."""
        return np.array(self.accepted_q + self.rejected_q)

    def stratum(self, score: float, rejected: bool) -> tuple[str, float]:
        """Name and inclusion probability of one part's stratum."""
        if rejected:
            index = bisect_right(self.rejected_cuts, score)
            return self.names[len(self.accepted_q) + index], self.rejected_q[index]
        index = bisect_right(self.accepted_cuts, score)
        return self.names[index], self.accepted_q[index]

    def strata_of(self, scores: ArrayLike, rejected: ArrayLike) -> NDArray[np.int64]:
        """(N,) index into ``names`` for parts with scores (N,) and decisions (N,) bool: what N_h are counted from."""
        s, side = np.asarray(scores, np.float64), np.asarray(rejected, bool)
        above = len(self.accepted_q) + np.searchsorted(self.rejected_cuts, s, side="right")
        return np.where(side, above, np.searchsorted(self.accepted_cuts, s, side="right"))

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "SamplingPlan":
        """Raises SamplingError for anything that ``to_json`` did not write."""
        try:
            body = json.loads(text)
            if body.pop("format") != _FORMAT:
                raise SamplingError(f"sampling plan: the format must be {_FORMAT}")
            lists = {
                name: tuple(float(x) for x in body.pop(name))
                for name in ("accepted_cuts", "rejected_cuts", "accepted_q", "rejected_q")
            }
            return cls(variant=str(body["variant"]), seed=int(body["seed"]), **lists)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SamplingError(f"sampling plan cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class PlanBudget:
    """What a window may cost, for one recipe.

    labels: expected labels per window. parts: expected judged parts per window. horizon_labels: labels expected while
    the plan stays in force (several windows); decides how fine the strata are, ``labels`` when 0. verify_all_rejects: operators look
    at every rejected part anyway: q = 1 there, on top of ``labels``.
    """

    labels: float
    parts: float
    exploration: float = 0.3
    verify_all_rejects: bool = False
    horizon_labels: float = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.labels > 0 and self.parts > 0):
            raise SamplingError(f"a plan needs labels > 0 and parts > 0 per window, not {self.labels} and {self.parts}")


@dataclass(frozen=True, slots=True)
class LabelledParts:
    """Settled truths of sampled parts: scores (n,), defective (n,) 0/1, inclusion_probability (n,) in (0, 1]."""

    scores: Floats
    defective: NDArray[np.int64]
    inclusion_probability: Floats


def uniform_plan(variant: str, budget: PlanBudget) -> SamplingPlan:
    """For a new variant or model: every part has the same chance, so the labels can calibrate anything that comes."""
    q = min(1.0, budget.labels / budget.parts)
    return SamplingPlan(variant, (), (), (q,), (1.0 if budget.verify_all_rejects else q,), budget.seed)


def design_plan(variant: str, scores: ArrayLike, rejected: ArrayLike, p: ArrayLike, budget: PlanBudget) -> SamplingPlan:
    """Strata and probabilities from reference parts. scores, rejected, p: (N,) score, decision and P(defective | score).

    Scores may be any finite numbers that rise with suspicion. Raises SamplingError when a side has no reference part.
    """
    s, side, prob = np.asarray(scores, np.float64), np.asarray(rejected, bool), np.asarray(p, np.float64)
    if not s.shape == side.shape == prob.shape or s.ndim != 1:
        raise SamplingError(f"scores, rejected and p need one value per part; got {s.shape}, {side.shape}, {prob.shape}")
    if not np.all(np.isfinite(s)):
        raise SamplingError("scores of reference parts must be finite; leave out the parts that were not inspected")
    if side.all() or not side.any():
        raise SamplingError("the reference parts must include accepted and rejected ones; sample uniformly until they do")
    total = max(budget.labels, budget.horizon_labels)
    accepted, above = next(strata for fewest, strata in STRATA if total >= fewest)
    cuts = {"accepted_cuts": cut_points(s[~side], prob[~side], accepted), "rejected_cuts": cut_points(s[side], prob[side], above)}
    ones = {"accepted_q": (1.0,) * (len(cuts["accepted_cuts"]) + 1), "rejected_q": (1.0,) * (len(cuts["rejected_cuts"]) + 1)}
    frame = SamplingPlan(variant, **cuts, **ones, seed=budget.seed)
    parts, mean_p = _expected(frame, s, side, prob, budget.parts)
    q = _allocated(frame, parts, mean_p, anticipated_detection_rate(prob, side), budget) / parts
    probabilities = tuple(float(min(1.0, x)) for x in q)
    n_accepted = len(frame.accepted_q)
    return SamplingPlan(
        variant, **cuts, accepted_q=probabilities[:n_accepted], rejected_q=probabilities[n_accepted:], seed=budget.seed
    )


def replan(
    current: SamplingPlan,
    scores: ArrayLike,
    rejected: ArrayLike,
    labelled: LabelledParts,
    budget: PlanBudget,
    *,
    keep_within: float = 1.25,
) -> SamplingPlan:
    """The plan for the next window, from all parts (scores, rejected: (N,)) and labels of earlier windows of the same model.

    Call it between windows only: probabilities that react to the labels inside a window bias the rates. ``current`` comes back,
    same policy, while it costs the DR estimate at most ``keep_within`` times the variance of the new design at equal
    expected labels: strata that stay can be pooled over windows. Without parts on both sides: uniform.
    """
    s, side = np.asarray(scores, np.float64), np.asarray(rejected, bool)
    if s.size == 0 or side.all() or not side.any():
        return uniform_plan(current.variant, budget)
    p = defect_probability(s, labelled.scores, labelled.defective, 1 / labelled.inclusion_probability)
    proposed = design_plan(current.variant, s, side, p, budget)
    rate = anticipated_detection_rate(p, side)

    def cost(plan: SamplingPlan) -> tuple[float, float]:
        parts, mean_p = _expected(plan, s, side, p, budget.parts)
        labels = parts * plan.probabilities
        filled = parts > 0
        variance = anticipated_variance(parts[filled], plan.rejected[filled], mean_p[filled], labels[filled], detection_rate=rate)
        return float(labels.sum()), variance

    (now_labels, now_variance), (new_labels, new_variance) = cost(current), cost(proposed)
    # At equal labels: a plan that asks for more than its budget must not look better for that, nor be kept for long.
    now_variance *= now_labels / new_labels
    same_budget = abs(now_labels - new_labels) <= 0.1 * new_labels and current.seed == proposed.seed
    verifies = all(q == 1 for q in current.rejected_q)
    keep = same_budget and verifies >= budget.verify_all_rejects and now_variance <= keep_within * new_variance
    return current if keep else proposed


def expected_draw(plan: SamplingPlan, scores: ArrayLike, rejected: ArrayLike, parts: float) -> tuple[float, float]:
    """Mean and standard deviation of the tickets drawn from ``parts`` parts like those given (scores, rejected: (N,)).

    Parts are drawn independently, so the count scatters: by 12 when 150 are expected from 2,000.
    """
    q = plan.probabilities[plan.strata_of(scores, rejected)]
    return float(parts * q.mean()), float(np.sqrt(parts * (q * (1 - q)).mean()))


def _expected(plan: SamplingPlan, s: Floats, side: NDArray[np.bool_], p: Floats, window_parts: float) -> tuple[Floats, Floats]:
    """(H,) expected parts per window and mean P(defective) per stratum (0 where the reference has no part)."""
    index = plan.strata_of(s, side)
    count = np.bincount(index, minlength=len(plan.names)).astype(np.float64)
    total = np.bincount(index, weights=p, minlength=len(plan.names))
    return count / s.size * window_parts, total / np.maximum(count, 1)


def _allocated(plan: SamplingPlan, parts: Floats, p: Floats, detection_rate: float, budget: PlanBudget) -> Floats:
    drawn = ~plan.rejected if budget.verify_all_rejects else np.ones(len(parts), bool)
    total = max(budget.labels, budget.horizon_labels)
    n = parts.copy()
    n[drawn] = allocate(
        parts[drawn],
        plan.rejected[drawn],
        p[drawn],
        labels=budget.labels,
        detection_rate=detection_rate,
        exploration=budget.exploration,
        least=min(FEWEST, total / (4 * int(drawn.sum()))) * budget.labels / total,
    )
    return n
