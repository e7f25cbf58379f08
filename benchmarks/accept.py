"""
Accepting a task durably, against a bare echo of the same JSON by the same framework and server.

Both run in one process of granian with litestar; the durable one stores in a real MongoDB, journaled by a majority, and
wakes through a real Valkey. They are asked in turns, within one run, by the same load generator. Run it with
`python -m benchmarks.accept`.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import uvloop
from litestar import Litestar, post
from msgspec import Struct

from benchmarks.http_load import Load, median_load, post_load
from cli.embedded.processes import ChildProcess, own_environment, own_module
from cli.embedded.servers import MongoServer, ValkeyServer, free_port

CONNECTIONS: Final = (1, 16, 64, 256)
BODY: Final = msgspec.json.encode(
    {
        "provider": "openai",
        "model": "gpt-image-1",
        "user_id": "user-4711",
        "prompt": "a fox in the snow, at dusk, seen from far away, in the style of an old woodcut",
        "size": "1024x1024",
        "metadata": {"order": 4711},
    }
)
CREATE: Final = "/api/v1/ai/image/task"


class Echo(Struct):
    """The same JSON, as the framework reads it at its best."""

    provider: str
    model: str
    user_id: str
    prompt: str
    size: str
    metadata: dict[str, Any]


@post("/echo")
async def echo(data: Echo) -> Echo:
    """Decode and encode."""
    return data


def echo_app() -> Litestar:
    """An application that does nothing else."""
    return Litestar([echo], openapi_config=None, logging_config=None)


class Row(Struct, frozen=True, kw_only=True):
    """
    One number of connections: medians of the rounds.

    Attributes:
        ratio: Durable creates per second for each echo per second: the median of the rounds' ratios.
        more_ms: How much longer the median create takes.
    """

    connections: int
    ratio: float
    more_ms: float
    echo: Mapping[str, float]
    create: Mapping[str, float]


async def measure(
    *, connections: Sequence[int] = CONNECTIONS, rounds: int = 5, seconds: float = 3.0, echo_too: bool = True
) -> Sequence[Row]:
    """
    Start everything, measure in turns, stop everything.

    Args:
        connections: How many requests are open at once: a row for each.
        rounds: Echo and create take turns so often.
        seconds: Of load, for each of them in each round.
        echo_too: False measures the creates alone, for profiles.
    """
    with tempfile.TemporaryDirectory(prefix="polyrelay-bench-") as folder:
        async with _servers(Path(folder)) as (echo_url, create_url):
            return [
                await _row(echo_url if echo_too else create_url, create_url, count, rounds, seconds)
                for count in connections
            ]


async def _row(echo_url: str, create_url: str, connections: int, rounds: int, seconds: float) -> Row:
    echoes: list[Load] = []
    creates: list[Load] = []
    for _ in range(rounds):
        for url, loads in ((echo_url, echoes), (create_url, creates)):
            loads.append(await post_load(url, BODY, connections=connections, seconds=seconds))
    ratios = sorted(create.per_second / echo.per_second for echo, create in zip(echoes, creates, strict=True))
    echo_medians, create_medians = median_load(echoes), median_load(creates)
    return Row(
        connections=connections,
        ratio=round(ratios[len(ratios) // 2], 3),
        more_ms=round(create_medians["p50_ms"] - echo_medians["p50_ms"], 3),
        echo=echo_medians,
        create=create_medians,
    )


@contextlib.asynccontextmanager
async def _servers(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The addresses of the echo and of creating a task, on servers of their own."""
    mongo, valkey = MongoServer(folder / "mongo"), ValkeyServer(folder / "valkey")
    async with contextlib.AsyncExitStack() as stack:
        for server in (mongo, valkey):
            stack.push_async_callback(server.stop)
            await server.start()
        settings = {
            "MONGO_URL": mongo.url,
            "REDIS_URL": valkey.url,
            "RESULTS_URL": str(folder / "results"),
            "OPENAI_API_KEY": "key",
        }
        urls = []
        for name, path in (("echo", "/echo"), ("api", CREATE)):
            port = free_port()
            process = _process(name, port, folder, settings)
            stack.push_async_callback(process.stop)
            await process.start()
            urls.append(f"http://127.0.0.1:{port}{path}")
        yield urls[0], urls[1]


def _process(name: str, port: int, folder: Path, settings: Mapping[str, str]) -> ChildProcess:
    if name == "api":
        command = own_module("cli", "api")
    else:
        granian = ("--interface", "asgi", "--factory", "--no-ws", "--log-level", "warning", "--port", str(port))
        command = own_module("granian", *granian, "benchmarks.accept:echo_app")
    inherited = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}}

    async def answers(_: ChildProcess) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            with contextlib.suppress(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/health")
                return True
        return False

    return ChildProcess(
        name,
        command,
        env={**own_environment(inherited), **settings, "PORT": str(port)},
        log_file=folder / f"{name}.log",
        ready=answers,
        cwd=folder,
    )


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    rows = uvloop.run(measure(connections=given.connections, rounds=given.rounds, seconds=given.seconds))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")


if __name__ == "__main__":
    main()
