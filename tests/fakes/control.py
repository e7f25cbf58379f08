"""In-memory adapter of `ControlStore`."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from core.control import ProcessReport
from core.errors import StoreUnavailable
from core.switches import Controls, Switch


class MemoryControlStore:
    """
    Adapter of `ControlStore` for tests.

    Attributes:
        reachable: While it is False, every call raises `StoreUnavailable`.
    """

    def __init__(self) -> None:
        self.reachable = True
        self._controls = Controls()
        self._reports: dict[str, ProcessReport] = {}

    async def read(self) -> Controls:
        """As `ControlStore.read`."""
        self._check()
        return self._controls

    async def switch(self, provider: str, switch: Switch) -> Controls:
        """As `ControlStore.switch`."""
        return self._change(switches={**self._controls.switches, provider: switch})

    async def request_reload(self, plugin: str | None = None) -> Controls:
        """As `ControlStore.request_reload`."""
        generation = self._controls.generation + 1
        forced = {plugin: generation} if plugin is not None else {}
        return self._change(generation=generation, forced={**self._controls.forced, **forced})

    async def report(self, report: ProcessReport) -> None:
        """As `ControlStore.report`."""
        self._check()
        self._reports[report.id] = report

    async def withdraw(self, process_id: str) -> None:
        """As `ControlStore.withdraw`."""
        self._check()
        self._reports.pop(process_id, None)

    async def processes(self, *, since: datetime) -> Sequence[ProcessReport]:
        """As `ControlStore.processes`."""
        self._check()
        found = [report for report in self._reports.values() if report.seen >= since]
        return sorted(found, key=lambda report: (report.role, report.id))

    def _change(self, **fields: object) -> Controls:
        self._check()
        self._controls = structs.replace(self._controls, revision=self._controls.revision + 1, **fields)
        return self._controls

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the in-memory control store was made unreachable by the test")
