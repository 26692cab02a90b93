"""The demo's broker takes the port that is asked for, or the next free one."""

import socket

import pytest
from tests.system.broker import Listener

from qc.commands.embedded_broker import EmbeddedBroker, free_port
from qc.domain.errors import ConfigError


def test_a_free_port_is_taken_as_wanted_and_a_busy_one_is_chosen_around() -> None:
    free = free_port(0)
    assert free_port(free) == free
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        assert busy < free_port(busy) < busy + 20


def test_when_all_ports_are_busy_they_are_named() -> None:
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < 20:  # a whole row of neighbours
            for one in sockets:
                one.close()
            first = free_port(0)
            sockets = []
            for port in range(first, first + 20):
                try:
                    sockets.append(socket.create_server(("127.0.0.1", port)))
                except OSError:
                    break
        with pytest.raises(ConfigError, match=f"ports {first} to {first + 19} are all in use"):
            free_port(first)
    finally:
        for one in sockets:
            one.close()


def test_the_broker_serves_on_loopback_and_chooses_around_a_busy_port() -> None:
    pytest.importorskip("iotcore", reason="the demo extra is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken, EmbeddedBroker(taken.getsockname()[1]) as broker:
        assert broker.port != taken.getsockname()[1]
        with Listener(broker.port, "qc/v1/#", persistent=False) as ear:
            ear.client.publish("qc/v1/s/a/l/e/evt/line", b"{}", qos=1)
            assert ear.wait_until(lambda: len(ear.all()) == 1, 10)
