"""One simulator process for these tests, reset before each."""

from collections.abc import Iterator

import pytest

from simulator.process import ControlClient, SimulatorProcess


@pytest.fixture(scope="session")
def sim_url() -> Iterator[str]:
    """The URL of a running simulator."""
    with SimulatorProcess("--latency-image", "0.02", "--latency-video", "0.1", "--latency-text", "0.02") as process:
        yield process.url


@pytest.fixture(scope="session")
def control_client(sim_url: str) -> Iterator[ControlClient]:
    """The client of its control calls; built once, for a client costs more than a call."""
    client = ControlClient(sim_url)
    yield client
    client.close()


@pytest.fixture
def control(control_client: ControlClient) -> ControlClient:
    """The control client, after a reset."""
    control_client.reset()
    return control_client
