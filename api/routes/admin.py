"""Operator routes: switch providers, reload plugins, list processes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar

from litestar import Controller, get, post
from msgspec import Meta, Struct

from api.context import Call, use_cases_of
from api.requests import read_object
from api.route_policy import RoutePolicy, guarded_by
from api.views.tasks import Envelope
from core.audit import Action
from core.callers import Role
from core.control import ProcessReport, Stall
from core.errors import FieldProblem, UnknownProvider
from core.registry import PluginReport
from core.switches import Mode, Switch
from core.validation import checked
from services.runtime.control_sync import alive

S = TypeVar("S", bound=Struct)

LONGEST_REASON: Final = 300
_DONE: Final = {
    Mode.ENABLED: "The provider takes tasks. All processes apply it within 2 s.",
    Mode.DRAINING: "The provider takes no new tasks; tasks created before run to their end.",
    Mode.DISABLED: "Nothing more is submitted to the provider; open operations are polled to their end.",
}


class SwitchOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a switch."""

    reason: Annotated[str, Meta(min_length=1, max_length=LONGEST_REASON, description="Shown to callers.")] | None = None


class ReloadOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a reload: the plugin that is reloaded even if its installed files look the same."""

    plugin: (
        Annotated[str, Meta(min_length=1, max_length=128, description="Name of the plugin, or of its provider.")] | None
    ) = None


class SwitchedProvider(Struct, frozen=True, kw_only=True):
    """The provider's mode. A process has applied it once its `revision` is at least this one."""

    provider: str
    mode: Mode
    since: datetime
    reason: str | None
    revision: int


class RequestedReload(Struct, frozen=True, kw_only=True):
    """A requested reload of all processes. One has reloaded once its `generation` is at least this one."""

    generation: int


class ProcessView(Struct, frozen=True, kw_only=True):
    """What one process runs, as it last reported; `role` is "api" or "worker"."""

    id: str
    role: str
    host: str
    pid: int
    started: datetime
    seen: datetime
    revision: int
    generation: int
    plugins: Sequence[PluginReport]
    stalls: Sequence[Stall]


class ProcessList(Struct, frozen=True, kw_only=True):
    """The running processes, and the revision and generation that they are to reach."""

    processes: list[ProcessView]
    total: int
    revision: int
    generation: int


def _policy(audit: Action | None) -> dict[str, RoutePolicy]:
    return guarded_by(RoutePolicy(access=Role.OPERATOR, audit=audit))


class Admin(Controller):
    """The routes of operators."""

    path = "/api/v1/admin"

    @post("/providers/{name:str}/enable", status_code=200, opt=_policy(Action.PROVIDER_ENABLE))
    async def enable(self, request: Call) -> Envelope[SwitchedProvider]:
        """Let the provider take tasks again."""
        return await _switch(request, Mode.ENABLED)

    @post("/providers/{name:str}/drain", status_code=200, opt=_policy(Action.PROVIDER_DRAIN))
    async def drain(self, request: Call) -> Envelope[SwitchedProvider]:
        """Take no new tasks for the provider."""
        return await _switch(request, Mode.DRAINING)

    @post("/providers/{name:str}/disable", status_code=200, opt=_policy(Action.PROVIDER_DISABLE))
    async def disable(self, request: Call) -> Envelope[SwitchedProvider]:
        """Submit nothing more to the provider."""
        return await _switch(request, Mode.DISABLED)

    @post("/providers/reload", status_code=202, opt=_policy(Action.PLUGINS_RELOAD))
    async def reload(self, request: Call) -> Envelope[RequestedReload]:
        """Reload the plugins of all processes."""
        order = await _order(request, ReloadOrder)
        adapters = use_cases_of(request).adapters
        controls = await adapters.control.request_reload(order.plugin)
        await adapters.follow()
        message = "All processes reload their plugins; GET /api/v1/admin/processes shows which have."
        return Envelope(data=RequestedReload(generation=controls.generation), message=message)

    @get("/processes", opt=_policy(None))
    async def processes(self, request: Call) -> Envelope[ProcessList]:
        """The processes of the server."""
        adapters = use_cases_of(request).adapters
        controls = await adapters.control.read()
        found = [_process_view(report) for report in await alive(adapters.control, adapters.clock())]
        return Envelope(
            data=ProcessList(
                processes=found, total=len(found), revision=controls.revision, generation=controls.generation
            )
        )


async def _switch(call: Call, mode: Mode) -> Envelope[SwitchedProvider]:
    adapters, name = use_cases_of(call).adapters, str(call.path_params["name"])
    order = await _order(call, SwitchOrder)
    known = {*adapters.registry.providers, *(await adapters.control.read()).switches}
    if name not in known:
        raise UnknownProvider([FieldProblem(field="name", message=f"Allowed: {', '.join(sorted(known))}.", value=name)])
    switch = Switch(mode=mode, since=adapters.clock(), reason=order.reason)
    controls = await adapters.control.switch(name, switch)
    await adapters.follow()
    data = SwitchedProvider(
        provider=name, mode=mode, since=switch.since, reason=switch.reason, revision=controls.revision
    )
    return Envelope(data=data, message=_DONE[mode])


async def _order(call: Call, kind: type[S]) -> S:
    """The body; it may be empty."""
    return checked(await read_object(call) if await call.body() else {}, kind)


def _process_view(report: ProcessReport) -> ProcessView:
    return ProcessView(
        id=report.id,
        role=report.role,
        host=report.host,
        pid=report.pid,
        started=report.started,
        seen=report.seen,
        revision=report.revision,
        generation=report.generation,
        plugins=report.plugins,
        stalls=report.stalls,
    )
