"""What the processes of the server share while they run: the operator's decisions, and what each of them tells."""

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
        plugin: Its name, or "server" where no plugin's code was found at work.
        count: How often.
        longest_s: The longest time that was seen, in seconds.
        last: When it was last seen.
        where: The innermost line of the plugin at that moment.
    """

    plugin: str
    count: int
    longest_s: float
    last: datetime
    where: str


class ProcessReport(Struct, frozen=True, kw_only=True):
    """
    What one process of the server runs, told by itself.

    Attributes:
        role: "api" or "worker".
        revision: The decisions that it follows.
        generation: The latest request to look for plugins that it has carried out.
        seen: When it last told.
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
    """Where decisions and reports are kept. Every method raises `StoreUnavailable`."""

    async def read(self) -> Controls:
        """What was decided up to now."""

    async def switch(self, provider: str, switch: Switch) -> Controls:
        """Decide about one provider; answers what then holds."""

    async def request_reload(self, plugin: str | None = None) -> Controls:
        """Have all processes look for plugins again, and load that one anew even where it looks the same."""

    async def report(self, report: ProcessReport) -> None:
        """Tell what a process runs, in place of what it told before."""

    async def withdraw(self, process_id: str) -> None:
        """A process ends."""

    async def processes(self, *, since: datetime) -> Sequence[ProcessReport]:
        """The processes that told something since then, by role and id."""
