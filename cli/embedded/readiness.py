"""How a process shows that it works."""

import re
from typing import Final

import httpx

from cli.embedded.processes import ChildProcess, Ready

_ANSWER_TIMEOUT_S: Final = 2.0


def answers(url: str) -> Ready:
    """It answers a GET of that URL with success."""

    async def ready(_: ChildProcess) -> bool:
        try:
            # Our own server on this machine: without certificates, as loading them is the slow part of a client.
            async with httpx.AsyncClient(timeout=_ANSWER_TIMEOUT_S, trust_env=False, verify=False) as client:  # noqa: S501
                return (await client.get(url)).is_success
        except httpx.TransportError:
            return False

    return ready


def prints(pattern: str) -> Ready:
    """It printed something that matches."""
    sought = re.compile(pattern)

    async def ready(process: ChildProcess) -> bool:
        return sought.search(process.output()) is not None

    return ready


async def runs(process: ChildProcess) -> bool:
    """It runs; there is nothing to wait for."""
    return process.running
