"""What `polyrelay demo` does."""

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
from cli.supervision import fail_if_dead, interruption
from core.settings import NAMES
from polyrelay.client import AsyncClient, TaskView

TASKS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("image", {"provider": "volcengine", "model": "jimeng_t2i_v40", "prompt": "a red fox in the snow, ink painting"}),
    ("video", {"provider": "volcengine", "model": "jimeng_vgfm_t2v_l20", "prompt": "waves on a beach at dusk"}),
    ("text", {"provider": "volcengine", "model": "doubao-pro-4k", "prompt": "Why is the sky blue?"}),
)
_USER: Final = "demo"
_LONGEST_S: Final = 90.0
_PAUSE_S: Final = 0.1
_GRACE_S: Final = 3.0
_QUICK: Final = ("--latency-image", "0.2", "--latency-video", "0.6", "--latency-text", "0.1")
_SETTINGS: Final = {"POLL_SCALE": "0.1", "SHUTDOWN_GRACE_S": "2"}


class Narrator(Protocol):
    """Tells people how the demonstration goes."""

    def say(self, message: str) -> None:
        """Something happened."""

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """The tasks by type, now and again."""

    def close(self) -> None:
        """The tasks have ended, or the demonstration has."""


async def demonstrate(out: Path, narrator: Narrator) -> list[dict[str, str]]:
    """
    Start everything, make the three results, save them in `out` and stop everything.

    Raises:
        ConfigurationError: Something could not be started.
        ClientError, Failed: A task did not succeed.
        Interrupted: By a signal.
    """
    with tempfile.TemporaryDirectory(prefix="polyrelay-demo-", ignore_cleanup_errors=True) as folder:
        stack = _stack(Path(folder))
        async with interruption(stack) as signals:
            try:
                return await signals.interrupts(_run(stack, out, narrator))
            finally:
                narrator.close()
                await stack.stop(grace_s=_GRACE_S)


def narrator(output_format: str) -> Narrator:
    """One for the terminal, for plain lines, or for people who watch while a program reads the result."""
    console = results() if output_format == "text" else errors()
    return TerminalNarrator(console) if console.is_terminal else PlainNarrator(console)


class PlainNarrator:
    """A line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, str] = {}

    def say(self, message: str) -> None:
        """Print it."""
        self._console.print(message, markup=False)

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """Print those whose status changed."""
        for task_type, task in tasks.items():
            if self._seen.get(task_type) != task.status:
                self._seen[task_type] = task.status
                self._console.print(f"{task_type:<5}  {task.model:<20}  {task.status}", markup=False)

    def close(self) -> None:
        """Nothing to end."""


class TerminalNarrator:
    """A table that changes in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def say(self, message: str) -> None:
        """Print it above the table."""
        self._console.print(message, markup=False)

    def show(self, tasks: Mapping[str, TaskView]) -> None:
        """Draw the table again."""
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=10)
            self._live.start()
        self._live.update(_table(tasks))

    def close(self) -> None:
        """Leave the table as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None


async def _run(stack: Stack, out: Path, narrator: Narrator) -> list[dict[str, str]]:
    started = time.monotonic()
    narrator.say("starting MongoDB, Valkey, the simulator, the API and a worker …")
    await stack.start()
    narrator.say(f"ready after {time.monotonic() - started:.1f} s at {stack.api_url}")
    async with AsyncClient(stack.api_url) as relay:
        done = await _finished(stack, relay, narrator)
        narrator.close()
        saved = [{"type": kind, "file": str(await _saved(relay, task, kind, out))} for kind, task in done.items()]
    for result in saved:
        narrator.say(f"saved {result['file']}")
    narrator.say(f"done in {time.monotonic() - started:.1f} s")
    return saved


async def _finished(stack: Stack, relay: AsyncClient, narrator: Narrator) -> dict[str, TaskView]:
    created = [await relay.create(task_type, user_id=_USER, **fields) for task_type, fields in TASKS]
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        tasks = {task.type: await relay.get(task.task_id) for task in created}
        narrator.show(tasks)
        if all(task.final for task in tasks.values()):
            return tasks
        fail_if_dead(stack)
        await asyncio.sleep(_PAUSE_S)
    raise Failed(f"the tasks did not end within {_LONGEST_S:g} s")


async def _saved(relay: AsyncClient, task: TaskView, name: str, out: Path) -> Path:
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
    return (await relay.download(task.urls[0], out / name)).resolve()


def _stack(folder: Path) -> Stack:
    """In its own world: no setting of the user, in the environment or in `.env`, has a say."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    return Stack(folder, inherited=Inherited(env=environment), env=_SETTINGS, simulator_args=_QUICK)


def _table(tasks: Mapping[str, TaskView]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    marks = {"completed": "[green]✔[/]", "failed": "[red]✘[/]", "cancelled": "[red]✘[/]"}
    for task_type, task in tasks.items():
        table.add_row(marks.get(task.status, "[cyan]…[/]"), task_type, task.model, task.status)
    return table
