"""What keeps pictures from being archived, and telling others when it begins and ends."""

import threading
from collections.abc import Callable
from enum import StrEnum

import structlog

log = structlog.get_logger(__name__)


class Trouble(StrEnum):
    """Told once when it begins and once when it ends."""

    NO_ROOM = "no_room"
    """Too little free disk, or pictures that must be kept fill the budget."""
    WRITE_FAILED = "write_failed"
    """The disk refused a picture or its index row (full, quota, read-only, broken)."""


class Troubles:
    """The troubles of now. begin, end and tell are called by one thread; current by any."""

    def __init__(self, on_trouble: Callable[[Trouble, str], None], on_recovered: Callable[[Trouble], None]) -> None:
        self._on_trouble = on_trouble
        self._on_recovered = on_recovered
        self._lock = threading.Lock()
        self._details: dict[Trouble, str] = {}
        self._told: set[Trouble] = set()

    def current(self) -> set[Trouble]:
        with self._lock:
            return set(self._details)

    def begin(self, trouble: Trouble, detail: str) -> None:
        with self._lock:
            if trouble not in self._details:
                log.error("pictures_not_kept", trouble=trouble.value, detail=detail)
            self._details[trouble] = detail
        self.tell()

    def end(self, trouble: Trouble) -> None:
        with self._lock:
            if self._details.pop(trouble, None) is not None:
                log.info("pictures_kept_again", trouble=trouble.value)
        self.tell()

    def tell(self) -> None:
        """Tell what changed. A listener that fails (its own store may be on the full disk) is told again by the next call."""
        try:
            for trouble in self._details.keys() - self._told:
                self._on_trouble(trouble, self._details[trouble])
                self._told.add(trouble)
            for trouble in self._told - self._details.keys():
                self._on_recovered(trouble)
                self._told.discard(trouble)
        except Exception as error:  # the archive's thread must live on whatever a listener does
            log.warning("trouble_not_told", error=str(error))
