"""`polyrelay providers enable|drain|disable|reload`: providers of a running server."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import rich_click as click
from msgspec import Struct

from cli.connection import Server, answer_of, at_server, refusals_reported
from cli.output import FORMAT, Failed, print_json, print_table, report
from polyrelay.client.calls import Call

_ROOT: Final = "/api/v1/admin"
_LOOK_S: Final = 0.2
_NO_WAIT: Final = click.option("--no-wait", is_flag=True, help="Do not wait until all processes follow.")
_REASON: Final = click.option("--reason", help="Shown to callers and in the logs.")


class Switched(Struct, frozen=True, kw_only=True):
    """How a provider is switched now."""

    provider: str
    mode: str
    since: str
    reason: str | None = None
    revision: int


class ReloadRequested(Struct, frozen=True, kw_only=True):
    """The processes look for plugins."""

    generation: int


class PluginOfProcess(Struct, frozen=True, kw_only=True):
    """A plugin as a process has it."""

    name: str
    package: str | None = None
    version: str | None = None
    providers: list[str] = []
    error: str | None = None


class RunningProcess(Struct, frozen=True, kw_only=True):
    """What one process of the server runs."""

    id: str
    role: str = ""
    host: str = ""
    pid: int = 0
    seen: str = ""
    revision: int = 0
    generation: int = 0
    plugins: list[PluginOfProcess] = []


class RunningProcesses(Struct, frozen=True, kw_only=True):
    """The processes that live."""

    processes: list[RunningProcess]


@click.command(name="enable")
@click.argument("name")
@_REASON
@_NO_WAIT
@at_server
@FORMAT
def enable(**options: Any) -> None:
    """Have the provider NAME of a running server take tasks again."""
    _switch("enable", **options)


@click.command(name="drain")
@click.argument("name")
@_REASON
@_NO_WAIT
@at_server
@FORMAT
def drain(**options: Any) -> None:
    """
    Take no new tasks for the provider NAME of a running server; those accepted before run to their end.

    New ones go to their fallbacks, or are refused with 503.
    """
    _switch("drain", **options)


@click.command(name="disable")
@click.argument("name")
@_REASON
@_NO_WAIT
@at_server
@FORMAT
def disable(**options: Any) -> None:
    """
    Submit nothing more to the provider NAME of a running server; operations under way are polled to their end.

    Pending tasks go to their fallbacks, or wait until it is enabled or their deadline comes.
    """
    _switch("disable", **options)


@click.command(name="reload")
@click.argument("name", required=False)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Longest wait, in seconds.",
)
@_NO_WAIT
@at_server
@FORMAT
def reload_providers(name: str | None, timeout_s: float, no_wait: bool, server: Server, output_format: str) -> None:
    """
    Have all processes of a running server load new and changed plugins and drop uninstalled ones.

    With NAME, that plugin is loaded anew even where its installed files look the same, such as one installed with
    `pip install -e`. A plugin that cannot be loaded stays as it was. Exit code 1 where one could not be loaded, or a
    process did not follow in time.
    """
    with refusals_reported():
        body = {"plugin": name} if name else None
        call = Call(method="POST", path=f"{_ROOT}/providers/reload", answer=ReloadRequested, json=body)
        wanted = answer_of(server, call).generation
        timeout_s = 0.0 if no_wait else timeout_s
        processes = _waited(server, lambda process: process.generation >= wanted, timeout_s)
    late = [process for process in processes if process.generation < wanted]
    failed = _failures(processes)
    if output_format == "json":
        print_json({"generation": wanted, "processes": processes, "late": [each.id for each in late]})
    else:
        _print_processes(processes, wanted)
    for failure in failed:
        report(failure)
    if not no_wait and (late or failed):
        raise Failed(_late(late) if late else f"{len(failed)} could not be loaded; what was there before goes on")


def _switch(verb: str, name: str, reason: str | None, no_wait: bool, server: Server, output_format: str) -> None:
    with refusals_reported():
        path = f"{_ROOT}/providers/{quote(name, safe='')}/{verb}"
        body = {"reason": reason} if reason else None
        switched = answer_of(server, Call(method="POST", path=path, answer=Switched, json=body))
        processes = _waited(server, lambda process: process.revision >= switched.revision, 0.0 if no_wait else 10.0)
    late = [process for process in processes if process.revision < switched.revision]
    if output_format == "json":
        print_json({"switched": switched, "processes": len(processes), "late": [process.id for process in late]})
    else:
        why = f" ({switched.reason})" if switched.reason else ""
        click.echo(f"{switched.provider} is {switched.mode}{why}")
        report(f"{len(processes) - len(late)} of {len(processes)} processes follow")
    if late and not no_wait:
        raise Failed(_late(late))


def _waited(server: Server, follows: Callable[[RunningProcess], bool], timeout_s: float) -> list[RunningProcess]:
    """The processes, once all of them follow or the time is over."""
    until = time.monotonic() + timeout_s
    call = Call(method="GET", path=f"{_ROOT}/processes", answer=RunningProcesses)
    while True:
        processes = answer_of(server, call).processes
        if all(map(follows, processes)) or time.monotonic() >= until:
            return processes
        time.sleep(_LOOK_S)


def _print_processes(processes: Sequence[RunningProcess], wanted: int) -> None:
    rows = [
        (
            f"{process.role} {process.pid}",
            process.host,
            "yes" if process.generation >= wanted else "not yet",
            ", ".join(f"{plugin.name} {plugin.version or ''}".strip() for plugin in process.plugins),
        )
        for process in processes
    ]
    print_table(("process", "host", "followed", "plugins"), rows)


def _failures(processes: Sequence[RunningProcess]) -> list[str]:
    """One line for each plugin and reason, with the number of processes."""
    lines: dict[str, int] = {}
    for process in processes:
        for plugin in process.plugins:
            if plugin.error is not None:
                line = f"plugin {plugin.name}: {plugin.error}"
                lines[line] = lines.get(line, 0) + 1
    return [f"{line} (in {count} of {len(processes)} processes)" for line, count in lines.items()]


def _late(processes: Sequence[RunningProcess]) -> str:
    names = ", ".join(f"{each.role} {each.pid} on {each.host} (last heard {each.seen})" for each in processes)
    return f"did not follow in time: {names}"
