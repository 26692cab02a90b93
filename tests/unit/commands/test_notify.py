"""systemd hears when the line is ready, that it makes progress, and that it stops."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from tests.system.edge_process import write_settings

from qc.commands.notify import ServiceNotifier
from qc.commands.run import run_edge
from qc.settings import load_line, load_recipes
from qc.wiring import build_edge


@dataclass
class Systemd:
    """The other end of NOTIFY_SOCKET."""

    address: str
    end: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    def heard(self) -> list[str]:
        self.end.setblocking(False)
        messages = []
        while True:
            try:
                messages.append(self.end.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with TemporaryDirectory(prefix="qc-") as short:  # a socket's path may have 107 characters only
        systemd = Systemd(f"{short}/notify")
        systemd.end.bind(systemd.address)
        with systemd.end:
            yield systemd


def test_each_word_is_one_datagram_of_the_protocol(systemd: Systemd) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": systemd.address})
    notifier.ready("inspecting cell with m1")
    notifier.alive()
    notifier.stopping()
    assert systemd.heard() == ["READY=1\nSTATUS=inspecting cell with m1", "WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_socket_is_written_with_an_at_sign(tmp_path: Path) -> None:
    systemd = Systemd(f"@qc-{tmp_path}"[:100])
    systemd.end.bind("\0" + systemd.address[1:])
    with systemd.end:
        ServiceNotifier({"NOTIFY_SOCKET": systemd.address}).alive()
        assert systemd.heard() == ["WATCHDOG=1"]


def test_without_systemd_nothing_happens_and_a_deaf_one_ends_nothing(tmp_path: Path) -> None:
    ServiceNotifier({}).ready("x")
    ServiceNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).alive()


def test_an_edge_says_ready_alive_and_stopping(systemd: Systemd, tmp_path: Path) -> None:
    settings = load_line(write_settings(tmp_path, 1, mqtt="enabled = false"), {})
    edge = build_edge(settings, load_recipes(settings.recipes.directory))
    stop, rounds = threading.Event(), []

    def tick() -> None:
        rounds.append(1)
        if len(rounds) == 3:
            stop.set()

    run_edge(edge, stop, notifier=ServiceNotifier({"NOTIFY_SOCKET": systemd.address}), tick=tick)
    heard = systemd.heard()
    assert heard[0] == "READY=1\nSTATUS=inspecting cell with tiny"
    assert heard[1:-1] == ["WATCHDOG=1"] * 3
    assert heard[-1] == "STOPPING=1"


def test_the_watchdog_is_kicked_only_while_the_pipeline_makes_progress(systemd: Systemd) -> None:
    stop, health = threading.Event(), iter([True, False, False, True])

    def healthy() -> bool:
        state = next(health, None)
        if state is None:
            stop.set()
        return bool(state)

    recipe = SimpleNamespace(variant="cell", model_id="m1")
    line = SimpleNamespace(setup=SimpleNamespace(recipe=recipe), healthy=healthy, finished=lambda: False)
    edge: Any = SimpleNamespace(name="e", line=line, start=lambda: None, stop=lambda: None)
    run_edge(edge, stop, notifier=ServiceNotifier({"NOTIFY_SOCKET": systemd.address}))
    assert systemd.heard()[1:] == ["WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_an_edge_that_fails_at_its_start_never_says_ready(systemd: Systemd) -> None:
    def fails() -> None:
        raise OSError("no threads left")

    edge: Any = SimpleNamespace(start=fails)
    with pytest.raises(OSError, match="no threads"):
        run_edge(edge, threading.Event(), notifier=ServiceNotifier({"NOTIFY_SOCKET": systemd.address}))
    assert systemd.heard() == []
