"""`polyrelay tasks`: the task API from a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from cli.connection import Server, at_server, relay_at
from cli.output import FORMAT, Failed, print_json, print_table, report
from cli.task_params import fallbacks_of, image_fields, params_of
from cli.task_text import print_cancelled, print_removed, print_retried, print_task
from cli.waiting import waited
from polyrelay.client import Client, ModelView, TaskView

_TIMEOUT: Final = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="Longest wait, in seconds.  [default: no limit]"
)
_OUT: Final = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Save the results in this folder."
)
_TYPES: Final = click.Choice(["image", "video", "text"])
_PRIORITIES: Final = click.Choice(["critical", "default", "low"])
_STATUSES: Final = click.Choice(["pending", "processing", "completed", "failed", "cancelled"])


@click.group(name="tasks")
def command() -> None:
    """Create, read, wait for, list, cancel, retry, remove and download tasks of a running server."""


@command.command(name="submit")
@click.argument("task_type", metavar="TYPE", type=_TYPES)
@click.argument("prompt", required=False)
@click.option("--provider", required=True, help="Such as volcengine or openai.")
@click.option("--model", required=True, help="A model of that provider; see `polyrelay providers list --models`.")
@click.option("--user-id", required=True, help="Whom the task belongs to.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A param of the model; may come again.")
@click.option(
    "--image-file",
    "image_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An input image, sent with the request; may come again.",
)
@click.option("--image-url", "image_urls", multiple=True, help="Link to an input image; may come again.")
@click.option(
    "--fallback",
    "fallbacks",
    multiple=True,
    metavar="PROVIDER/MODEL",
    help="Whom to ask where the choices before cannot take the task; may come again. It must take the same params.",
)
@click.option("--priority", type=_PRIORITIES, help="How soon it is looked at.  [default: default]")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=1),
    help="The task ends within so many seconds, done or failed.  [default: the model's own limit]",
)
@click.option("--wait", is_flag=True, help="Wait until the task has ended.")
@_TIMEOUT
@_OUT
@at_server
@FORMAT
def submit(
    task_type: str,
    prompt: str | None,
    provider: str,
    model: str,
    user_id: str,
    params: Sequence[str],
    image_files: Sequence[Path],
    image_urls: Sequence[str],
    fallbacks: Sequence[str],
    priority: str | None,
    deadline_s: float | None,
    wait: bool,
    timeout_s: float | None,
    out: Path | None,
    server: Server,
    output_format: str,
) -> None:
    """
    Create a task of TYPE image, video or text. With --out or --timeout it is waited for too.

    Exit code 1 where the task fails.
    """
    with relay_at(server) as relay:
        served = _model(relay, provider, model)
        created = relay.create(
            task_type,
            provider=provider,
            model=model,
            user_id=user_id,
            prompt=prompt,
            priority=priority,
            deadline_s=deadline_s,
            fallbacks=fallbacks_of(fallbacks) or None,
            **params_of(params, served.params),
            **image_fields(image_files, image_urls, served),
        )
        if wait or out is not None or timeout_s is not None:
            _finish(relay, waited(relay, created.task_id, timeout_s), out, output_format)
        elif output_format == "json":
            print_json(created)
        else:
            click.echo(created.task_id)
            report(f"accepted; to wait for it: polyrelay tasks wait {created.task_id} --url {relay.base_url}")


@command.command(name="get")
@click.argument("task_id")
@at_server
@FORMAT
def get(task_id: str, server: Server, output_format: str) -> None:
    """Show a task as it stands."""
    with relay_at(server) as relay:
        task = relay.get(task_id)
    print_json(task) if output_format == "json" else print_task(task)


@command.command(name="wait")
@click.argument("task_id")
@_TIMEOUT
@_OUT
@at_server
@FORMAT
def wait_for(task_id: str, timeout_s: float | None, out: Path | None, server: Server, output_format: str) -> None:
    """Wait until a task has ended, then show it. Exit code 1 where it failed; Ctrl-C leaves the task alone."""
    with relay_at(server) as relay:
        _finish(relay, waited(relay, task_id, timeout_s), out, output_format)


@command.command(name="list")
@click.option("--user-id", help="Only those of this user.")
@click.option("--type", "task_type", type=_TYPES, help="Only those of this type.")
@click.option("--status", type=_STATUSES, help="Only those that stand so.")
@click.option("--provider", help="Only those of this provider.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@click.option("--offset", type=click.IntRange(min=0), default=None, help="Skip so many.")
@click.option("--after", help="Only those older than the task of this id.")
@at_server
@FORMAT
def list_tasks(task_type: str | None, server: Server, output_format: str, **filters: Any) -> None:
    """List tasks, newest first."""
    with relay_at(server) as relay:
        page = relay.list(type=task_type, **filters)
    if output_format == "json":
        print_json(page)
        return
    rows = [(task.task_id, task.type, task.status, task.model, _short(task.prompt)) for task in page.tasks]
    print_table(("task", "type", "status", "model", "prompt"), rows)
    more = f"; older ones: --after {page.next_after}" if page.next_after else ""
    report(f"{len(page.tasks)} of {page.total}{'' if page.total_is_exact else '+'}{more}")


@command.command(name="cancel")
@click.argument("task_id")
@at_server
@FORMAT
def cancel(task_id: str, server: Server, output_format: str) -> None:
    """
    Cancel an open task.

    One that was submitted is ended a little later, and its vendor may still finish and bill it. Twice is as once.
    """
    with relay_at(server) as relay:
        cancelled = relay.cancel(task_id)
    print_json(cancelled) if output_format == "json" else print_cancelled(cancelled)


@command.command(name="retry")
@click.argument("task_id")
@at_server
@FORMAT
def retry(task_id: str, server: Server, output_format: str) -> None:
    """Do a failed task once more. Where its outcome is unknown this may pay the vendor a second time."""
    with relay_at(server) as relay:
        retried = relay.retry(task_id)
    print_json(retried) if output_format == "json" else print_retried(retried)


@command.command(name="delete")
@click.argument("task_id")
@at_server
@FORMAT
def delete(task_id: str, server: Server, output_format: str) -> None:
    """Remove a task and its files; an open one is cancelled first."""
    with relay_at(server) as relay:
        removed = relay.delete(task_id)
    print_json({**msgspec.to_builtins(removed), "removed": True}) if output_format == "json" else print_removed(removed)


@command.command(name="download")
@click.argument("task_id")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Save the results in this folder.  [default: the working directory]",
)
@at_server
@FORMAT
def download(task_id: str, out: Path, server: Server, output_format: str) -> None:
    """Save the results of a completed task."""
    with relay_at(server) as relay:
        task = relay.get(task_id)
        if task.status != "completed":
            raise Failed(f"task {task_id} is {task.status} and has no results")
        files = [str(path.resolve()) for path in relay.save(task, out)]
    print_json({"task_id": task_id, "files": files}) if output_format == "json" else click.echo("\n".join(files))


def _model(relay: Client, provider: str, name: str) -> ModelView:
    """The model as the server knows it; one that it does not know is left for it to refuse."""
    found = [model for model in relay.models() if (model.provider, model.name) == (provider, name)]
    return found[0] if found else ModelView(provider=provider, name=name, type="")


def _finish(relay: Client, task: TaskView, out: Path | None, output_format: str) -> None:
    files = [str(path.resolve()) for path in relay.save(task, out)] if out and task.status == "completed" else []
    if output_format == "json":
        print_json({"task": task, "files": files})
    else:
        print_task(task)
        for file in files:
            click.echo(f"saved     {file}")
    if task.status != "completed":
        raise Failed(f"task {task.task_id} ended as {task.status}")


def _short(prompt: str | None) -> str:
    text = " ".join((prompt or "").split())
    return text if len(text) <= 40 else f"{text[:39]}…"
