"""A real broker on loopback: mosquitto where it is installed (it costs the least), else the demo's embedded one."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qc.commands.embedded_broker import EmbeddedBroker, free_port
from qc.domain.errors import ConfigError, PublishError
from qc.publish.client import EdgeWatcher
from qc.publish.link import MqttOptions

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


@contextmanager
def broker() -> Iterator[int]:
    """The port. Raises ConfigError when neither is there."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path=_PATH)
    if program is None:
        with EmbeddedBroker(0) as embedded:
            yield embedded.port
        return
    port = free_port(0)
    with tempfile.TemporaryDirectory(prefix="qc-story-") as name:
        config = Path(name) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", "utf-8")
        process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + 30
    while True:
        try:
            with EdgeWatcher(MqttOptions("127.0.0.1", port)):
                return
        except PublishError as error:
            if time.monotonic() > until_s:
                raise ConfigError(f"mosquitto does not start on port {port}: {error}") from error
            time.sleep(0.1)
