"""uvicorn in a thread of its own, so that a slow browser cannot slow the line."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from qc.domain.errors import ConfigError

log = structlog.get_logger(__name__)


class HttpServer:
    """Serves an ASGI application. The port is bound on construction, so that a busy one is noticed before the line starts."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        behind_proxy: bool = False,
    ) -> None:
        """port 0 takes a free one. Raises ConfigError when the port cannot be bound or the TLS files cannot be used."""
        self._socket = bind_port(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.url = f"http{'s' if cert_file else ''}://{host}:{self.port}"
        config = uvicorn.Config(
            app,
            log_config=None,  # ours: one form for all logs (commands/logs.py)
            log_level="warning",
            access_log=False,
            ssl_certfile=cert_file,
            ssl_keyfile=key_file,
            proxy_headers=behind_proxy,
            server_header=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=200,
            h11_max_incomplete_event_size=64 * 1024,
            lifespan="off",
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            self._socket.close()
            raise ConfigError(f"http.tls_cert_file / tls_key_file: {error}") from None
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="qc-http", daemon=True)

    def start(self) -> None:
        self._thread.start()
        log.info("http_listening", url=self.url)

    def close(self) -> None:
        """Stop within about a second; open streams are cut."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(1.0)
            self._server.force_exit = True
            self._thread.join(1.0)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # pages give way to inspecting: Linux has a priority per thread, and workers inherit it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        self._server.run(sockets=[self._socket])


def bind_port(host: str, port: int) -> socket.socket:
    """A listening-ready TCP socket; port 0 takes a free one. Raises ConfigError that names the settings."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off for accepted connections; else every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"http.host / http.port: {host}:{port} cannot be used: {error.strerror}; choose another port, or 0 for any"
        ) from None
    return listener
