"""``/healthz`` (alive), ``/readyz`` (inspecting and recording) and ``/metrics``."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qc.wiring import Edge


def health_routes(edge: Edge, registry: CollectorRegistry) -> list[Route]:
    """A broker that is away makes an edge neither unhealthy nor unready: the line goes on and the outbox holds the events."""

    def healthz(_request: Request) -> Response:
        ok = edge.line.healthy()
        return JSONResponse({"alive": ok}, status_code=200 if ok else 503)

    def readyz(_request: Request) -> Response:
        status = edge.line.status()
        checks: dict[str, bool] = {
            "running": status.running,
            "storing": status.storing,
            "paused": status.paused,
            "mqtt": edge.publisher.status().connected,
        }
        ready = status.running and status.storing and not status.paused
        return JSONResponse({"ready": ready, **checks}, status_code=200 if ready else 503)

    def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
