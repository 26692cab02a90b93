import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from qc.domain.errors import CameraLost
from qc.domain.frame import CameraState
from qc.ingest.lossless import Item, LosslessSource, Picture

PATIENCE_S = 20.0
PIXELS = np.zeros((2, 2, 3), np.uint8)


class Counting(LosslessSource):
    """Endless; counts what was read ahead."""

    taken = 0

    def _items(self) -> Iterator[Item]:
        while True:
            self.taken += 1
            yield Picture(PIXELS)


class Hanging(LosslessSource):
    """Like a network share that stopped answering."""

    def __init__(self) -> None:
        super().__init__("cam", watchdog_s=0.2)
        self.answer = threading.Event()

    def _items(self) -> Iterator[Item]:
        self.answer.wait(PATIENCE_S)
        yield Picture(PIXELS)


class Crashing(LosslessSource):
    def _items(self) -> Iterator[Item]:
        yield Picture(PIXELS)
        raise ZeroDivisionError("a bug")


def test_memory_is_bounded_while_nobody_reads() -> None:
    source = Counting("cam")
    source.start()
    deadline = time.monotonic() + PATIENCE_S
    while source.taken < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert source.taken == 3, "two wait, one is in hand"
    source.close()


def test_a_hanging_file_system_is_reported_and_forgiven() -> None:
    source = Hanging()
    source.start()
    time.sleep(0.3)
    with pytest.raises(CameraLost, match=r"not returned for 0\.2 s"):
        source.read(0.05)
    source.answer.set()
    assert source.read(PATIENCE_S) is not None
    assert source.status().state is CameraState.CONNECTED
    source.close()


def test_close_does_not_wait_for_a_hanging_file_system() -> None:
    source = Hanging()
    source.start()
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 2.0
    source.answer.set()


def test_a_bug_in_a_source_is_seen_not_taken_for_the_end() -> None:
    source = Crashing("cam")
    source.start()
    assert source.read(PATIENCE_S) is not None
    deadline = time.monotonic() + PATIENCE_S
    while source.status().state is not CameraState.LOST and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(CameraLost, match="a bug"):
        source.read(0)
    source.close()
