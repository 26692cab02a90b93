"""The live stream: newest parts and the line's state to every browser, without the line ever waiting for one.

The line's thread drops a part into a short deque and, at most once per wake-up, pokes the event loop: some microseconds. Each
browser has its own bounded slot in which newer replaces older; one that reads slowly misses parts and is cut off when it takes
nothing for SEND_TIMEOUT_S.
"""

import asyncio
import contextlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from qc.domain.frame import Pixels, Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord

log = structlog.get_logger(__name__)

STRIP = 30
"""Parts that the page's strip shows, and that a slot holds at most."""
KEEP_BYTES = 48_000_000
"""Pixels kept for the live picture: three frames of 5 megapixels, or hundreds of small ones (at most STRIP)."""
MAX_VIEWERS = 64
MIN_GAP_S = 0.15
"""More updates a second than an eye follows."""
STATUS_S = 1.0
SEND_TIMEOUT_S = 10.0
MAX_AGE_S = 600.0
"""A stream ends after this long and the browser opens the next one: rights are looked at again."""


@dataclass(frozen=True, slots=True)
class LivePicture:
    """pixels as in Frame; inspection None when no model saw the part."""

    pixels: Pixels
    inspection: Inspection | None


class LiveFeed:
    """An Observer that remembers the last parts and wakes the streams."""

    def __init__(self, keep_bytes: int = KEEP_BYTES) -> None:
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()
        self._records: deque[InspectionRecord] = deque(maxlen=STRIP)
        self._pictures: OrderedDict[str, LivePicture] = OrderedDict()
        self._bytes = 0
        self._poke: Callable[[], None] | None = None
        self._poked = False

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        with self._lock:
            self._records.append(record)
            if shot.frame is not None:
                self._keep(record.event_id, LivePicture(shot.frame.pixels, inspection))
            if self._poke is None or self._poked:
                return
            self._poked = True
            poke = self._poke
        poke()

    def listen(self, poke: Callable[[], None] | None) -> None:
        """poke: called from the line's thread after a part, once until ``since`` is asked; None: nobody listens."""
        with self._lock:
            self._poke, self._poked = poke, False

    def since(self, seq: int) -> list[InspectionRecord]:
        """The remembered records with a greater seq, oldest first."""
        with self._lock:
            self._poked = False
            return [record for record in self._records if record.seq > seq]

    def picture(self, event_id: str) -> LivePicture | None:
        with self._lock:
            return self._pictures.get(event_id)

    def _keep(self, event_id: str, picture: LivePicture) -> None:
        self._pictures[event_id] = picture
        self._bytes += picture.pixels.nbytes
        while len(self._pictures) > 1 and (self._bytes > self._keep_bytes or len(self._pictures) > STRIP):
            _, oldest = self._pictures.popitem(last=False)
            self._bytes -= oldest.pixels.nbytes


class _Slot:
    """What one browser has not been sent yet."""

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque(maxlen=STRIP)
        self.status: bytes | None = None
        self.ready = asyncio.Event()

    def take(self) -> bytes:
        self.ready.clear()
        message = b""
        if self.parts:
            message += b"event: parts\ndata: [" + b",".join(self.parts) + b"]\n\n"
            self.parts.clear()
        if self.status is not None:
            message += b"event: status\ndata: " + self.status + b"\n\n"
            self.status = None
        return message


class LiveStreams:
    """All open streams. Lives in the event loop; only ``feed`` is touched by the line."""

    def __init__(
        self, feed: LiveFeed, part_json: Callable[[InspectionRecord], bytes], status_json: Callable[[int], bytes]
    ) -> None:
        """status_json(viewers): called once a second in a worker thread while somebody watches."""
        self._feed = feed
        self._part_json = part_json
        self._status_json = status_json
        self._slots: set[_Slot] = set()
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=STRIP)
        self._status: bytes | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> int:
        return len(self._slots)

    @property
    def full(self) -> bool:
        return len(self._slots) >= MAX_VIEWERS

    async def serve(self, receive: Receive, send: Send) -> None:
        """One browser, until it leaves, takes nothing for SEND_TIMEOUT_S or MAX_AGE_S have passed."""
        slot = _Slot()
        self._open(slot)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            async with asyncio.timeout(MAX_AGE_S):
                await self._send_all(slot, gone, send)
        except TimeoutError:
            log.debug("live_stream_ended")
        finally:
            gone.cancel()
            self._close(slot)

    async def _send_all(self, slot: _Slot, gone: "asyncio.Future[Any]", send: Send) -> None:
        await _send(send, b"retry: 1000\n\n")
        while not gone.done():
            waiting: asyncio.Future[Any] = asyncio.ensure_future(slot.ready.wait())
            await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if gone.done():
                return
            await _send(send, slot.take())
            await asyncio.sleep(MIN_GAP_S)

    def _open(self, slot: _Slot) -> None:
        if not self._slots:
            loop = asyncio.get_running_loop()

            def poke() -> None:
                with contextlib.suppress(RuntimeError):  # the server is closing; the line goes on
                    loop.call_soon_threadsafe(self._spread)

            self._feed.listen(poke)
            self._ticker = loop.create_task(self._tick())
        self._spread()  # before the slot is known, or it would get the newest parts twice
        self._slots.add(slot)
        slot.parts.extend(text for _, text in self._recent)
        slot.status = self._status
        slot.ready.set()

    def _close(self, slot: _Slot) -> None:
        self._slots.discard(slot)
        if not self._slots:
            self._feed.listen(None)
            if self._ticker is not None:
                self._ticker.cancel()
                self._ticker = None

    def _spread(self) -> None:
        last = self._recent[-1][0] if self._recent else 0
        new = [(record.seq, self._part_json(record)) for record in self._feed.since(last)]
        if not new:
            return
        self._recent.extend(new)
        for slot in self._slots:
            slot.parts.extend(text for _, text in new)
            slot.ready.set()

    async def _tick(self) -> None:
        while True:
            try:
                self._status = await run_in_threadpool(self._status_json, len(self._slots))
            except Exception:  # the stream must go on; a page without status shows that the edge is stale
                log.exception("live_status_failed")
            else:
                for slot in self._slots:
                    slot.status = self._status
                    slot.ready.set()
            await asyncio.sleep(STATUS_S)


class LiveResponse:
    """The ASGI answer that hands a request over to LiveStreams."""

    def __init__(self, streams: LiveStreams) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._streams.serve(receive, send)
        message: dict[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}
        await asyncio.wait_for(send(message), SEND_TIMEOUT_S)


async def _send(send: Send, text: bytes) -> None:
    message: Message = {"type": "http.response.body", "body": text, "more_body": True}
    await asyncio.wait_for(send(message), SEND_TIMEOUT_S)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
