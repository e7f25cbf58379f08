"""
Creating a task durably, compared with a plain echo of the same JSON by the same framework and server.

Both run in one process of granian with litestar. The API stores tasks in a real MongoDB, journaled by a majority, and
wakes workers through a real Valkey. `barest` is the minimal durable create between the two. The gateways relay an image
request to the simulator and store nothing: a different kind of work, shown because a user might run them instead.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from litestar import Litestar, post
from msgspec import Struct, structs

from api.app import create_app
from benchmarks.bench import Bench
from benchmarks.http_load import Endpoint, post_load
from benchmarks.peers.gateways import GATEWAYS, asked_directly, running
from benchmarks.peers.queues import OURS
from benchmarks.series import Figure, Series
from benchmarks.turns import Contestant, Failed, in_turns
from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess, own_environment, own_module
from cli.embedded.readiness import prints
from cli.embedded.servers import MongoServer, ValkeyServer
from core.callers import Caller
from polyrelay import TaskType
from services.tasks.idempotency import CreateOutcome

ECHO: Final = "bare echo"
BAREST: Final = "barest durable create"
UNRECORDED: Final = "without its audit row"
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

_SIMULATOR: Final = "simulator, asked directly"
_UNITS: Final = {"rate": "requests/s", "p50": "ms", "p99": "ms"}
_SETTINGS: Final = {
    OURS: "durable create: MongoDB journaled by a majority, wake in Valkey; 1 API process",
    UNRECORDED: "the same, without rows in the audit log",
    BAREST: "litestar on granian, 1 process: one shared insert, journaled by a majority, and one shared wake; "
    "nothing else",
    ECHO: "litestar on granian, 1 process: decodes and encodes the same JSON",
    _SIMULATOR: "what the gateways relay to: litestar on granian, 1 process",
    **{gateway.name: gateway.setting for gateway in GATEWAYS},
}


class Echo(Struct):
    """The same JSON, in the type that the framework decodes fastest."""

    provider: str
    model: str
    user_id: str
    prompt: str
    size: str
    metadata: dict[str, Any]


@post("/echo")
async def echo(data: Echo) -> Echo:
    """Decode the body and encode it again."""
    return data


def echo_app() -> Litestar:
    """An application with the echo only."""
    return Litestar([echo], openapi_config=None, logging_config=None)


def unrecorded_app() -> Litestar:
    """The API without the audit row of a new task: the difference to the API is the cost of that row."""
    app = create_app()
    create = app.state.use_cases.create

    async def unrecorded(
        task_type: TaskType, body: Mapping[str, Any], caller: Caller, *, audit: object, **others: Any
    ) -> CreateOutcome:
        del audit
        created: CreateOutcome = await create(task_type, body, caller, **others)
        return created

    app.state.use_cases = structs.replace(app.state.use_cases, create=unrecorded)
    return app


async def measure(bench: Bench) -> Figure:
    """Start all systems, measure them in turns, and stop them."""
    connections, seconds = ((1, 16), 0.5) if bench.quick else (CONNECTIONS, 3.0)
    series: list[Series] = []
    async with _endpoints(bench) as found:
        contestants = [
            Contestant(name=name, setting=_SETTINGS[name], missing=each if isinstance(each, str) else None)
            for name, each in found.items()
        ]
        for count in connections:
            case = connections_case(count)
            series += await in_turns(
                bench,
                contestants,
                lambda name, count=count: _once(found[name], count, seconds),  # type: ignore[misc]
                case=case,
                units=_UNITS,
                about=f"accept, {case}",
            )
    return Figure(
        name="accept",
        title="Accepting a request",
        subject=OURS,
        key="rate",
        series=series,
        notes=(
            f"{seconds:g} s of load a round; clients, servers and databases share the machine's cores.",
            "The gateways do different work: they relay to the simulator while the caller waits, and keep nothing.",
        ),
    )


def connections_case(count: int) -> str:
    """The name of the case with that number of connections."""
    return f"{count} connection{'s' if count > 1 else ''}"


async def _once(endpoint: Endpoint | str, connections: int, seconds: float) -> Mapping[str, float]:
    if isinstance(endpoint, str):
        raise Failed(endpoint)
    try:
        load = await post_load(endpoint, connections=connections, seconds=seconds)
    except (OSError, TimeoutError) as error:
        raise Failed(str(error) or type(error).__name__) from None
    if load.failed or not load.requests:
        raise Failed(f"{load.failed} of {load.failed + load.requests} answers were not {endpoint.expected}")
    return {"rate": load.per_second, "p50": load.p50_ms, "p99": load.p99_ms}


@contextlib.asynccontextmanager
async def _endpoints(bench: Bench) -> AsyncIterator[Mapping[str, Endpoint | str]]:
    """All endpoints by name, or the reason why one cannot be measured."""
    folder = bench.folder / "accept"
    folder.mkdir()
    async with contextlib.AsyncExitStack() as closing:
        found: dict[str, Endpoint | str] = {**await _own(folder, closing)}
        if bench.peers:
            simulator_url = await _simulator(folder, closing)
            found[_SIMULATOR] = asked_directly(simulator_url)
            for gateway in GATEWAYS:
                try:
                    bench.say(f"accept: starting {gateway.name}")
                    relay = running(gateway, simulator_url, folder, bench.say)
                    found[gateway.name] = await closing.enter_async_context(relay)
                except Failed as error:
                    found[gateway.name] = str(error)
        yield found


async def _own(folder: Path, closing: contextlib.AsyncExitStack) -> Mapping[str, Endpoint]:
    """Creating a task, and the endpoints that it is compared with, each on servers of its own."""
    mongo, valkey = MongoServer(folder / "mongo", cache_gb=1.0), ValkeyServer(folder / "valkey")
    for server in (mongo, valkey):
        closing.push_async_callback(server.stop)
        await server.start()
    settings = {
        "MONGO_URL": mongo.url,
        "REDIS_URL": valkey.url,
        "RESULTS_URL": str(folder / "results"),
        "OPENAI_API_KEY": "key",
        "AUTH": "none",
    }
    granian = ("--interface", "asgi", "--factory", "--no-ws", "--log-level", "warning")
    found = {}
    apps = {
        UNRECORDED: "benchmarks.accept:unrecorded_app",
        BAREST: "benchmarks.barest:barest_app",
        ECHO: "benchmarks.accept:echo_app",
    }
    for name, path in ((OURS, CREATE), (UNRECORDED, CREATE), (BAREST, "/barest"), (ECHO, "/echo")):
        port = free_port()
        command = (
            own_module("granian", *granian, "--port", str(port), apps[name])
            if name in apps
            else own_module("cli", "api")
        )
        process = _process(name, command, port, folder, settings)
        closing.push_async_callback(process.stop)
        await process.start()
        found[name] = Endpoint(url=f"http://127.0.0.1:{port}{path}", body=BODY)
    return found


async def _simulator(folder: Path, closing: contextlib.AsyncExitStack) -> str:
    command = own_module("simulator", "--latency-image=0", "--latency-call=0")
    env = own_environment({name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ})
    simulator = ChildProcess(
        "simulator", command, env=env, log_file=folder / "simulator.log", ready=prints("http://"), cwd=folder
    )
    closing.push_async_callback(simulator.stop)
    await simulator.start()
    return next(line for line in simulator.output().splitlines() if line.startswith("http://"))


def _process(name: str, command: Sequence[str], port: int, folder: Path, settings: Mapping[str, str]) -> ChildProcess:
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
        log_file=folder / f"{name.replace(' ', '-')}.log",
        ready=answers,
        cwd=folder,
    )
