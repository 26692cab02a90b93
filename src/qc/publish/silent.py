"""The publisher of an edge without a broker."""

from collections.abc import Mapping

import structlog

from qc.domain.errors import StoreError
from qc.domain.ports import RecordStore
from qc.domain.publishing import PublisherStatus
from qc.domain.record import Json, OutboxDepth

log = structlog.get_logger(__name__)


class SilentPublisher:
    """Settles every event at once: nobody waits for it, so nothing may pile up or keep pictures from ageing out."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def start(self) -> None:
        self.wake()

    def wake(self) -> None:
        """A store that cannot be written now is tried again with the next event; the caller goes on."""
        try:
            while rows := self._store.pending(0, 500):
                self._store.mark_sent([row.seq for row in rows])
        except StoreError as error:
            log.warning("events_not_settled", error=str(error))

    def state(self, name: str, body: Mapping[str, Json]) -> None:
        """Nobody listens."""

    def status(self) -> PublisherStatus:
        return PublisherStatus(connected=False, server="none (mqtt.enabled = false)", depth=self._depth())

    def _depth(self) -> OutboxDepth | None:
        try:
            return self._store.depth()
        except StoreError:
            return None

    def close(self, timeout_s: float = 2.0) -> None:
        """Nothing is open."""
