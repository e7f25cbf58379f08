"""Fixtures of the fault tests: the whole product as real processes, one stack per module, one view of it per test."""

from collections.abc import Iterator

import pytest
from msgspec import Struct

from cli.embedded.ports import free_port
from cli.embedded.stack import Stack
from cli.embedded.upstreams import VENDORS
from tests.faults.stack_fixture import QUICK, RunningStack, run

FAST = ("--latency-image", "0.1", "--latency-video", "0.5", "--latency-text", "0.05")


class StackOptions(Struct, frozen=True, kw_only=True):
    """The settings of a module's stack; `env` overrides `QUICK`."""

    workers: int = 2
    env: dict[str, str] = {}
    simulator_args: tuple[str, ...] = FAST


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """The default options. A module that needs others defines a fixture of this name."""
    return StackOptions()


@pytest.fixture(scope="module")
def worker_ports(stack_options: StackOptions) -> dict[str, int]:
    """The health port of each worker, by the worker's name."""
    return {f"worker-{number}": free_port() for number in range(1, stack_options.workers + 1)}


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, stack_options: StackOptions, worker_ports: dict[str, int]
) -> Iterator[Stack]:
    """All processes, running, with the short lease and reconcile period of `QUICK`."""
    whole = Stack(
        tmp_path_factory.mktemp("stack"),
        env={**QUICK, **stack_options.env},
        worker_env={name: {"WORKER_PORT": str(port)} for name, port in worker_ports.items()},
        workers=stack_options.workers,
        simulator_args=stack_options.simulator_args,
    )
    run(whole.start())
    try:
        yield whole
    finally:
        run(whole.stop(grace_s=5.0))
    assert_no_key_was_logged(whole)


def assert_no_key_was_logged(stack: Stack) -> None:
    """No log of the API or of a worker contains a vendor's API key."""
    keys = {key for vendor in VENDORS for key in vendor.credentials.values()}
    for name in ("api", *stack.workers):
        text = (stack.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")
        assert not [key for key in keys if key in text], name


@pytest.fixture
def running(stack: Stack, worker_ports: dict[str, int]) -> Iterator[RunningStack]:
    """A view of the stack: all processes run and all stores are empty when the test starts."""
    made = RunningStack(stack, worker_ports)
    made.begin()
    try:
        yield made
    finally:
        made.end()
