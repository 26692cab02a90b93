"""Rates over time with their intervals, goals, agreement and evidence; and what cannot be estimated, and why."""

from collections.abc import Callable

from qc.console.endpoint import Call, Endpoint
from qc.console.schema.quality import QualityAnswer, QualityQuery

QualityReader = Callable[[QualityQuery], QualityAnswer]


class QualityApi:
    def __init__(self, read: QualityReader) -> None:
        self._read = read

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/v1/quality", self._quality, QualityAnswer, "Rates with intervals, agreement and evidence",
                query=QualityQuery, tag="quality",
            )
        ]  # fmt: skip

    def _quality(self, call: Call) -> QualityAnswer:
        return self._read(call.query)
