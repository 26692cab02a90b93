"""Reports and audits as JSON: the dataclasses' own field names, ISO 8601 times, null for what is not known."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum

import numpy as np

from qc.domain.record import Json
from qc.goals.report import Report

REPORT_FORMAT = "qc.report/1"


def report_json(report: Report) -> dict[str, Json]:
    """Shares lie in [0, 1], ``*_ppm`` in parts per million, costs in money per month, times in UTC."""
    body = plain(report)
    assert isinstance(body, dict)
    return {"format": REPORT_FORMAT, **body}


def plain(value: object) -> Json:
    """Anything made of dataclasses, mappings, sequences, enums, times and numbers. Raises TypeError for the rest."""
    found: Json
    match value:
        case None | bool() | str() if not isinstance(value, Enum):
            found = value
        case Enum():
            found = plain(value.value)
        case int() | np.integer():
            found = int(value)
        case float() | np.floating():
            found = float(value) if math.isfinite(value) else None
        case date():
            found = value.isoformat()
        case Mapping():
            found = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            found = [plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            found = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
    return found
