"""Changing a base URL is sufficient to use another server."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from core.registry import load_registry
from polyrelay import Done, Env, Job
from simulator.process import ControlClient, SimulatorProcess

PROMPT = "a lighthouse at noon"
KEYS = {
    "ARK_API_KEY": "ark-simulator",
    "VOLCENGINE_ACCESS_KEY": "AKLTsimulator",
    "VOLCENGINE_SECRET_KEY": "simulator-secret",
    "OPENAI_API_KEY": "sk-simulator",
    "POLL_SCALE": "0.02",
}
VENDORS = [
    ("ARK_BASE_URL", "/api/v3", "volcengine", "doubao-seedream-4-0-250828"),
    ("VOLCENGINE_VISUAL_URL", "", "volcengine", "jimeng_t2i_v40"),
    ("OPENAI_BASE_URL", "/v1", "openai", "dall-e-3"),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """Two servers with the vendors' APIs."""
    with SimulatorProcess("--latency-image", "0.01") as one, SimulatorProcess("--latency-image", "0.01") as other:
        yield one.url, other.url


def received(url: str) -> int:
    """The number of requests for an image that the server received."""
    control = ControlClient(url)
    try:
        calls = control.stats().prompts.get(PROMPT)
        return calls.received if calls else 0
    finally:
        control.close()


async def make(env: dict[str, str], provider: str, model: str) -> Any:
    """The outcome of generating an image with these settings."""
    registry = load_registry(Env({**KEYS, **env}))
    try:
        route = registry.route(provider, model)
        job: Job[Any] = Job(
            task_id="task_1",
            attempt=1,
            model=model,
            params=msgspec.convert({"prompt": PROMPT}, route.model.params),
            deadline=datetime.now(UTC) + timedelta(minutes=1),
        )
        outcome = await route.service.submit(job)
        while not isinstance(outcome, Done):
            await asyncio.sleep(outcome.poll_after_s)
            outcome = await route.service.poll(job, outcome.operation)
        return outcome
    finally:
        await registry.aclose()


@pytest.mark.parametrize(("setting", "path", "provider", "model"), VENDORS, ids=[row[0] for row in VENDORS])
async def test_a_base_url_moves_all_calls_to_another_server(
    servers: tuple[str, str], setting: str, path: str, provider: str, model: str
) -> None:
    """If only the base URL changes, the other server receives all calls and this one none."""
    one, other = servers
    for url in servers:
        ControlClient(url).reset()

    for url, counts in ((one, (1, 0)), (other, (1, 1))):
        outcome = await make({setting: f"{url}{path}"}, provider, model)
        assert outcome.outputs
        assert (received(one), received(other)) == counts
