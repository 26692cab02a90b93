"""The live stream: bounded, newest wins, and the line never waits."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from qc.console.live import STRIP, LiveFeed, LiveStreams
from qc.domain.frame import Frame, Shot
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
RECORD = InspectionRecord(
    event_id="e",
    part_id="p",
    camera_id="cam1",
    captured_at=AT,
    decided_at=AT,
    verdict=Verdict(Decision.OK, Reason.BELOW_REVIEW),
    variant="v",
    recipe_version="r",
    model_id="m",
    model_sha256="0" * 64,
    review_at=0.4,
    reject_at=0.6,
    score=0.1,
)


def give(feed: LiveFeed, seq: int, side: int = 10) -> None:
    frame = Frame(np.zeros((side, side, 3), np.uint8), "cam1", seq, 0, AT)
    feed.inspected(replace(RECORD, seq=seq, event_id=f"e{seq}"), Shot("p", "cam1", 0, AT, frame), None)


def test_the_feed_keeps_the_last_parts_and_their_pictures() -> None:
    feed = LiveFeed()
    for seq in range(1, STRIP + 11):
        give(feed, seq)
    assert [record.seq for record in feed.since(STRIP + 8)] == [STRIP + 9, STRIP + 10]
    assert len(feed.since(0)) == STRIP
    assert feed.picture("e10") is None
    assert feed.picture(f"e{STRIP + 10}") is not None


def test_large_pictures_are_bounded_by_bytes_and_the_newest_stays() -> None:
    feed = LiveFeed(keep_bytes=1000)
    give(feed, 1, side=30)
    assert feed.picture("e1") is not None
    give(feed, 2, side=30)
    assert feed.picture("e1") is None
    assert feed.picture("e2") is not None


def test_the_line_pokes_once_until_somebody_looks() -> None:
    feed = LiveFeed()
    pokes: list[int] = []
    feed.listen(lambda: pokes.append(1))
    give(feed, 1)
    give(feed, 2)
    assert len(pokes) == 1
    feed.since(0)
    give(feed, 3)
    assert len(pokes) == 2
    feed.listen(None)
    give(feed, 4)
    assert len(pokes) == 2


class Browser:
    """An ASGI client that reads when it is told to."""

    def __init__(self) -> None:
        self.text = b""
        self.may_read = asyncio.Event()
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: object) -> None:
        await self.may_read.wait()
        assert isinstance(message, dict)
        self.text += message["body"]


def streams_of(feed: LiveFeed) -> LiveStreams:
    return LiveStreams(feed, lambda record: str(record.seq).encode(), lambda viewers: b'{"viewers": %d}' % viewers)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_browser_gets_what_is_known_and_then_what_comes() -> None:
    async def scene() -> bytes:
        feed = LiveFeed()
        give(feed, 1)
        streams, browser = streams_of(feed), Browser()
        browser.may_read.set()
        task = asyncio.create_task(streams.serve(browser.receive, browser.send))
        await until(lambda: b"data: [1]" in browser.text and b"status" in browser.text)
        await asyncio.to_thread(give, feed, 2)
        await until(lambda: b"data: [2]" in browser.text)
        browser.gone.set()
        await task
        assert streams.viewers == 0
        await asyncio.to_thread(give, feed, 3)  # nobody listens any more
        return browser.text

    text = asyncio.run(scene())
    assert text.startswith(b"retry: 1000\n\n")
    assert b'"viewers": 1' in text
    assert b"3" not in text.split(b"viewers")[-1]


def test_a_slow_browser_misses_parts_and_delays_nobody() -> None:
    async def scene() -> tuple[bytes, bytes]:
        feed = LiveFeed()
        streams, slow, quick = streams_of(feed), Browser(), Browser()
        quick.may_read.set()
        tasks = [asyncio.create_task(streams.serve(browser.receive, browser.send)) for browser in (slow, quick)]
        await until(lambda: b"status" in quick.text)
        for seq in range(1, 101):
            give(feed, seq)
        await until(lambda: b"100]" in quick.text)
        slow.may_read.set()
        await until(lambda: b"100]" in slow.text)
        for browser in (slow, quick):
            browser.gone.set()
        await asyncio.gather(*tasks)
        return slow.text, quick.text

    slow, _ = asyncio.run(scene())
    seen = [int(word) for row in slow.split(b"data: [")[1:] for word in row.split(b"]")[0].split(b",")]
    assert seen == list(range(101 - len(seen), 101))  # the newest ones, in order, each once
    assert len(seen) <= STRIP
