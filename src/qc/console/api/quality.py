"""Rates over time with their intervals, goals, agreement and evidence; and what cannot be estimated, and why."""

from collections.abc import Callable

from qc.console.endpoint import Call, Endpoint
from qc.console.schema import QualityAnswer, QualityQuery

QualityProvider = Callable[[QualityQuery], QualityAnswer]
"""Reads labels and records and runs the estimators; called in a worker thread, may take a second."""

NOT_YET = "rates are not available on this edge yet"


class QualityApi:
    """provider None: the page says that rates are not available yet."""

    def __init__(self, provider: QualityProvider | None) -> None:
        self._provider = provider

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/v1/quality", self._quality, QualityAnswer, "Rates with intervals, agreement and evidence",
                query=QualityQuery, tag="quality",
            )
        ]  # fmt: skip

    def _quality(self, call: Call) -> QualityAnswer:
        if self._provider is None:
            return QualityAnswer(available=False, message=NOT_YET)
        return self._provider(call.query)
