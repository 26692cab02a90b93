"""When to advise, sample more, review everything or ask for a halt: a pure state machine over decisions.

Two kinds of evidence, both over judged parts only (NOT_INSPECTED never counts, so a camera fault cannot halt):

* a run: ``run_rejects`` NG among the last ``run_parts`` judged parts asks for a halt;
* a jump of the reject rate (NG or REVIEW by score): a Shiryaev-Roberts e-detector of Bernoulli likelihood ratios
  against the null "rate <= baseline_reject_rate", S_k <- (1 + S_k) q1_k^x (1 - q1_k)^(1-x) / (q0^x (1 - q0)^(1-x)),
  averaged over alternatives q1_k between the baseline and 0.95. The mean number of parts to a false crossing of c
  is at least c (Shin, Ramdas & Rinaldo 2024, doi 10.51387/23-NEJSDS51), so ``jump_alpha`` = 1e-4 means: at most one
  needless advice in 10,000 parts, and each stronger level is ten times rarer than the one below.

Levels rise at once. ADVISE and RAISE_SAMPLING fall by themselves after ``clear_parts`` parts without evidence; REVIEW_ALL and
HALT stay until somebody acknowledges, which also restarts the evidence.
"""

import math
from dataclasses import dataclass, field, replace

from qc.domain.alarm import Action
from qc.domain.recipe import HaltPolicy
from qc.domain.verdict import Decision

LEVELS = (Action.NONE, Action.ADVISE, Action.RAISE_SAMPLING, Action.REVIEW_ALL, Action.HALT)
_ALTERNATIVES = (0.10, 0.25, 0.50, 0.90)
"""Where the alternatives lie between the baseline (0) and a reject rate of 0.95 (1)."""


@dataclass(frozen=True, slots=True)
class HaltState:
    """level: what is asked at present. recent: last judged parts, newest in bit 0, 1 = NG.

    evidence: S_k per alternative. quiet: judged parts since the last evidence of at least ADVISE.
    halts: how often HALT was entered (each is a KPI: halts may be needless). reason: why the level was entered.
    version: the recipe that the evidence is about; another recipe has another baseline, so evidence starts anew.
    """

    level: Action = Action.NONE
    reason: str = ""
    recent: int = 0
    evidence: tuple[float, ...] = field(default=(0.0,) * len(_ALTERNATIVES))
    quiet: int = 0
    halts: int = 0
    version: str = ""


def step(state: HaltState, by_score: Decision, policy: HaltPolicy, version: str = "") -> HaltState:
    """The state after one more part of the recipe ``version``. ``by_score``: the decision before any review-all override."""
    if by_score is Decision.NOT_INSPECTED:
        return state
    if version != state.version:
        state = HaltState(level=state.level, reason=state.reason, halts=state.halts, version=version)
    window = (1 << policy.run_parts) - 1
    recent = (state.recent << 1 | (by_score is Decision.NG)) & window
    evidence = _update(state.evidence, by_score is not Decision.OK, policy.baseline_reject_rate)
    wanted, reason = _wanted(recent, evidence, policy)
    quiet = state.quiet + 1 if wanted is Action.NONE else 0
    state = replace(state, recent=recent, evidence=evidence, quiet=quiet)
    if LEVELS.index(wanted) > LEVELS.index(state.level):
        return raise_to(state, wanted, reason)
    if state.level in (Action.ADVISE, Action.RAISE_SAMPLING) and quiet >= policy.clear_parts:
        return replace(state, level=Action.NONE, reason="")
    return state


def raise_to(state: HaltState, level: Action, reason: str) -> HaltState:
    """Enter a level asked for by the evidence here or by an alarm elsewhere; never lowers."""
    if LEVELS.index(level) <= LEVELS.index(state.level):
        return state
    return replace(state, level=level, reason=reason, quiet=0, halts=state.halts + (level is Action.HALT))


def acknowledge(state: HaltState) -> HaltState:
    """Somebody looked: back to NONE with fresh evidence; the count of halts stays."""
    return HaltState(halts=state.halts, version=state.version)


def reviews_everything(state: HaltState) -> bool:
    """Whether OK parts are to be reviewed at this level."""
    return state.level in (Action.REVIEW_ALL, Action.HALT)


def _update(evidence: tuple[float, ...], rejected: bool, q0: float) -> tuple[float, ...]:
    updated = []
    for share, s in zip(_ALTERNATIVES, evidence, strict=True):
        q1 = q0 + share * (0.95 - q0)
        factor = q1 / q0 if rejected else (1 - q1) / (1 - q0)
        updated.append(min((1.0 + s) * factor, 1e100))
    return tuple(updated)


def _wanted(recent: int, evidence: tuple[float, ...], policy: HaltPolicy) -> tuple[Action, str]:
    rejects = recent.bit_count()
    if rejects >= policy.run_rejects:
        return Action.HALT, f"{rejects} NG among the last {policy.run_parts} judged parts"
    mean = sum(evidence) / len(evidence)
    if mean * policy.jump_alpha < 1.0:
        return Action.NONE, ""
    steps = min(len(LEVELS) - 1, 1 + int(math.log10(mean * policy.jump_alpha)))
    return (
        LEVELS[steps],
        f"the reject rate rose above {policy.baseline_reject_rate:.1%} (e-value {mean:.3g}, advice from {1 / policy.jump_alpha:.3g})",
    )
