"""Health, readiness and metrics routes. They have no envelope, as probes expect it."""

import asyncio

from litestar import Response, get
from msgspec import Struct

from api import metrics
from api.context import Call, use_cases_of
from api.route_policy import PUBLIC, guarded_by
from core.errors import QueueUnavailable
from core.gates import Gates
from services.runtime.process_metrics import process_text, resident_bytes
from services.runtime.readiness import PING_TIMEOUT_S, Readiness, readiness


class Health(Struct, frozen=True, kw_only=True):
    """The process responds."""

    status: str = "ok"


@get("/health", opt=guarded_by(PUBLIC))
async def health() -> Health:
    """The process responds."""
    return Health()


@get("/ready", opt=guarded_by(PUBLIC))
async def ready(request: Call) -> Response[Readiness]:
    """Whether MongoDB, the queue and the result store respond."""
    adapters = use_cases_of(request).adapters
    pings = {"mongodb": adapters.tasks.ping, "queue": adapters.queue.ping, "results": adapters.results.ping}
    found = await readiness(pings)
    return Response(found, status_code=200 if found.good else 503)


@get("/metrics", opt=guarded_by(PUBLIC))
async def metrics_text(request: Call) -> Response[bytes]:
    """Metrics in Prometheus' text format; gates are included if Redis responds."""
    use_cases = use_cases_of(request)
    adapters = use_cases.adapters
    common = process_text(adapters.registry, adapters.stalls(), resident_bytes())
    text = use_cases.metrics.text() + common + await _gates_text(adapters.gates)
    return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})


async def _gates_text(gates: Gates) -> bytes:
    try:
        return metrics.gates_text(*await asyncio.wait_for(gates.views(), PING_TIMEOUT_S))
    except (TimeoutError, QueueUnavailable):
        return b""
