"""What the browsers of busy consoles do, without drawing: live stream, picture and heat map of the newest part, other pages' polls.

usage: console_clients.py PORT CONSOLES; runs until standard input ends, then prints how many answers it got.
"""

import asyncio
import json
import os
import socket
import sys
import time

_PAUSE_S = 0.2
"""As in the page: a picture that is shown for less is not seen."""


class Console:
    def __init__(self, port: int) -> None:
        self._port = port
        self.answers = 0
        self._newest: dict[str, str] | None = None
        self._changed = asyncio.Event()

    async def run(self, connected: asyncio.Barrier) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"retry")
        await connected.wait()
        await asyncio.gather(self._listen(reader), self._pictures(), self._polls())

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"data: ["):
                self.answers += 1
                self._newest = json.loads(line[6:])[-1]
                self._changed.set()

    async def _pictures(self) -> None:
        shown = ""
        while True:
            await self._changed.wait()
            self._changed.clear()
            part = self._newest
            if part is None or part["event_id"] == shown or part["image"] is None:
                continue
            began_s = time.monotonic()
            await self._get(f"{part['image']}?size=screen", part["heatmap"])
            shown = part["event_id"]
            await asyncio.sleep(max(0.0, _PAUSE_S - (time.monotonic() - began_s)))

    async def _polls(self) -> None:
        while True:
            await self._get("/api/v1/alarms", "/api/v1/line", "/api/v1/labels/progress")
            await asyncio.sleep(3)

    async def _get(self, *paths: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(row.split(b":")[1]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length")), 0
            )
            await reader.readexactly(length)
            self.answers += 1
        writer.close()


def hostile(port: int) -> list[socket.socket]:
    """Asks for everything and reads nothing."""
    asked = []
    for path in ["/api/v1/live", *["/static/vendor/mqtt-5.16.0.js"] * 10]:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.connect(("127.0.0.1", port))
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        asked.append(line)
    return asked


async def main(port: int, consoles: int) -> None:
    held = hostile(port)
    connected = asyncio.Barrier(consoles + 1)
    everyone = [Console(port) for _ in range(consoles)]
    tasks = [asyncio.create_task(console.run(connected)) for console in everyone]
    await connected.wait()
    print("connected", flush=True)
    began_s = time.monotonic()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    took_s = time.monotonic() - began_s
    print(f"{sum(console.answers for console in everyone) / took_s:.0f} answers/s", flush=True)
    for line in held:
        line.close()
    os._exit(0)


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
