"""Sources without a camera, for tests and demonstrations; they pass the same contract tests as the real ones."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from qc.domain.errors import BadImage, CameraLost
from qc.domain.frame import Pixels
from qc.domain.ports import Clock
from qc.ingest.live import Grab
from qc.ingest.lossless import Item, LosslessSource, Picture


class ScriptedSource(LosslessSource):
    """Gives the listed items in order, then ends. A list entry may be pixels, a Picture, BadImage, CameraLost or None (a wait)."""

    def __init__(
        self,
        camera_id: str,
        script: Sequence[Pixels | Item],
        *,
        loop: bool = False,
        clock: Clock | None = None,
        poll_s: float = 0.01,
    ) -> None:
        super().__init__(camera_id, clock=clock, poll_s=poll_s)
        self._script = script
        self._loop = loop

    def _items(self) -> Iterator[Item]:
        while True:
            for entry in self._script:
                yield entry if isinstance(entry, Picture | BadImage | CameraLost | None) else Picture(entry)
            if not self._loop:
                return


class FakeCamera:
    """A live camera whose cable and driver the test holds in its hand: ``LiveSource("cam", fake.connect)``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._buffer: deque[Grab | BadImage] = deque()
        self._plugged = True
        self._hanging = False
        self._idle = False
        self.connects = 0

    def show(self, pixels: Pixels | BadImage, stream_time_s: float | None = None) -> None:
        """The camera takes a picture."""
        with self._changed:
            self._buffer.append(pixels if isinstance(pixels, BadImage) else Grab(pixels, stream_time_s))
            self._changed.notify_all()

    def wait_drained(self, timeout_s: float = 10.0) -> bool:
        """Until the source has taken every picture shown and asks for more; False when it did not."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._buffer, timeout_s)

    def unplug(self) -> None:
        with self._changed:
            self._plugged = False
            self._buffer.clear()
            self._changed.notify_all()

    def plug(self) -> None:
        with self._changed:
            self._plugged = True

    def hang(self, hanging: bool = True) -> None:
        """From now on neither connecting nor grabbing returns, like a driver that lost its device; False ends it."""
        with self._changed:
            self._hanging = hanging
            self._changed.notify_all()

    def connect(self) -> "_FakeConnection":
        with self._changed:
            self.connects += 1
            connection = _FakeConnection(self, self.connects)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hanging)
            if not self._plugged:
                raise CameraLost("fake camera: unplugged")
        return connection

    def _grab(self, connection: int) -> Grab:
        """The next picture; like most cameras, this one serves its newest connection only."""
        with self._changed:
            self._idle = not self._buffer
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: not self._hanging and (self._buffer or not self._plugged or connection != self.connects)
            )
            if not self._plugged or connection != self.connects:
                raise CameraLost("fake camera: unplugged")
            self._idle = False
            picture = self._buffer.popleft()
        if isinstance(picture, BadImage):
            raise picture
        return picture


class _FakeConnection:
    def __init__(self, camera: FakeCamera, number: int) -> None:
        self._camera = camera
        self._number = number

    def grab(self) -> Grab:
        return self._camera._grab(self._number)

    def close(self) -> None:
        """Nothing to release."""
