"""Slows down guessing: so many failed logins per address and per name, then a pause."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES = 5
"""Failed logins that are allowed within WINDOW_S, per address and per user name."""
WINDOW_S = 300.0
_REMEMBERED = 2_000
"""Addresses and names kept in mind; the least recently seen are forgotten, so that a flood cannot fill the memory."""


class LoginGuard:
    """Thread-safe, in memory: a restart forgives."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, name: str) -> float:
        """Seconds until this address may try this name again; 0 when it may now."""
        with self._lock:
            return max(self._wait_s(f"address {address}"), self._wait_s(f"name {name}"))

    def failed(self, address: str, name: str) -> None:
        with self._lock:
            for key in (f"address {address}", f"name {name}"):
                times = self._failures.setdefault(key, deque(maxlen=FAILURES))
                times.append(self._monotonic_s())
                self._failures.move_to_end(key)
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        with self._lock:
            for key in (f"address {address}", f"name {name}"):
                self._failures.pop(key, None)

    def _wait_s(self, key: str) -> float:
        times = self._failures.get(key)
        if times is None or len(times) < FAILURES:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._monotonic_s())
