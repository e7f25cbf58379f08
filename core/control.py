"""Port of the control state, which all processes share: the operator's switches, and a report of each process."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from core.registry import PluginReport
from core.switches import Controls, Switch


class Stall(Struct, frozen=True, kw_only=True):
    """
    How often one plugin's code blocked the event loop of a process.

    Attributes:
        plugin: Its name, or "server" if no plugin's code was running.
        count: How often.
        longest_s: The longest stall, in seconds.
        last: When the latest stall was detected.
        where: The innermost line of the plugin at that moment.
    """

    plugin: str
    count: int
    longest_s: float
    last: datetime
    where: str


class ProcessReport(Struct, frozen=True, kw_only=True):
    """
    The report of one process about what it runs.

    Attributes:
        role: "api" or "worker".
        revision: The revision of the switches that it follows.
        generation: The latest request to reload plugins that it has carried out.
        seen: When it reported.
    """

    id: str
    role: str
    host: str
    pid: int
    started: datetime
    seen: datetime
    revision: int
    generation: int
    plugins: tuple[PluginReport, ...] = ()
    stalls: tuple[Stall, ...] = ()


class ControlStore(Protocol):
    """The stored control state. Every method raises `StoreUnavailable` if MongoDB is unavailable."""

    async def read(self) -> Controls:
        """The present control state."""

    async def switch(self, provider: str, switch: Switch) -> Controls:
        """Switch one provider; returns the new control state."""

    async def request_reload(self, plugin: str | None = None) -> Controls:
        """Have all processes reload their plugins, and load `plugin` again even if it looks unchanged."""

    async def report(self, report: ProcessReport) -> None:
        """Store the report of a process in place of its former one."""

    async def withdraw(self, process_id: str) -> None:
        """Delete the report of a process that stops."""

    async def processes(self, *, since: datetime) -> Sequence[ProcessReport]:
        """The reports since that moment, by role and id."""
