"""The rules of `core.control.ControlStore`, for each adapter."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from core.control import ControlStore, ProcessReport, Stall
from core.registry import PluginReport
from core.switches import Controls, Mode, Switch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_report(name: str = "p1", **fields: Any) -> ProcessReport:
    """A report of a worker."""
    defaults: dict[str, Any] = {
        "id": name,
        "role": "worker",
        "host": "h",
        "pid": 7,
        "started": NOW,
        "seen": NOW,
        "revision": 1,
        "generation": 2,
        "plugins": (PluginReport(name="acme", package="polyrelay-acme", version="1", providers=("acme",)),),
        "stalls": (Stall(plugin="acme", count=1, longest_s=2.5, last=NOW, where="acme:1 submit"),),
    }
    return ProcessReport(**{**defaults, **fields})


class ControlContract:
    """The rules of `core.control.ControlStore`."""

    async def test_nothing_was_decided_at_first(self, control: ControlStore) -> None:
        """No provider is switched off, and no reload is requested."""
        assert await control.read() == Controls()

    async def test_decisions_are_kept_and_counted(self, control: ControlStore) -> None:
        """The latest decision about each provider holds; the revision goes up with each."""
        drained = Switch(mode=Mode.DRAINING, since=NOW, reason="a test")
        await control.switch("one", Switch(mode=Mode.DISABLED, since=NOW))
        await control.switch("two-2_x", drained)
        answered = await control.switch("one", Switch(mode=Mode.ENABLED, since=NOW))

        assert answered == await control.read()
        assert answered.revision == 3
        assert answered.switches == {"one": Switch(mode=Mode.ENABLED, since=NOW), "two-2_x": drained}

    async def test_a_reload_is_a_number_that_goes_up(self, control: ControlStore) -> None:
        """The plugins that are forced keep the number of the request that named them last."""
        await control.request_reload("acme.one")
        await control.request_reload("$other")
        answered = await control.request_reload("acme.one")

        assert (await control.request_reload()).generation == 4
        assert (answered.generation, answered.revision) == (3, 3)
        assert (await control.read()).forced == {"acme.one": 3, "$other": 2}

    async def test_of_many_decisions_at_once_none_is_lost(self, control: ControlStore) -> None:
        """Also where nothing was decided before."""
        await asyncio.gather(*(control.switch(f"p{n}", Switch(mode=Mode.DISABLED, since=NOW)) for n in range(10)))

        found = await control.read()
        assert (found.revision, len(found.switches)) == (10, 10)

    async def test_reports_are_replaced_and_withdrawn(self, control: ControlStore) -> None:
        """A process is shown with its last report, by role and id, and not after it withdrew."""
        await control.report(a_report("b"))
        await control.report(a_report("a"))
        await control.report(a_report("a", generation=3))
        await control.report(a_report("z", role="api"))
        await control.report(a_report("gone"))
        await control.withdraw("gone")
        await control.withdraw("never")

        expected = [a_report("z", role="api"), a_report("a", generation=3), a_report("b")]
        assert list(await control.processes(since=NOW)) == expected

    async def test_a_process_that_is_silent_is_not_shown(self, control: ControlStore) -> None:
        """Only processes that reported since that moment."""
        await control.report(a_report("old", seen=NOW - timedelta(seconds=1)))
        await control.report(a_report("new"))

        assert [report.id for report in await control.processes(since=NOW)] == ["new"]
