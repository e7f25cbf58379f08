"""Health endpoints of a worker, for probes and Prometheus: `/health`, `/ready`, `/metrics`."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Response, get
from msgspec import Struct

from services.runtime.readiness import Readiness, readiness
from worker.metrics import CONTENT_TYPE


class Health(Struct, frozen=True, kw_only=True):
    """The process responds."""

    status: str = "ok"


def health_app(pings: Mapping[str, Callable[[], Awaitable[None]]], metrics: Callable[[], bytes]) -> Litestar:
    """
    The application.

    Args:
        pings: The dependencies of the worker, by name.
        metrics: Returns the metrics' text.
    """

    @get("/health")
    async def health() -> Health:
        """The process responds."""
        return Health()

    @get("/ready")
    async def ready() -> Response[Readiness]:
        """Whether the dependencies of the worker are available."""
        found = await readiness(pings)
        return Response(found, status_code=200 if found.good else 503)

    @get("/metrics")
    async def metrics_text() -> Response[bytes]:
        """Counters in Prometheus' text format."""
        return Response(metrics(), headers={"Content-Type": CONTENT_TYPE})

    return Litestar([health, ready, metrics_text], openapi_config=None, logging_config=None, debug=False)


async def serve_health(app: Litestar, *, host: str, port: int) -> None:
    """Serve until cancelled."""
    server = Server(app, address=host, port=port, interface=Interfaces.ASGI, websockets=False, log_enabled=False)
    try:
        await server.serve()
    finally:
        with suppress(RuntimeError):
            server.stop()  # type: ignore[no-untyped-call]
