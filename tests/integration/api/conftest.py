"""The API as a process of its own, as it runs in production."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from cli.embedded.ports import free_port

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Start = Callable[..., AbstractAsyncContextManager[tuple[Process, str]]]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the API with those settings; gives the process and its address."""

    @contextlib.asynccontextmanager
    async def started(**settings: str) -> AsyncIterator[tuple[Process, str]]:
        port = free_port()
        command = ["-m", "granian", "--interface", "asgi", "--factory", "--no-ws", "--port", str(port)]
        environment = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}},
            "PYTHONPATH": str(ROOT),
            "RESULTS_URL": str(tmp_path / "results"),
            "ARK_API_KEY": "key",
            "AUTH": "none",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "api.app:create_app", cwd=tmp_path, env=environment, stdout=PIPE, stderr=STDOUT
        )
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.communicate(), 30)

    return started


@pytest.fixture
def serve(start: Start) -> Serve:
    """Starts the API with those settings and waits until it answers; gives a caller of it."""

    @contextlib.asynccontextmanager
    async def served(**settings: str) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            start(**settings) as (process, address),
            httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as client,
        ):
            await _answers(client, process)
            yield client

    return served


async def _answers(client: httpx.AsyncClient, process: Process) -> None:
    async with asyncio.timeout(60):
        while process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                await client.get("/health")
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 0.05)
    output = await process.stdout.read() if process.stdout else b""
    raise AssertionError(f"the API ended with {process.returncode}: {output.decode()}")
