"""What a candidate must show: the values of ``configs/gate.toml``."""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class GateRules:
    """Margins are absolute differences of rates: 0.05 is five points. See ``qc.settings.gate`` for each key's meaning."""

    confidence: float = 0.95
    detection_margin: float = 0.05
    false_positive_margin: float = 0.03
    variant_detection_margin: float = 0.10
    variant_false_positive_margin: float = 0.06
    environment_detection_margin: float = 0.15
    environment_false_positive_margin: float = 0.10
    environment_min_parts: int = 40
    superiority: str = "none"
    calibration_tolerance: float = 0.05
    robustness_parts: int = 200
    robustness_margin: float = 0.05
    latency_p95_ms: float = 500.0
    latency_ratio: float = 2.0
    latency_runs: int = 30
    size_mb: float = 200.0
    require_signature: bool = False
    require_data_checks: bool = True

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
