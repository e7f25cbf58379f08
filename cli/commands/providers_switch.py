"""Commands `polyrelay providers enable|drain|disable|reload`: change the providers of a running server."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import rich_click as click
from msgspec import Struct

from cli.connection import Server, api_errors_as_failed, call_api, server_options
from cli.output import FORMAT, Failed, print_json, print_message, print_table
from polyrelay.client.calls import Call

_ROOT: Final = "/api/v1/admin"
_CHECK_INTERVAL_S: Final = 0.2
_SWITCH_TIMEOUT_S: Final = 10.0
_NO_WAIT: Final = click.option("--no-wait", is_flag=True, help="Do not wait for the processes to apply the change.")
_REASON: Final = click.option("--reason", help="Reason for the change, shown to callers and in the logs.")


class Switched(Struct, frozen=True, kw_only=True):
    """The mode of a provider, as the API returns it."""

    provider: str
    mode: str
    since: str
    reason: str | None = None
    revision: int


class ReloadRequested(Struct, frozen=True, kw_only=True):
    """A reload that the API has requested from all processes."""

    generation: int


class PluginOfProcess(Struct, frozen=True, kw_only=True):
    """A plugin that a process has loaded, or could not load."""

    name: str
    package: str | None = None
    version: str | None = None
    providers: list[str] = []
    error: str | None = None


class RunningProcess(Struct, frozen=True, kw_only=True):
    """One process of the server, and the plugins that it has loaded."""

    id: str
    role: str = ""
    host: str = ""
    pid: int = 0
    seen: str = ""
    revision: int = 0
    generation: int = 0
    plugins: list[PluginOfProcess] = []


class RunningProcesses(Struct, frozen=True, kw_only=True):
    """The processes of the server that run now."""

    processes: list[RunningProcess]


@click.command(name="enable")
@click.argument("name")
@_REASON
@_NO_WAIT
@server_options
@FORMAT
def enable(**options: Any) -> None:
    """
    Let the provider NAME of a running server take tasks again.

    Needs an API key with the role operator or admin, unless the server has AUTH=none.
    Waits until all processes have applied the change.
    """
    _switch("enable", **options)


@click.command(name="drain")
@click.argument("name")
@_REASON
@_NO_WAIT
@server_options
@FORMAT
def drain(**options: Any) -> None:
    """
    Let the provider NAME of a running server take no new tasks; tasks created before run to their end.

    A new task goes to its fallbacks. Without a fallback its request is refused with status 503.

    Needs an API key with the role operator or admin, unless the server has AUTH=none.
    Waits until all processes have applied the change.

    Example: polyrelay providers drain openai --reason "maintenance"
    """
    _switch("drain", **options)


@click.command(name="disable")
@click.argument("name")
@_REASON
@_NO_WAIT
@server_options
@FORMAT
def disable(**options: Any) -> None:
    """
    Stop all submissions to the provider NAME of a running server; open operations are polled to their end.

    A pending task goes to its fallbacks. Without a fallback it waits until the provider is enabled, or until its
    deadline.

    Needs an API key with the role operator or admin, unless the server has AUTH=none.
    Waits until all processes have applied the change.
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
    help="Longest wait for the processes, in seconds.",
)
@_NO_WAIT
@server_options
@FORMAT
def reload_providers(name: str | None, timeout_s: float, no_wait: bool, server: Server, output_format: str) -> None:
    """
    Load new and changed plugins in all processes of a running server, and unload uninstalled ones.

    With NAME, this plugin is loaded again even if its installed files look unchanged, such as one installed with
    `pip install -e`. If a plugin cannot be loaded, its loaded version stays in use. Exit code 1 if a plugin could not
    be loaded, or if a process did not reload in time.

    Needs an API key with the role operator or admin, unless the server has AUTH=none.
    """
    with api_errors_as_failed():
        body = {"plugin": name} if name else None
        call = Call(method="POST", path=f"{_ROOT}/providers/reload", answer=ReloadRequested, json=body)
        wanted = call_api(server, call).generation
        timeout_s = 0.0 if no_wait else timeout_s
        processes = _wait_for_processes(server, lambda process: process.generation >= wanted, timeout_s)
    late = [process for process in processes if process.generation < wanted]
    failures = _failures(processes)
    if output_format == "json":
        print_json({"generation": wanted, "processes": processes, "late": [process.id for process in late]})
    else:
        _print_processes(processes, wanted)
    for failure in failures:
        print_message(failure)
    if not no_wait and (late or failures):
        raise Failed(_late(late) if late else f"{len(failures)} could not be loaded; loaded versions stay in use")


def _switch(verb: str, name: str, reason: str | None, no_wait: bool, server: Server, output_format: str) -> None:
    with api_errors_as_failed():
        path = f"{_ROOT}/providers/{quote(name, safe='')}/{verb}"
        body = {"reason": reason} if reason else None
        switched = call_api(server, Call(method="POST", path=path, answer=Switched, json=body))
        timeout_s = 0.0 if no_wait else _SWITCH_TIMEOUT_S
        processes = _wait_for_processes(server, lambda process: process.revision >= switched.revision, timeout_s)
    late = [process for process in processes if process.revision < switched.revision]
    if output_format == "json":
        print_json({"switched": switched, "processes": len(processes), "late": [process.id for process in late]})
    else:
        why = f" ({switched.reason})" if switched.reason else ""
        click.echo(f"{switched.provider} is {switched.mode}{why}")
        print_message(f"{len(processes) - len(late)} of {len(processes)} processes have applied the change")
    if late and not no_wait:
        raise Failed(_late(late))


def _wait_for_processes(
    server: Server, is_done: Callable[[RunningProcess], bool], timeout_s: float
) -> list[RunningProcess]:
    """The processes, read again until all have applied the change or the timeout has passed."""
    until = time.monotonic() + timeout_s
    call = Call(method="GET", path=f"{_ROOT}/processes", answer=RunningProcesses)
    while True:
        processes = call_api(server, call).processes
        if all(map(is_done, processes)) or time.monotonic() >= until:
            return processes
        time.sleep(_CHECK_INTERVAL_S)


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
    print_table(("process", "host", "reloaded", "plugins"), rows)


def _failures(processes: Sequence[RunningProcess]) -> list[str]:
    """One line for each plugin and reason, with the number of processes in which it failed."""
    counts: dict[str, int] = {}
    for process in processes:
        for plugin in process.plugins:
            if plugin.error is not None:
                line = f"plugin {plugin.name}: {plugin.error}"
                counts[line] = counts.get(line, 0) + 1
    return [f"{line} (in {count} of {len(processes)} processes)" for line, count in counts.items()]


def _late(processes: Sequence[RunningProcess]) -> str:
    names = ", ".join(
        f"{process.role} {process.pid} on {process.host} (last seen {process.seen})" for process in processes
    )
    return f"not applied in time by: {names}"
