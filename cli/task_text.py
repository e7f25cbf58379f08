"""Text output of `polyrelay tasks`."""

from rich.markup import escape

from cli.output import print_message, results
from polyrelay.client import TaskCancelled, TaskRemoved, TaskRetried, TaskView


def print_task(task: TaskView) -> None:
    """Print the main fields of a task, one line each."""
    console = results()
    for name, value in _lines(task):
        console.print(f"[bold]{name:<9}[/] {escape(value)}")


def print_cancelled(cancelled: TaskCancelled) -> None:
    """Print the outcome of a cancel on standard output, and a warning about costs on standard error."""
    if cancelled.cancel == "requested":
        results().print(f"cancel requested {escape(cancelled.task_id)}")
        print_message("the vendor may still finish and bill it; `polyrelay tasks get` shows the outcome")
        return
    results().print(f"cancelled {escape(cancelled.task_id)}")
    if cancelled.may_be_billed:
        print_message("the vendor may bill earlier attempts")


def print_retried(retried: TaskRetried) -> None:
    """Print the task's new status on standard output, and a warning on standard error if it may be billed twice."""
    results().print(f"{escape(retried.status)} {escape(retried.task_id)}")
    if retried.may_be_billed:
        print_message("the vendor may have billed an earlier attempt already")


def print_deleted(deleted: TaskRemoved) -> None:
    """Print the id on standard output, and a warning on standard error if the task was open and may be billed."""
    results().print(f"deleted {escape(deleted.task_id)}")
    if deleted.cancelled and deleted.may_be_billed:
        subject = "the vendor confirmed that it stopped; it" if deleted.vendor_stopped else "the vendor"
        print_message(f"{subject} may bill the attempt")


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
