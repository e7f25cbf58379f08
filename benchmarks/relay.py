"""
Relay overhead: the same signed calls to the vendor directly and through the relay, in turns.

The simulator plays the vendor and takes 20 ms for each call. API, worker, MongoDB, Valkey, the simulator and the
clients share this machine.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.series import Figure, Series, percentile
from cli.embedded.stack import Stack
from polyrelay import Secret
from services.vendors.jimeng import Credentials, VolcengineAuth

DIRECT: Final = "directly"
CLIENTS: Final = (1, 8)
_VENDOR: Final = ("--latency-call=0.02", "--latency-image=0.02")
_KEYS: Final = Credentials(access_key=Secret("AKLTsimulator"), secret_key=Secret("simulator-secret"))
_SUBMIT: Final = {"req_key": "jimeng_t2i_v40", "prompt": "relay latency", "force_single": True}
_AT_ONCE: Final = {"req_key": "jimeng_high_aes_general_v21_L", "prompt": "relay latency", "return_url": True}


class Latency(Struct, frozen=True, kw_only=True):
    """
    One round of one call.

    Attributes:
        call: "submit", "query" or "process".
        clients: Number of concurrent calls.
        system: Whether the vendor was called directly or through the relay.
        calls: Number of calls.
        p50_ms: Median of their durations, in milliseconds.
        p95_ms: 95th percentile of their durations, in milliseconds.
    """

    call: str
    clients: int
    system: str
    calls: int
    p50_ms: float
    p95_ms: float


async def measure(*, calls: int = 400, rounds: int = 3, concurrency: int = 10) -> list[Latency]:
    """
    Measure rounds on one stack, which is started and stopped here. The warm-up does not count.

    Raises:
        RuntimeError: A call failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = {"WORKER_CONCURRENCY": str(concurrency), "AUTH": "none", "POLL_SCALE": "5"}
        async with Stack(Path(folder), env=env, simulator_args=_VENDOR) as stack:
            urls = {DIRECT: stack.simulator_url or "", OURS: stack.api_url}
            for system, url in urls.items():
                await _round(system, url, clients=8, calls=50)
            return [
                latency
                for _ in range(rounds)
                for clients in CLIENTS
                for system, url in urls.items()
                for latency in await _round(system, url, clients=clients, calls=calls)
            ]


async def figure(bench: Bench) -> Figure:
    """The rounds for `make bench`."""
    bench.say(f"relay: {bench.rounds} rounds")
    found = await measure(calls=50 if bench.quick else 400, rounds=bench.rounds)
    return Figure(
        name="relay",
        title="Relay: a call of the visual API, directly and through us",
        subject=OURS,
        key="p50",
        series=[
            Series(
                case=f"{call}, {clients} client{'s' * (clients > 1)}",
                system=system,
                measure=measured,
                unit="ms",
                rounds=tuple(
                    getattr(each, f"{measured}_ms")
                    for each in found
                    if (each.call, each.clients, each.system) == (call, clients, system)
                ),
            )
            for call in ("submit", "query", "process")
            for clients in CLIENTS
            for system in (OURS, DIRECT)
            for measured in ("p50", "p95")
        ],
        notes=("The vendor takes 20 ms for each call. All processes and the clients share the machine's cores.",),
    )


async def _round(system: str, url: str, *, clients: int, calls: int) -> list[Latency]:
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=url, auth=VolcengineAuth(_KEYS), limits=limits, timeout=60, trust_env=False
    ) as client:
        submitted = await _post(client, "CVSync2AsyncSubmitTask", _SUBMIT)
        query = {"req_key": _SUBMIT["req_key"], "task_id": submitted["data"]["task_id"]}
        query["req_json"] = '{"return_url": true}'
        kinds: Mapping[str, Callable[[], Awaitable[Any]]] = {
            "submit": lambda: _post(client, "CVSync2AsyncSubmitTask", _SUBMIT),
            "query": lambda: _post(client, "CVSync2AsyncGetResult", query),
            "process": lambda: _post(client, "CVProcess", _AT_ONCE),
        }
        return [
            _latency(name, clients, system, await _timed(call, clients=clients, calls=calls))
            for name, call in kinds.items()
        ]


async def _post(client: httpx.AsyncClient, action: str, body: Mapping[str, Any]) -> Any:
    answer = await client.post("/", params={"Action": action, "Version": "2022-08-31"}, json=body)
    if answer.status_code != 200:
        raise RuntimeError(f"{action} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()


async def _timed(call: Callable[[], Awaitable[Any]], *, clients: int, calls: int) -> list[float]:
    took_s: list[float] = []

    async def client() -> None:
        for _ in range(calls // clients):
            began = time.perf_counter()
            await call()
            took_s.append(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(clients)))
    return took_s


def _latency(call: str, clients: int, system: str, took_s: Sequence[float]) -> Latency:
    return Latency(
        call=call,
        clients=clients,
        system=system,
        calls=len(took_s),
        p50_ms=round(percentile(took_s, 0.5) * 1000, 2),
        p95_ms=round(percentile(took_s, 0.95) * 1000, 2),
    )


def main() -> None:
    """Print the rounds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=10)
    rounds = asyncio.run(measure(**vars(parser.parse_args())))
    print(json.dumps(msgspec.to_builtins(rounds), indent=2))


if __name__ == "__main__":
    main()
