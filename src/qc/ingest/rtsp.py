"""An RTSP camera, read with PyAV: unlike OpenCV's reader it raises cleanly when the server is silent."""

import time
from collections import deque
from urllib.parse import urlsplit, urlunsplit

import av
from av.error import ExitError, FFmpegError

from qc.domain.errors import BadImage, CameraLost
from qc.domain.frame import CameraFault
from qc.domain.ports import Clock
from qc.ingest.live import Grab, LiveLimits, LiveSource
from qc.ingest.video import pixels_of


class RtspConnection:
    """One session. Raises CameraLost; its messages never hold the credentials that the URL may carry."""

    def __init__(self, url: str, *, transport: str = "tcp", open_timeout_s: float = 5.0, read_timeout_s: float = 5.0) -> None:
        self._name = without_credentials(url)
        self._read_timeout_s = read_timeout_s
        self._timeouts = f"no answer within {open_timeout_s:g} s to open, {read_timeout_s:g} s to read"
        options = {
            "rtsp_transport": transport,
            "timeout": str(round(read_timeout_s * 1e6)),  # of the socket, microseconds; av's own time-out guards the rest
            "fflags": "nobuffer",
            "flags": "low_delay",
            "fpsprobesize": "0",  # do not wait for 20 frames to guess a frame rate that nobody needs
        }
        try:
            self._container = av.open(url, options=options, timeout=(open_timeout_s, read_timeout_s))
        except (FFmpegError, ValueError) as error:
            raise self._lost(error) from None  # the original message holds the URL with its password
        if not self._container.streams.video:
            self._container.close()
            raise CameraLost(f"{self._name}: the server offers no video")
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads would hold back one frame per thread
        self._packets = self._container.demux(stream)
        self._frames: deque[av.VideoFrame] = deque()

    def grab(self) -> Grab:
        while not self._frames:
            self._decode_packet()
        frame = self._frames.popleft()
        if frame.is_corrupt:
            raise BadImage(f"{self._name}: damaged video frame", source_ref=self._name, fault=CameraFault.TRUNCATED)
        return Grab(pixels_of(frame), frame.time)

    def close(self) -> None:
        self._container.close()

    def _decode_packet(self) -> None:
        began = time.monotonic()
        try:
            packet = next(self._packets)
        except StopIteration:
            raise CameraLost(f"{self._name}: the server ended the stream") from None
        except FFmpegError as error:
            raise self._lost(error) from None
        if time.monotonic() - began >= 0.95 * self._read_timeout_s:
            # Silence: at the time-out the demuxer gives the last frame, which it had held back. That one is as old as the time-out.
            raise self._lost(TimeoutError())
        try:
            self._frames.extend(frame for frame in packet.decode() if isinstance(frame, av.VideoFrame))
        except FFmpegError as error:
            raise BadImage(
                f"{self._name}: damaged video data: {error.strerror}", source_ref=self._name, fault=CameraFault.TRUNCATED
            ) from None

    def _lost(self, error: Exception) -> CameraLost:
        if isinstance(error, ExitError | TimeoutError):  # av ends a call that takes too long in this way
            reason: str | None = self._timeouts
        else:
            reason = error.strerror if isinstance(error, FFmpegError) else type(error).__name__
        return CameraLost(f"{self._name}: {reason}")


def rtsp_source(
    camera_id: str,
    url: str,
    *,
    transport: str = "tcp",
    open_timeout_s: float = 5.0,
    read_timeout_s: float = 5.0,
    limits: LiveLimits | None = None,
    clock: Clock | None = None,
) -> LiveSource:
    """url: ``rtsp://[user:password@]host[:port]/path``. transport: ``tcp`` (no damaged frames) or ``udp``.

    limits: the default watchdog leaves the library its time-outs for opening, reading and closing.
    """
    return LiveSource(
        camera_id,
        lambda: RtspConnection(url, transport=transport, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s),
        source_ref=without_credentials(url),
        limits=limits or LiveLimits(watchdog_s=open_timeout_s + 2 * read_timeout_s + 5.0),
        clock=clock,
    )


def without_credentials(url: str) -> str:
    """
    >>> without_credentials("rtsp://admin:secret@10.0.0.7:554/stream?x=1")
    'rtsp://10.0.0.7:554/stream?x=1'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
