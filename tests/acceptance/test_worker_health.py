"""A worker tells its health over HTTP where it is given a port."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from cli.embedded.ports import free_port
from cli.embedded.stack import Stack
from polyrelay.client import Client


@pytest.fixture(scope="module")
def port() -> int:
    """Where the worker tells its health."""
    return free_port()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Stack]:
    """Everything running, with a worker that listens."""
    whole = Stack(tmp_path_factory.mktemp("health"), env={"POLL_SCALE": "0.05", "WORKER_PORT": str(port)})
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


async def until_status(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """The first answer with that status."""
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await client.get(path)
            except httpx.TransportError:
                answer = httpx.Response(0)
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.05)


async def test_a_worker_is_ready_while_what_it_needs_answers(own_stack: Stack, port: int) -> None:
    """`/ready` is red while Valkey is gone, green when it is back, and the metrics count what the worker did."""
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
        red = await until_status(worker, "/ready", 503)
        assert red.json()["dependencies"]["queue"]["ok"] is False
        assert (await worker.get("/health")).status_code == 200

        await own_stack["valkey"].start()
        await until_status(worker, "/ready", 200)
