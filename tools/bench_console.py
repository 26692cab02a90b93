"""The line with five busy consoles and a hostile slow reader against the same line with none; how soon a page shows a verdict."""

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rig import Rig, Stopwatch, cells

from qc.commands.logs import set_up_logs
from qc.console.app import WebConsole, console_app
from qc.console.server import HttpServer
from qc.domain.frame import Shot
from qc.domain.inspection import Inspection
from qc.domain.record import InspectionRecord

CLIENTS = Path(__file__).parent / "benchmarks" / "console_clients.py"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py console", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="pairs of measurements, in alternating order")
    parser.add_argument("--parts", type=int, default=300, help="parts per measurement")
    parser.add_argument("--consoles", type=int, default=5)
    parser.add_argument("--skip-browser", action="store_true")
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    with ConsoleRig() as rig:
        rig.seconds_for(100)
        _throughput(rig, options.rounds, options.parts, options.consoles)
        if not options.skip_browser:
            _browser(rig)
    return 0


class _Watch(Stopwatch):
    """Stopwatch and console together: what observes the line."""

    def __init__(self) -> None:
        super().__init__()
        self.web = WebConsole()

    def inspected(self, record: InspectionRecord, shot: Shot, inspection: Inspection | None) -> None:
        self.web.inspected(record, shot, inspection)
        super().inspected(record, shot, inspection)


class ConsoleRig(Rig):
    """A running edge that serves its console on a free port."""

    def __init__(self) -> None:
        super().__init__(cells())
        self.watch = _Watch()

    def __enter__(self) -> "ConsoleRig":
        super().__enter__()
        self.watch.web.metrics.watch(self.edge)
        self.server = HttpServer(console_app(self.edge, self.edge.settings.http, self.watch.web), "127.0.0.1", 0)
        self.server.start()
        self._stack.callback(self.server.close)
        return self


@contextmanager
def _clients(rig: ConsoleRig, consoles: int) -> Iterator[None]:
    """Busy consoles in a process of lowest priority: in a plant they run on other machines."""
    program = [sys.executable, str(CLIENTS), str(rig.server.port), str(consoles)]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()  # all of them are connected
    yield
    process.stdin.close()
    requests = process.stdout.readline().strip()
    process.wait(20)
    rig.requests = requests


def _throughput(rig: ConsoleRig, rounds: int, parts: int, consoles: int) -> None:
    ratios, alone_s, watched_s = [], [], []
    for number in range(rounds):
        pair: dict[bool, float] = {}
        for watched in (number % 2 == 0, number % 2 != 0):
            if watched:
                with _clients(rig, consoles):
                    pair[True] = rig.seconds_for(parts)
            else:
                pair[False] = rig.seconds_for(parts)
        alone_s.append(pair[False])
        watched_s.append(pair[True])
        ratios.append(pair[False] / pair[True])
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"alone              {parts / statistics.median(alone_s):8.1f} parts/s (median of {rounds})")
    print(f"{consoles} consoles + slow  {parts / statistics.median(watched_s):8.1f} parts/s; one round: {rig.requests}")
    print(f"throughput ratio   {middle:8.3f}  (quartiles {low:.3f} .. {high:.3f}; goal >= 0.97)")


def _browser(rig: ConsoleRig, rate: float = 5.0) -> None:
    """Chromium on the same machine, parts at a fixed rate."""
    from playwright.sync_api import sync_playwright

    stop = threading.Event()

    def feed() -> None:
        while not stop.wait(1 / rate):
            rig.camera.ask(1)

    threading.Thread(target=feed, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        ready_ms, latencies = [], []
        for _ in range(7):
            page = browser.new_page()
            page.goto(rig.server.url, wait_until="commit")
            page.wait_for_selector(".big")
            ready_ms.append(page.evaluate("performance.now()"))
            page.wait_for_timeout(5000)
            latencies += page.evaluate("window.qcLatencies")
            page.close()
        browser.close()
    stop.set()
    latencies.sort()
    print(f"page ready         {statistics.median(ready_ms):8.0f} ms (median of {len(ready_ms)}; goal < 1000)")
    print(
        f"verdict to pixel   {statistics.median(latencies):8.0f} ms median, p95 {latencies[int(len(latencies) * 0.95)]:.0f} ms "
        f"({len(latencies)} parts at {rate:g}/s; goal < 300)"
    )
