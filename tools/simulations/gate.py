"""How often the gate's paired comparison passes a candidate, by how much worse it truly is: the promise that a worse one hardly ever does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc.release.paired import tango_interval
from qc.release.report import Outcome
from qc.release.robustness import ALONE, DISTURBANCES, on_average
from qc.release.rules import GateRules


@dataclass(frozen=True, slots=True)
class GateWorld:
    """n parts of one truth; truly worse by ``worse`` (in margins); ``discordant``: share of parts on which the models differ at least."""

    n: int
    margin: float
    worse: float
    discordant: float


def outcome_shares(world: GateWorld, runs: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """(PASS, FAIL, NOT ENOUGH EVIDENCE) over simulated label sets, by the rule of ``qc.release.paired.compare``."""
    gap = world.worse * world.margin
    lost = (max(world.discordant, abs(gap)) + gap) / 2
    gained = lost - gap
    counts = rng.multinomial(world.n, [gained, lost, 1 - gained - lost], runs)
    low, high = tango_interval(counts[:, 0], counts[:, 1], world.n)
    passed = low > -world.margin
    failed = ~passed & (high < 0)
    return float(passed.mean()), float(failed.mean()), float((~passed & ~failed).mean())


def table(runs: int = 20_000, seed: int = 1) -> str:
    """Markdown: one row per world."""
    rng = np.random.default_rng(seed)
    rows = ["| parts | margin | differ on | truly | PASS | FAIL | NOT ENOUGH EVIDENCE |", "|---|---|---|---|---|---|---|"]
    for margin, sizes in ((0.05, (80, 200, 500)), (0.10, (40, 100, 300))):
        for n in sizes:
            for discordant in (0.05, 0.15):
                for worse in (2.0, 1.0, 0.5, 0.0, -1.0):
                    shares = outcome_shares(GateWorld(n, margin, worse, discordant), runs, rng)
                    truly = "equal" if worse == 0 else f"{abs(worse * margin):.1%} {'worse' if worse > 0 else 'better'}"
                    cells = " | ".join(f"{share:.1%}" for share in shares)
                    rows.append(f"| {n} | {margin:.0%} | {discordant:.0%} | {truly} | {cells} |")
    return "\n".join(rows)


def robustness_passes(n: int, discordant: float, worse: NDArray[np.float64], runs: int, rng: np.random.Generator) -> float:
    """Share of PASS of the robustness checks. worse: how many more wrong answers the candidate truly gives, per disturbance.

    The incumbent is right on nine of ten disturbed parts; every answer is independent, given that.
    """
    rules, passed = GateRules(), 0
    for _ in range(runs):
        right = np.zeros((len(worse), n, 2), bool)
        right[:, :, 1] = rng.random((len(worse), n)) < 0.9
        differ = np.maximum(discordant, np.abs(worse))
        lost, gained = (differ + worse) / 2 / 0.9, (differ - worse) / 2 / 0.1
        flip = rng.random((len(worse), n))
        right[:, :, 0] = np.where(right[:, :, 1], flip >= lost[:, None], flip < gained[:, None])
        gains = (right[:, :, 0] & ~right[:, :, 1]).sum(1), (right[:, :, 1] & ~right[:, :, 0]).sum(1)
        low, _ = tango_interval(*gains, n)
        alone = bool((low > -ALONE * rules.robustness_margin).all())
        passed += on_average(right, rules).outcome is Outcome.PASS and alone
    return passed / runs


def robustness_table(runs: int = 1000, seed: int = 1) -> str:
    """Markdown: how often the robustness checks pass, by what the candidate truly is."""
    rng = np.random.default_rng(seed)
    kinds = len(DISTURBANCES)
    worlds = {
        "equal": np.zeros(kinds),
        "5 points worse under all": np.full(kinds, 0.05),
        **{f"{100 * gap:.0f} points worse under one": np.eye(kinds)[0] * gap for gap in (0.05, 0.1, 0.2)},
    }
    rows = ["| candidate, truly | parts | PASS, models differ on 5 % | on 10 % | on 15 % |", "|---|---|---|---|---|"]
    for name, worse in worlds.items():
        for n in (80, 200):
            shares = [robustness_passes(n, discordant, worse, runs, rng) for discordant in (0.05, 0.10, 0.15)]
            rows.append(f"| {name} | {n} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    return "\n".join(rows)
