"""The demo's MQTT broker: iotcore (rumqttd) on loopback, in a child process; memory only."""

import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from qc.domain.errors import ConfigError

_CONFIG = """
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 200
dynamic_filters = true
"""
"""A v5 listener on loopback only: iotcore's own default listens on every interface and speaks 3.1.1."""

_TRIES = 20


class EmbeddedBroker:
    """A context manager; ``port`` is the one really used. Raises ConfigError when it cannot start."""

    def __init__(self, port: int) -> None:
        """port: the first to try; a busy one is chosen around, 0 takes any free one."""
        self.port = free_port(port)
        self._folder = tempfile.TemporaryDirectory(prefix="qc-broker-")
        self._broker: Any = None

    def __enter__(self) -> "EmbeddedBroker":
        try:
            from iotcore import Broker
        except ImportError:
            raise ConfigError("the demo needs the demo extra: pip install 'qc-edge[demo]'") from None
        config = Path(self._folder.name) / "rumqttd.toml"
        config.write_text(_CONFIG.format(port=self.port), "utf-8")
        try:
            self._broker = Broker(config_path=str(config)).start()
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"the embedded broker does not start on port {self.port}: {error}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._broker is not None:
            self._broker.stop()
        self._folder.cleanup()


def free_port(wanted: int) -> int:
    """``wanted`` when it is free on loopback, else the next free one above it; 0: any."""
    for port in range(wanted, wanted + _TRIES) if wanted else [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(f"ports {wanted} to {wanted + _TRIES - 1} are all in use; choose another one, or 0 for any")
