"""Do the intervals cover the truth of the production, and were as many labels asked as planned?"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.truth_bank import Bank
from benchmarks.truth_world import START, VARIANT, Plant, World
from qc.domain.truth import Rate


@dataclass(frozen=True, slots=True)
class Repetition:
    """One production. true: rates among its own parts; asked, planned: first looks. alarms: quantity/slice of every alarm."""

    seed: int
    parts: int
    detection: Rate
    false_positive: Rate
    true_detection: float
    true_false_positive: float
    asked: int
    planned: int
    labels: int
    policies: int
    alarms: tuple[str, ...]


def repeat(bank: Bank, world: World, shifts: int, seed: int) -> Repetition:
    """Produce and label so many shifts; the first with a uniform plan, the others with the planner's."""
    with tempfile.TemporaryDirectory(prefix="qc-truth-") as folder, Plant(bank, Path(folder), world, seed) as plant:
        windows = []
        for _ in range(shifts):
            windows.append(plant.edge.street.shifts.window_of(plant.clock.now()).name)
            plant.shift()
        plant.finish()
        rates = plant.edge.street.rates.report(START, plant.clock.now()).overall.rates
        progress = [plant.edge.truth.progress(window, plant.clock.now()) for window in windows]
        plans = [plant.edge.truth.plan(VARIANT, plant.recipe_version, window) for window in windows]
        judged = [
            (plant.is_defective(part), decision != "OK" and reason != "review_all")
            for part, score, decision, reason in plant.watch.records
            if score is not None and not part.startswith("challenge")
        ]
        return Repetition(
            seed,
            len(judged),
            rates["detection_rate"],
            rates["false_positive_rate"],
            _share(judged, defective=True),
            _share(judged, defective=False),
            sum(one.asked for one in progress),
            world.labels * shifts,
            plant.watch.labels,
            len({plan.policy for plan in plans if plan is not None}),
            tuple(sorted(f"{seen.first.quantity}/{seen.first.slice}" for seen in plant.watch.alarms.values())),
        )


def _share(judged: list[tuple[bool, bool]], *, defective: bool) -> float:
    """Of the defective (good) parts, the share that was rejected."""
    rejected = [r for truth, r in judged if truth is defective]
    return sum(rejected) / len(rejected)


def covers(rate: Rate, truth: float) -> bool:
    return rate.low is not None and rate.high is not None and rate.low <= truth <= rate.high
