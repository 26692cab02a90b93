"""How often the gate's paired comparison passes a candidate, by how much worse it truly is: the promise that a worse one hardly ever does."""

from dataclasses import dataclass

import numpy as np

from qc.release.paired import tango_interval


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
