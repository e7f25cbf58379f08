"""The development server of `polyrelay dev`: a stack in the foreground, with its log output."""

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import json
from rich.markup import escape
from watchfiles import DefaultFilter, awatch

from cli.embedded.folder_lock import folder_lock
from cli.embedded.log_tail import LogTail
from cli.embedded.processes import ChildProcess
from cli.embedded.stack import ExternalServers, Inherited, Stack
from cli.embedded.start_errors import ServerNotStarted
from cli.embedded.upstreams import VENDORS, Vendor, without_keys
from cli.output import results
from cli.serving import check_address
from cli.supervision import WATCH_PAUSE_S, Interrupted, fail_if_ended, interruption
from core.bind_check import is_loopback
from core.settings import Settings

_ROOT: Final = Path(__file__).resolve().parents[1]
_SOURCES: Final = ("polyrelay", "core", "services", "providers", "repositories", "api", "worker")
_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue")
_GRACE_S: Final = 5.0
_EXAMPLE: Final = {
    "provider": "volcengine",
    "model": "jimeng_t2i_v40",
    "user_id": "me",
    "prompt": "a red fox in the snow",
}


class Development:
    """
    Runs all processes on this machine until Ctrl-C.

    Args:
        data_dir: Folder of the databases, the results and the logs.
        reload: Restart the API and the workers when the source code changes.
    """

    def __init__(self, settings: Settings, *, host: str, port: int, data_dir: Path, workers: int, reload: bool) -> None:
        self._settings = settings
        self._address = (host, port)
        self._data_dir = data_dir.resolve()
        self._workers = workers
        self._reload = reload
        self._simulated = without_keys(settings)

    async def run(self) -> None:
        """
        Run until SIGINT, SIGTERM or SIGHUP.

        Raises:
            ConfigurationError: A process could not start, or another process uses the folder.
            Failed: The address cannot be used, or a process ended by itself.
        """
        with folder_lock(self._data_dir):
            check_address(*self._address, setting="--port")
            stack = self._stack()
            _print_upstreams(self._simulated, self._settings)
            async with interruption(stack) as signals:
                started = asyncio.Event()
                # Watches before the start, so that changes during the start are seen.
                reloading = asyncio.create_task(_reload_on_change(stack, started)) if self._reload else None
                try:
                    tail = _tail_of(stack)
                    await signals.run(stack.start())
                    _print_ready(stack, needs_key=self._auth == "required")
                    started.set()
                    await signals.run(_print_and_watch(stack, tail, reloading))
                except Interrupted:
                    results().print("stopping …")
                finally:
                    if reloading is not None:
                        reloading.cancel()
                        await asyncio.wait({reloading})
                    await stack.stop(grace_s=_GRACE_S + 2.0)
            results().print("stopped")

    def _stack(self) -> Stack:
        env = self._settings.env
        return Stack(
            self._data_dir,
            env=self._environment(),
            workers=self._workers,
            address=self._address,
            vendors=self._simulated,
            inherited=Inherited(cwd=Path.cwd()),
            external=ExternalServers(mongo_url=env.get("MONGO_URL"), redis_url=env.get("REDIS_URL")),
        )

    def _environment(self) -> Mapping[str, str]:
        env = self._settings.env
        return {
            "LOG_FORMAT": env.text("LOG_FORMAT", "console"),
            "LOG_LEVEL": self._settings.log_level,
            "SHUTDOWN_GRACE_S": env.text("SHUTDOWN_GRACE_S", f"{_GRACE_S:g}"),
            "RESULTS_URL": env.text("RESULTS_URL", str(self._data_dir / "results")),
            "AUTH": self._auth,
        }

    @property
    def _auth(self) -> str:
        """AUTH, by default `none` on loopback and `required` elsewhere."""
        return self._settings.env.text("AUTH", "none" if is_loopback(self._address[0]) else "required")


async def _print_and_watch(stack: Stack, tail: LogTail, reloading: "asyncio.Task[None] | None") -> None:
    while True:
        _print_lines(tail)
        fail_if_ended(stack)
        if reloading is not None and reloading.done():
            reloading.result()
        await asyncio.sleep(WATCH_PAUSE_S)


async def _reload_on_change(stack: Stack, started: asyncio.Event) -> None:
    folders = [_ROOT / name for name in _SOURCES]
    async for changes in awatch(*folders, watch_filter=_SourceFilter()):
        await started.wait()
        changed = ", ".join(sorted({str(Path(path).relative_to(_ROOT)) for _, path in changes})[:3])
        results().print(f"[bold]{escape(changed)} changed: restarting the API and the workers[/]")
        try:
            await stack.restart("api", *stack.workers, grace_s=_GRACE_S + 2.0)
            results().print("[bold green]running again[/]")
        except ServerNotStarted as error:
            results().print(f"[bold red]{escape(str(error))}[/]\n[bold]waiting for the next change[/]")


class _SourceFilter(DefaultFilter):
    """Python files and TOML data files."""

    def __call__(self, change: object, path: str) -> bool:
        return path.endswith((".py", ".toml")) and super().__call__(change, path)  # type: ignore[arg-type]


def _tail_of(stack: Stack) -> LogTail:
    own = [process for process in stack.processes.values() if isinstance(process, ChildProcess)]
    return LogTail(own, colours=results().is_terminal)


def _print_lines(tail: LogTail) -> None:
    console = results()
    names = sorted(tail.names)
    width = max(map(len, names), default=0)
    for name, line in tail.lines():
        colour = _COLOURS[names.index(name) % len(_COLOURS)]
        console.print(f"[{colour}]{name:<{width}} |[/] ", end="")
        console.out(line, highlight=False)


def _print_upstreams(simulated: tuple[Vendor, ...], settings: Settings) -> None:
    console = results()
    for vendor in VENDORS:
        keys = " and ".join(vendor.credentials)
        if vendor in simulated:
            console.print(f"{vendor.title}: [green]simulator[/] (set {keys} to call the real one)")
        else:
            url = getattr(settings, vendor.base_url.lower())
            console.print(f"{vendor.title}: [bold yellow]real, tasks cost money[/] ({escape(url)})")


def _print_ready(stack: Stack, *, needs_key: bool) -> None:
    body = shlex.quote(json.encode(_EXAMPLE).decode())
    console = results()
    console.print(f"\n[bold green]ready[/]  {stack.api_url}")
    console.print(f"docs   {stack.api_url}/docs")
    console.print(f"data   {stack.folder}")
    if needs_key:
        console.out(f"keys   MONGO_URL={stack.mongo_url} polyrelay keys create", highlight=False)
    console.print("try    ", end="")
    console.out(f"curl -s {stack.api_url}/api/v1/ai/image/task -H 'Content-Type: application/json' -d {body}\n")
