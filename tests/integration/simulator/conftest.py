"""One simulator process for these tests, reset before each."""

from collections.abc import Iterator

import pytest

from simulator.control import LatencyChange
from simulator.process import ControlClient, SimulatorProcess


@pytest.fixture(scope="session")
def sim_url() -> Iterator[str]:
    """The URL of a running simulator."""
    with SimulatorProcess("--latency-image", "0.02", "--latency-video", "0.1", "--latency-text", "0.02") as process:
        yield process.url


@pytest.fixture
def control(sim_url: str) -> Iterator[ControlClient]:
    """Its control client, after a reset."""
    client = ControlClient(sim_url)
    client.reset()
    yield client
    client.change_latency(LatencyChange(video_s=0.0))
    client.close()
