"""Readiness of child processes: an HTTP answer, a printed text, or a running process."""

import re
from typing import Final

import httpx

from cli.embedded.processes import ChildProcess, Ready

_ANSWER_TIMEOUT_S: Final = 2.0


def answers(url: str) -> Ready:
    """Ready when a GET of the URL returns a 2xx status."""

    async def ready(_: ChildProcess) -> bool:
        try:
            # No TLS on this machine: loading certificates is the slow part of creating a client.
            async with httpx.AsyncClient(timeout=_ANSWER_TIMEOUT_S, trust_env=False, verify=False) as client:  # noqa: S501
                return (await client.get(url)).is_success
        except httpx.TransportError:
            return False

    return ready


def prints(pattern: str) -> Ready:
    """Ready when its output matches the pattern."""
    expected = re.compile(pattern)

    async def ready(process: ChildProcess) -> bool:
        return expected.search(process.output()) is not None

    return ready


async def runs(process: ChildProcess) -> bool:
    """Ready when the process runs."""
    return process.running
