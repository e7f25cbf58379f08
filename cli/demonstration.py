"""The demonstration of `polyrelay demo`: three tasks on a temporary server."""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cli.embedded.stack import Inherited, Stack
from cli.output import Failed, errors, results
from cli.supervision import fail_if_ended, interruption
from core.settings import NAMES
from polyrelay.client import AsyncClient, TaskView

TASKS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("image", {"provider": "volcengine", "model": "jimeng_t2i_v40", "prompt": "a red fox in the snow, ink painting"}),
    ("video", {"provider": "volcengine", "model": "jimeng_vgfm_t2v_l20", "prompt": "waves on a beach at dusk"}),
    ("text", {"provider": "volcengine", "model": "doubao-pro-4k", "prompt": "Why is the sky blue?"}),
)
_USER: Final = "demo"
_TIMEOUT_S: Final = 90.0
_PAUSE_S: Final = 0.1
_GRACE_S: Final = 3.0
_QUICK: Final = ("--latency-image", "0.2", "--latency-video", "0.6", "--latency-text", "0.1")
_SETTINGS: Final = {"POLL_SCALE": "0.1", "SHUTDOWN_GRACE_S": "2"}


class Progress(Protocol):
    """Shows the progress of the demonstration."""

    def say(self, message: str) -> None:
        """Show a message."""

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """Show the current tasks, by type."""

    def close(self) -> None:
        """End the output of tasks. May be called twice."""


async def demonstrate(out: Path, progress: Progress) -> list[dict[str, str]]:
    """
    Start a server, create three tasks, save their results in `out` and stop the server.

    Returns:
        For each result its `type` and the path of its `file`.

    Raises:
        ConfigurationError: A process could not be started.
        ClientError, Failed: A task did not complete, or a process ended.
        Interrupted: A signal arrived.
    """
    with tempfile.TemporaryDirectory(prefix="polyrelay-demo-", ignore_cleanup_errors=True) as folder:
        stack = _stack(Path(folder))
        async with interruption(stack) as signals:
            try:
                return await signals.run(_run(stack, out, progress))
            finally:
                progress.close()
                await stack.stop(grace_s=_GRACE_S)


def progress_for(output_format: str) -> Progress:
    """Progress on standard output, or on standard error for JSON output; a table on a terminal, else lines."""
    console = results() if output_format == "text" else errors()
    return TerminalProgress(console) if console.is_terminal else PlainProgress(console)


class PlainProgress:
    """Prints a line for each change of a task's status."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, str] = {}

    def say(self, message: str) -> None:
        """Print the message."""
        self._console.print(message, markup=False)

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """Print the tasks whose status has changed."""
        for task_type, task in tasks.items():
            if self._seen.get(task_type) != task.status:
                self._seen[task_type] = task.status
                self._console.print(f"{task_type:<5}  {task.model:<20}  {task.status}", markup=False)

    def close(self) -> None:
        """Do nothing: printed lines stay."""


class TerminalProgress:
    """Shows a table that is updated in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def say(self, message: str) -> None:
        """Print the message above the table."""
        self._console.print(message, markup=False)

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """Update the table."""
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=10)
            self._live.start()
        self._live.update(_table(tasks))

    def close(self) -> None:
        """Stop updating the table."""
        if self._live is not None:
            self._live.stop()
            self._live = None


async def _run(stack: Stack, out: Path, progress: Progress) -> list[dict[str, str]]:
    started = time.monotonic()
    progress.say("starting MongoDB, Valkey, the simulator, the API and a worker …")
    await stack.start()
    progress.say(f"ready after {time.monotonic() - started:.1f} s at {stack.api_url}")
    async with AsyncClient(stack.api_url) as client:
        tasks = await _ended_tasks(stack, client, progress)
        progress.close()
        saved = [{"type": kind, "file": str(await _save(client, task, kind, out))} for kind, task in tasks.items()]
    for result in saved:
        progress.say(f"saved {result['file']}")
    progress.say(f"done in {time.monotonic() - started:.1f} s")
    return saved


async def _ended_tasks(stack: Stack, client: AsyncClient, progress: Progress) -> dict[str, TaskView]:
    created = [await client.create(task_type, user_id=_USER, **fields) for task_type, fields in TASKS]
    until = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < until:
        tasks = {task.type: await client.get(task.task_id) for task in created}
        progress.show(tasks)
        if all(task.final for task in tasks.values()):
            return tasks
        fail_if_ended(stack)
        await asyncio.sleep(_PAUSE_S)
    raise Failed(f"the tasks did not end within {_TIMEOUT_S:g} s")


async def _save(client: AsyncClient, task: TaskView, name: str, out: Path) -> Path:
    if task.status != "completed":
        reason = task.error.message if task.error else "no reason given"
        raise Failed(f"the {task.type} task ended as {task.status}: {reason}")
    if task.text_result is not None:
        path = out / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(task.text_result, "utf-8")
        return path.resolve()
    if not task.urls:
        raise Failed(f"the {task.type} task completed without a result")
    return (await client.download(task.urls[0], out / name)).resolve()


def _stack(folder: Path) -> Stack:
    """A stack that ignores the user's settings in the environment and in `.env`."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    return Stack(folder, inherited=Inherited(env=environment), env=_SETTINGS, simulator_args=_QUICK)


def _table(tasks: Mapping[str, TaskView]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    marks = {"completed": "[green]✔[/]", "failed": "[red]✘[/]", "cancelled": "[red]✘[/]"}
    for task_type, task in tasks.items():
        table.add_row(marks.get(task.status, "[cyan]…[/]"), task_type, task.model, task.status)
    return table
