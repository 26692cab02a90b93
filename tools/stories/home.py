"""Folders and files of one run: what a plant would have on its edge and on the engineer's desk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from stories.scenario import ROOT, Scenario

RUN_PARTS = 10

_LINE = """[edge]
site = "plant1"
area = "story"
line = "line1"
edge = "edge1"

[[cameras]]
id = "cam1"
source = {{ kind = "folder", path = "in" }}
trigger = {{ kind = "each_frame" }}

[models]
directory = "models"

[recipes]
directory = "recipes"
active = "{variant}"

[storage]
directory = "edge"
min_free_mb = 1.0
synchronous = "normal"
ok_share = 0.0
image_format = "jpeg"

[mqtt]
port = {port}

[http]
enabled = false

[monitoring]
detection_floor = {floor:.4f}
false_positive_ceiling = {ceiling:.4f}
prevalence_ceiling = {prevalence:.4f}
lot_parts = {lot_parts}
reference_lots = {reference_lots}
"""

_RECIPE = """variant = "{variant}"
model = "{model}"
review_at = {review_at}
reject_at = {reject_at}
# Simulated minutes pass between two looks at the clock.
deadline_ms = 1e12

[halt]
run_rejects = {run_rejects}
run_parts = {run_parts}
baseline_reject_rate = {baseline:.4f}

[sampling]
labels_per_window = {labels}
expected_parts_per_window = {parts}
seed = {seed}
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the commissioned line is held against. run_rejects: NG among ``RUN_PARTS`` that chance hardly gives at its share of NG."""

    floor: float
    ceiling: float
    baseline: float
    run_rejects: int = 8


@dataclass(frozen=True, slots=True)
class Home:
    """One folder per scenario and seed."""

    folder: Path

    @property
    def line_toml(self) -> Path:
        return self.folder / "line.toml"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def recipes(self) -> Path:
        return self.folder / "recipes"

    def set_folder(self, name: str) -> Path:
        return self.folder / "sets" / name

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("in", "models", "recipes", "sets"):
            (self.folder / name).mkdir(parents=True)

    def write_line(self, scenario: Scenario, bounds: Bounds, port: int) -> None:
        text = _LINE.format(
            variant=scenario.variant,
            port=port,
            floor=bounds.floor,
            ceiling=bounds.ceiling,
            prevalence=min(3 * scenario.prevalence, 0.9),
            lot_parts=scenario.lot_parts,
            reference_lots=scenario.reference_lots,
        )
        self.line_toml.write_text(text, "utf-8")
        per_hour = scenario.length.shift_parts / 8
        goals = (ROOT / "configs" / "goals.toml").read_text("utf-8")
        goals = goals.replace("parts_per_hour = 110.0", f"parts_per_hour = {per_hour}")
        goals = goals.replace("standstill_s = 60", f"standstill_s = {round(1.5 * 3600 / per_hour)}")
        (self.folder / "goals.toml").write_text(goals, "utf-8")

    def write_recipe(
        self, scenario: Scenario, model: str, thresholds: tuple[float, float], bounds: Bounds, *, labels: int, seed: int
    ) -> None:
        text = _RECIPE.format(
            variant=scenario.variant,
            model=model,
            review_at=thresholds[0],
            reject_at=thresholds[1],
            baseline=bounds.baseline,
            run_rejects=bounds.run_rejects,
            run_parts=RUN_PARTS,
            labels=labels,
            parts=scenario.length.shift_parts,
            seed=seed,
        )
        (self.recipes / f"{scenario.variant}.toml").write_text(text, "utf-8")
