"""A task as text for people."""

from rich.markup import escape

from cli.output import report, results
from polyrelay.client import TaskCancelled, TaskRemoved, TaskRetried, TaskView


def print_task(task: TaskView) -> None:
    """What matters of a task, a line each."""
    console = results()
    for name, value in _lines(task):
        console.print(f"[bold]{name:<9}[/] {escape(value)}")


def print_cancelled(cancelled: TaskCancelled) -> None:
    """What became of it on standard output, and what that means beside it."""
    if cancelled.cancel == "requested":
        results().print(f"cancel requested {escape(cancelled.task_id)}")
        report("the vendor may still finish and bill it; `polyrelay tasks get` shows what became of it")
        return
    results().print(f"cancelled {escape(cancelled.task_id)}")
    if cancelled.may_be_billed:
        report("the vendor may bill what it was given before")


def print_retried(retried: TaskRetried) -> None:
    """The task's status on standard output, and a warning beside it where money may be spent twice."""
    results().print(f"{escape(retried.status)} {escape(retried.task_id)}")
    if retried.may_be_billed:
        report("the vendor may have been paid for an earlier attempt already")


def print_removed(removed: TaskRemoved) -> None:
    """That it is gone on standard output, and a word beside it where it was open and may cost."""
    results().print(f"removed {escape(removed.task_id)}")
    if removed.cancelled and removed.may_be_billed:
        said = "the vendor confirmed that it stopped; it" if removed.vendor_stopped else "the vendor"
        report(f"{said} may bill what it was given")


def _lines(task: TaskView) -> list[tuple[str, str]]:
    lines = [
        ("task", task.task_id),
        ("type", task.type),
        ("model", f"{task.provider} {task.model}".strip()),
        ("status", f"{task.status} ({task.phase})" if task.phase else task.status),
    ]
    if task.served_by is not None and (task.served_by.provider, task.served_by.model) != (task.provider, task.model):
        lines.append(("served by", f"{task.served_by.provider} {task.served_by.model}"))
    if task.priority not in (None, "default"):
        lines.append(("priority", task.priority or ""))
    if task.cancel_requested is not None and not task.final:
        lines.append(("cancel", f"requested {task.cancel_requested.isoformat(timespec='seconds')}"))
    if task.created is not None:
        lines.append(("created", task.created.isoformat(timespec="seconds")))
    if task.prompt:
        lines.append(("prompt", task.prompt))
    if task.error is not None:
        lines.append(("error", f"{task.error.message} ({task.error.code})"))
    lines += [("result", url) for url in task.urls]
    lines += [("text", text) for text in task.texts]
    return lines
