"""For machines that watch: alive, ready, metrics. Outside of the envelope, as probes expect it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from litestar import Response, get
from msgspec import Struct

from api import metrics
from api.parts import Call, tools_of
from core.errors import PolyrelayError, QueueUnavailable
from core.gates import Gates

PING_TIMEOUT_S: Final = 3.0


class Health(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str = "ok"


class Dependency(Struct, frozen=True, kw_only=True):
    """Whether a dependency answers, and if not, why."""

    ok: bool
    error: str | None = None


class Readiness(Struct, frozen=True, kw_only=True):
    """`ok` where all dependencies answer, else `unavailable`."""

    status: str
    dependencies: dict[str, Dependency]


@get("/health")
async def health() -> Health:
    """The process answers."""
    return Health()


@get("/ready")
async def ready(request: Call) -> Response[Readiness]:
    """Whether MongoDB, the queue and the result store answer."""
    parts = tools_of(request).parts
    pings = {"mongodb": parts.tasks.ping, "queue": parts.queue.ping, "results": parts.results.ping}
    found = dict(zip(pings, await asyncio.gather(*map(_asked, pings.values())), strict=True))
    good = all(dependency.ok for dependency in found.values())
    return Response(
        Readiness(status="ok" if good else "unavailable", dependencies=found), status_code=200 if good else 503
    )


@get("/metrics")
async def metrics_text(request: Call) -> Response[bytes]:
    """Counters in Prometheus' text format; with the gates, where Redis answers."""
    tools = tools_of(request)
    text = tools.metrics.text() + await _gates_text(tools.parts.gates)
    return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})


async def _gates_text(gates: Gates) -> bytes:
    try:
        return metrics.gates_text(*await asyncio.wait_for(gates.views(), PING_TIMEOUT_S))
    except (TimeoutError, QueueUnavailable):
        return b""


async def _asked(ping: Callable[[], Awaitable[None]]) -> Dependency:
    try:
        await asyncio.wait_for(ping(), PING_TIMEOUT_S)
    except TimeoutError:
        return Dependency(ok=False, error=f"no answer within {PING_TIMEOUT_S:g} s")
    except PolyrelayError as error:
        return Dependency(ok=False, error=str(error))
    return Dependency(ok=True)
