"""Control calls of the simulator, under `/_control`: latencies, faults and counts."""

from typing import Any

import msgspec
from litestar import Router, delete, get, post
from litestar.exceptions import NotFoundException

from simulator.connections import HttpRequest
from simulator.faults import FaultRequest, FaultRule
from simulator.ledger import CallRecord, PromptCount
from simulator.settings import Latencies
from simulator.upstream import upstream_of


class LatencyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Latencies to change, in seconds; unset ones stay. `overrides` are merged, by call kind or pattern."""

    image_s: float | msgspec.UnsetType = msgspec.UNSET
    video_s: float | msgspec.UnsetType = msgspec.UNSET
    text_s: float | msgspec.UnsetType = msgspec.UNSET
    call_s: float | msgspec.UnsetType = msgspec.UNSET
    overrides: dict[str, float] | msgspec.UnsetType = msgspec.UNSET


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counts since the start or the last reset.

    Attributes:
        received: Valid calls by kind.
        accepted: Calls that took effect, by kind.
        refused: Error answers by `vendor:code`.
        prompts: Submits by prompt.
        operations: Number of stored asynchronous generations.
        open: Number of generations that are queued or running; `max_open` is its highest value.
        max_in_flight: Highest number of calls answered at the same time.
        calls: The latest 1000 valid calls, oldest first.
    """

    received: dict[str, int]
    accepted: dict[str, int]
    refused: dict[str, int]
    prompts: dict[str, PromptCount]
    operations: int
    open: int
    max_open: int
    in_flight: int
    max_in_flight: int
    calls: list[CallRecord]


@get("/health")
async def health() -> dict[str, str]:
    """Report that the simulator serves requests."""
    return {"status": "ok", "server": "simulator"}


@get("/latency")
async def read_latency(request: HttpRequest) -> Latencies:
    """The current latencies."""
    return upstream_of(request).latencies


@post("/latency", status_code=200)
async def change_latency(request: HttpRequest, data: LatencyChange) -> Latencies:
    """Change some latencies. Running generations keep theirs."""
    upstream = upstream_of(request)
    changes: dict[str, Any] = {
        name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not msgspec.UNSET
    }
    if "overrides" in changes:
        changes["overrides"] = {**upstream.latencies.overrides, **changes["overrides"]}
    upstream.latencies = msgspec.structs.replace(upstream.latencies, **changes)
    return upstream.latencies


@post("/faults")
async def add_fault(request: HttpRequest, data: FaultRequest) -> FaultRule:
    """Add a fault rule."""
    return upstream_of(request).faults.add(data)


@get("/faults")
async def list_faults(request: HttpRequest) -> list[FaultRule]:
    """All fault rules, including those that are used up."""
    return upstream_of(request).faults.all()


@delete("/faults")
async def clear_faults(request: HttpRequest) -> None:
    """Delete all fault rules. Operations that have a fault keep it."""
    upstream_of(request).faults.clear()


@delete("/faults/{rule_id:int}")
async def delete_fault(request: HttpRequest, rule_id: int) -> None:
    """Delete one fault rule."""
    if not upstream_of(request).faults.delete(rule_id):
        raise NotFoundException(f"there is no fault {rule_id}")


@get("/stats")
async def read_stats(request: HttpRequest) -> Stats:
    """The counts since the start or the last reset."""
    upstream = upstream_of(request)
    ledger, operations = upstream.ledger, upstream.operations
    return Stats(
        received=dict(ledger.received),
        accepted=dict(ledger.accepted),
        refused=dict(ledger.refused),
        prompts=dict(ledger.prompts),
        operations=operations.total(),
        open=operations.open(),
        max_open=operations.max_open,
        in_flight=ledger.in_flight,
        max_in_flight=ledger.max_in_flight,
        calls=list(ledger.calls),
    )


@post("/reset", status_code=204)
async def reset(request: HttpRequest) -> None:
    """Delete operations, counts and faults, and restore the latencies of the start."""
    upstream_of(request).reset()


control = Router(
    path="/_control",
    route_handlers=[
        health,
        read_latency,
        change_latency,
        add_fault,
        list_faults,
        clear_faults,
        delete_fault,
        read_stats,
        reset,
    ],
)
