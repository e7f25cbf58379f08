"""Readiness: whether the dependencies of a process are available."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct

from core.errors import PolyrelayError

PING_TIMEOUT_S: Final = 3.0


class Dependency(Struct, frozen=True, kw_only=True):
    """Whether a dependency is available, and if not, why."""

    ok: bool
    error: str | None = None


class Readiness(Struct, frozen=True, kw_only=True):
    """`ok` if all dependencies are available, else `unavailable`."""

    status: str
    dependencies: dict[str, Dependency]

    @property
    def good(self) -> bool:
        """Whether all dependencies are available."""
        return all(dependency.ok for dependency in self.dependencies.values())


async def readiness(pings: Mapping[str, Callable[[], Awaitable[None]]]) -> Readiness:
    """Ping all dependencies at once, each for at most `PING_TIMEOUT_S`."""
    found = dict(zip(pings, await asyncio.gather(*map(_pinged, pings.values())), strict=True))
    good = all(dependency.ok for dependency in found.values())
    return Readiness(status="ok" if good else "unavailable", dependencies=found)


async def _pinged(ping: Callable[[], Awaitable[None]]) -> Dependency:
    try:
        await asyncio.wait_for(ping(), PING_TIMEOUT_S)
    except TimeoutError:
        return Dependency(ok=False, error=f"no answer within {PING_TIMEOUT_S:g} s")
    except PolyrelayError as error:
        return Dependency(ok=False, error=str(error))
    return Dependency(ok=True)
