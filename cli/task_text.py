"""A task as text for people."""

from rich.markup import escape

from cli.output import results
from polyrelay.client import TaskView


def print_task(task: TaskView) -> None:
    """What matters of a task, a line each."""
    console = results()
    for name, value in _lines(task):
        console.print(f"[bold]{name:<9}[/] {escape(value)}")


def _lines(task: TaskView) -> list[tuple[str, str]]:
    lines = [
        ("task", task.task_id),
        ("type", task.type),
        ("model", f"{task.provider} {task.model}".strip()),
        ("status", f"{task.status} ({task.phase})" if task.phase else task.status),
    ]
    if task.created is not None:
        lines.append(("created", task.created.isoformat(timespec="seconds")))
    if task.prompt:
        lines.append(("prompt", task.prompt))
    if task.error is not None:
        lines.append(("error", f"{task.error.message} ({task.error.code})"))
    lines += [("result", url) for url in task.urls]
    lines += [("text", text) for text in task.texts]
    return lines
