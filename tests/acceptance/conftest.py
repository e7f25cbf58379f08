"""Fixtures of the acceptance tests: the whole product as real processes, started once for all of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.embedded.stack import Stack
from polyrelay.client import Client
from tests.acceptance.environments import ROOT, build_wheel

FAST = ("--latency-image", "0.1", "--latency-video", "0.4", "--latency-text", "0.05")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """MongoDB, Valkey, simulator, API and worker, running, with short poll intervals."""
    whole = Stack(tmp_path_factory.mktemp("stack"), env={"POLL_SCALE": "0.05"}, simulator_args=FAST)
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """A client of the running API."""
    with Client(stack.api_url) as opened:
        yield opened


@pytest.fixture
def simulator(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the simulator's control endpoint."""
    with httpx.Client(base_url=stack.simulator_url or "") as control:
        yield control


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder into which a test saves results."""
    return tmp_path / "out"
