"""A video file as a source: every picture in order, none dropped."""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from qc.domain.errors import BadImage, CameraLost
from qc.domain.frame import CameraFault, Pixels
from qc.domain.ports import Clock
from qc.ingest.decode import DEFAULT_MAX_MEGAPIXELS
from qc.ingest.lossless import Item, LosslessSource, Picture


class VideoFile(LosslessSource):
    """The pictures of the file's first video stream; source_ref is ``name#index``, the trigger gives the part ids.

    paced: deliver no faster than the file's own frame rate; otherwise as fast as they are read. A file that does not
    exist or is no video makes the source lost; it is tried again.
    """

    def __init__(
        self,
        camera_id: str,
        path: Path,
        *,
        paced: bool = False,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        clock: Clock | None = None,
        poll_s: float = 1.0,
    ) -> None:
        super().__init__(camera_id, clock=clock, poll_s=poll_s)
        self._path = path
        self._paced = paced
        self._max_megapixels = max_megapixels

    def _items(self) -> Iterator[Item]:
        while True:
            try:
                container = av.open(str(self._path))
                break
            except FFmpegError as error:
                yield CameraLost(f"video {self._path}: {error.strerror}")
        with container:
            yield from self._pictures(container)

    def _pictures(self, container: InputContainer) -> Iterator[Item]:
        if not container.streams.video:
            yield BadImage(f"video {self._path.name}: holds no video stream", source_ref=self._path.name)
            return
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        megapixels = stream.codec_context.width * stream.codec_context.height / 1e6
        if megapixels > self._max_megapixels:
            yield BadImage(
                f"video {self._path.name}: {megapixels:.1f} megapixels; the limit is {self._max_megapixels:g}",
                source_ref=self._path.name,
            )
            return
        began: float | None = None
        index = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except FFmpegError as error:
                yield self._damaged(index, f"damaged: {error.strerror}")
                index += 1
                continue
            if packet is None:
                return
            for frame in frames:
                if self._paced and frame.time is not None:
                    began = time.monotonic() - frame.time if began is None else began
                    self._stop.wait(max(0.0, began + frame.time - time.monotonic()))
                    self._answering()
                if frame.is_corrupt:
                    yield self._damaged(index, "damaged")
                else:
                    yield Picture(pixels_of(frame), source_ref=f"{self._path.name}#{index}")
                index += 1

    def _damaged(self, index: int, what: str) -> BadImage:
        reference = f"{self._path.name}#{index}"
        return BadImage(f"video picture {reference}: {what}", source_ref=reference, fault=CameraFault.TRUNCATED)


def pixels_of(frame: av.VideoFrame) -> Pixels:
    """(H, W, 3) uint8 BGR copy of a decoded video picture."""
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
