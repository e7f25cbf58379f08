"""Waits for a task and shows its progress on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.markup import escape

from cli.output import Failed, InterruptedByUser, errors
from polyrelay.client import Client, TaskView, WaitTimeout


def wait_for_task(client: Client, task_id: str, timeout_s: float | None) -> TaskView:
    """
    The task after it has ended.

    Raises:
        Failed: The task did not end within `timeout_s` seconds; says how to wait again.
        InterruptedByUser: Ctrl-C was pressed; says how to wait again.
    """
    again = f"the task continues; to wait again: polyrelay tasks wait {task_id} --url {client.base_url}"
    try:
        with _progress() as show:
            return client.wait(task_id, timeout_s, on_change=show)
    except WaitTimeout as error:
        raise Failed(f"{error}; {again}") from error
    except KeyboardInterrupt:
        raise InterruptedByUser(f"stopped waiting for {task_id}; {again}") from None


@contextmanager
def _progress() -> Iterator[Callable[[TaskView], None]]:
    console = errors()
    if not console.is_terminal:
        seen: set[str] = set()

        def show_line(task: TaskView) -> None:
            if (line := _state_of(task)) not in seen:
                seen.add(line)
                console.print(f"{task.task_id}  {line}", markup=False)

        yield show_line
        return
    with console.status("waiting …") as status:
        yield lambda task: status.update(escape(f"{task.model}: {_state_of(task)}"))


def _state_of(task: TaskView) -> str:
    phase = f" ({task.phase})" if task.phase else ""
    progress = f" {task.progress:.0%}" if task.progress is not None and not task.final else ""
    return f"{task.status}{phase}{progress}"
