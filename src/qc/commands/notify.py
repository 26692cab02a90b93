"""systemd's notification protocol: readiness and a watchdog that is kicked by the pipeline's progress, not by a timer."""

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)


class ServiceNotifier:
    """Speaks to ``NOTIFY_SOCKET``; does nothing when the process does not run under systemd."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(message.encode(), address)
        except OSError as error:  # a line that inspects does not end because nobody listens
            log.warning("systemd_not_told", socket=self._address, error=str(error))
