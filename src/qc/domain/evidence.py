"""The past of the detectors' evidence, hour by hour: what a report draws."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EvidenceHour:
    """One quantity of one slice in one hour (UTC, full hours): natural logarithms of its e-value, last and highest, and of the alarm threshold."""

    hour: datetime
    quantity: str
    slice: str
    log_value: float
    highest: float
    log_threshold: float
