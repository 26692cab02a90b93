"""What every answer of the console carries, and which hosts it may be asked as."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qc.console.endpoint import problem

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'{broker}; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware. hosts: names that may stand in the Host header, None for any. broker: the one other host pages may reach."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None, broker: str = "") -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)
        self._policy = _POLICY.format(broker="")
        parts = urlsplit(broker)
        self._edges_policy = _POLICY.format(broker=f" {parts.scheme}://{parts.netloc}" if broker else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if self._hosts is not None and _host(Headers(scope=scope).get("host", "")) not in self._hosts:
            answer = (
                problem("forbidden", "this console answers as localhost only")
                if path.startswith("/api")
                else PlainTextResponse("", 403)
            )
            await answer(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", self._edges_policy if path == "/edges" else self._policy)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if path.startswith("/static/vendor/"):
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"  # the version is in the name
                elif path.startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, send_guarded)


def _host(header: str) -> str:
    """The name in a Host header, without its port: ``[::1]:8080`` -> ``::1``."""
    if header.startswith("["):
        return header[1:].split("]", 1)[0]
    return header.rsplit(":", 1)[0] if header.count(":") == 1 else header
