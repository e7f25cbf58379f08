"""A worker with `WORKER_PORT` serves its health and metrics over HTTP."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from cli.embedded.ports import free_port
from cli.embedded.stack import Stack
from polyrelay.client import Client


@pytest.fixture(scope="module")
def port() -> int:
    """The worker's health port."""
    return free_port()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Stack]:
    """A stack whose worker has a health port."""
    whole = Stack(tmp_path_factory.mktemp("health"), env={"POLL_SCALE": "0.05", "WORKER_PORT": str(port)})
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


async def until_status(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """Repeat a GET until the response has that status."""
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await client.get(path)
            except httpx.TransportError:
                answer = httpx.Response(0)
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.05)


async def test_a_worker_is_ready_while_its_dependencies_are_available(own_stack: Stack, port: int) -> None:
    """`/ready` answers 503 while Valkey is stopped and 200 otherwise; the metrics count the worker's submits."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as worker:
        assert (await until_status(worker, "/ready", 200)).json()["status"] == "ok"
        with Client(own_stack.api_url) as client:
            created = client.create(
                "text", provider="volcengine", model="doubao-pro-4k", user_id="u", prompt="count me"
            )
            await asyncio.to_thread(client.wait, created.task_id, 30)

        metrics = (await worker.get("/metrics")).text
        assert 'polyrelay_submits_total{model="doubao-pro-4k",provider="volcengine"} 1.0' in metrics
        assert 'status="completed"} 1.0' in metrics

        await own_stack["valkey"].kill()
        not_ready = await until_status(worker, "/ready", 503)
        assert not_ready.json()["dependencies"]["queue"]["ok"] is False
        assert (await worker.get("/health")).status_code == 200

        await own_stack["valkey"].start()
        await until_status(worker, "/ready", 200)
