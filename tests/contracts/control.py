"""The rules of `core.control.ControlRoom`, for each adapter."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from core.control import ControlRoom, ProcessReport, Stall
from core.registry import PluginReport
from core.switches import Controls, Mode, Switch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_report(name: str = "p1", **fields: Any) -> ProcessReport:
    """What a worker tells."""
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
    """What every control room does."""

    async def test_nothing_was_decided_at_first(self, room: ControlRoom) -> None:
        """No provider is switched off, and nothing is to be reloaded."""
        assert await room.read() == Controls()

    async def test_decisions_are_kept_and_counted(self, room: ControlRoom) -> None:
        """The latest decision about each provider holds; the revision goes up with each."""
        drained = Switch(mode=Mode.DRAINING, since=NOW, reason="a test")
        await room.switch("one", Switch(mode=Mode.DISABLED, since=NOW))
        await room.switch("two-2_x", drained)
        answered = await room.switch("one", Switch(mode=Mode.ENABLED, since=NOW))

        assert answered == await room.read()
        assert answered.revision == 3
        assert answered.switches == {"one": Switch(mode=Mode.ENABLED, since=NOW), "two-2_x": drained}

    async def test_a_reload_is_a_number_that_goes_up(self, room: ControlRoom) -> None:
        """The plugins that are forced keep the number of the request that named them last."""
        await room.request_reload("acme.one")
        await room.request_reload("$other")
        answered = await room.request_reload("acme.one")

        assert (await room.request_reload()).generation == 4
        assert (answered.generation, answered.revision) == (3, 3)
        assert (await room.read()).forced == {"acme.one": 3, "$other": 2}

    async def test_of_many_decisions_at_once_none_is_lost(self, room: ControlRoom) -> None:
        """Also where nothing was decided before."""
        await asyncio.gather(*(room.switch(f"p{n}", Switch(mode=Mode.DISABLED, since=NOW)) for n in range(10)))

        found = await room.read()
        assert (found.revision, len(found.switches)) == (10, 10)

    async def test_reports_are_replaced_and_withdrawn(self, room: ControlRoom) -> None:
        """A process is shown as it told last, by role and id, and not after it ended."""
        await room.report(a_report("b"))
        await room.report(a_report("a"))
        await room.report(a_report("a", generation=3))
        await room.report(a_report("z", role="api"))
        await room.report(a_report("gone"))
        await room.withdraw("gone")
        await room.withdraw("never")

        expected = [a_report("z", role="api"), a_report("a", generation=3), a_report("b")]
        assert list(await room.processes(since=NOW)) == expected

    async def test_a_process_that_is_silent_is_not_shown(self, room: ControlRoom) -> None:
        """Only those that told something since that moment."""
        await room.report(a_report("old", seen=NOW - timedelta(seconds=1)))
        await room.report(a_report("new"))

        assert [report.id for report in await room.processes(since=NOW)] == ["new"]
