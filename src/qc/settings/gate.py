"""The rules of the promotion gate, ``configs/gate.toml``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from qc.release.rules import GateRules
from qc.settings.base import Count, Positive, Section
from qc.settings.files import load_file

Margin = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]


class GateSettings(Section):
    """What a candidate must show against the active model. Margins are absolute: 0.05 is five points of the rate."""

    confidence: Annotated[float, Field(ge=0.8, lt=1.0)] = 0.95
    """Two-sided level of every interval; a model truly worse by a margin passes in at most half of what is left of 1."""
    detection_margin: Margin = 0.05
    """Detection rate over all parts: at most this much lower. 0.05 needs 73 defects when the models never differ, more when they do."""
    false_positive_margin: Margin = 0.03
    """False-positive rate over all parts: at most this much higher. 0.03 needs 125 good parts when the models never differ."""
    variant_detection_margin: Margin = 0.10
    """The same for every variant that the active model serves, so that none is forgotten; 0.10 needs 35 defects of each."""
    variant_false_positive_margin: Margin = 0.06
    """0.06 needs 61 good parts of each variant."""
    environment_detection_margin: Margin = 0.15
    environment_false_positive_margin: Margin = 0.10
    environment_min_parts: Count = 40
    """An environment (light, camera) with fewer defects (good parts) than this is judged only as a part of the whole."""
    superiority: Literal["none", "detection", "false_positive", "either"] = "none"
    """Not only not worse: significantly better in this."""
    calibration_tolerance: Margin = 0.05
    """How far the rates at reject_at may be off what the candidate's card promises, beyond chance."""
    robustness_parts: Count = 200
    """Parts that are disturbed (light, contrast, blur, noise, shift, JPEG), half of them defects."""
    robustness_margin: Margin = 0.05
    """Right answers over all disturbances together: at most this share lower than the active model's (0.05 needs 55 parts at least); under one alone twice as much."""
    latency_p95_ms: Positive = 500.0
    """Preprocessing and inference of one part on this device; leave room below the recipes' deadlines."""
    latency_ratio: Positive = 2.0
    """At most this many times the active model's median."""
    latency_runs: Annotated[int, Field(ge=10)] = 30
    size_mb: Positive = 200.0
    """Of model.onnx."""
    require_signature: bool = False
    require_data_checks: bool = True
    """The checks of the training data must have been run (give the gate the training data) and must have found no error."""

    def to_rules(self) -> GateRules:
        return GateRules(**self.model_dump())


def load_gate(path: Path) -> GateRules:
    """Raises ConfigError."""
    return load_file(path, GateSettings).to_rules()
