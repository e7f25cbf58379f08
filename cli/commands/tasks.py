"""Commands `polyrelay tasks`: the task API of a running server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click

from cli.connection import Server, api_client, server_options
from cli.output import FORMAT, Failed, print_json, print_message, print_table
from cli.task_params import fallbacks_of, image_fields, params_of
from cli.task_text import print_cancelled, print_deleted, print_retried, print_task
from cli.waiting import wait_for_task
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
    """Create, show, wait for, list, cancel, retry, delete and download tasks of a running server."""


@command.command(name="submit")
@click.argument("task_type", metavar="TYPE", type=_TYPES)
@click.argument("prompt", required=False)
@click.option("--provider", required=True, help="Provider of the task, such as volcengine or openai.")
@click.option("--model", required=True, help="Model of this provider; see `polyrelay providers list --models`.")
@click.option("--user-id", required=True, help="User to whom the task belongs.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A param of the model; may be repeated.")
@click.option(
    "--image-file",
    "image_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of an input image, sent with the request; may be repeated.",
)
@click.option("--image-url", "image_urls", multiple=True, help="Link to an input image; may be repeated.")
@click.option(
    "--fallback",
    "fallbacks",
    multiple=True,
    metavar="PROVIDER/MODEL",
    help="Model to try if the ones before it cannot take the task; may be repeated. It must take the same params.",
)
@click.option("--priority", type=_PRIORITIES, help="How soon workers process the task.  [default: default]")
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=1),
    help="Seconds until the task fails if it has not ended.  [default: the model's own limit]",
)
@click.option("--wait", is_flag=True, help="Wait until the task has ended.")
@_TIMEOUT
@_OUT
@server_options
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
    Create a task of TYPE image, video or text, and print its id.

    With --wait, --timeout or --out the command waits until the task has ended and prints the task instead. Exit code 1
    if the task fails.

    Example: polyrelay tasks submit image "a red fox" --provider volcengine --model jimeng_t2i_v40 --user-id me --wait
    """
    with api_client(server) as client:
        served = _model(client, provider, model)
        created = client.create(
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
            _print_ended(client, wait_for_task(client, created.task_id, timeout_s), out, output_format)
        elif output_format == "json":
            print_json(created)
        else:
            click.echo(created.task_id)
            print_message(f"created; to wait for it: polyrelay tasks wait {created.task_id} --url {client.base_url}")


@command.command(name="get")
@click.argument("task_id")
@server_options
@FORMAT
def get(task_id: str, server: Server, output_format: str) -> None:
    """Show the current state of a task."""
    with api_client(server) as client:
        task = client.get(task_id)
    print_json(task) if output_format == "json" else print_task(task)


@command.command(name="wait")
@click.argument("task_id")
@_TIMEOUT
@_OUT
@server_options
@FORMAT
def wait_for(task_id: str, timeout_s: float | None, out: Path | None, server: Server, output_format: str) -> None:
    """
    Wait until a task has ended, then show it.

    Exit code 1 if the task did not complete. Ctrl-C ends the wait and does not change the task.
    """
    with api_client(server) as client:
        _print_ended(client, wait_for_task(client, task_id, timeout_s), out, output_format)


@command.command(name="list")
@click.option("--user-id", help="Only tasks of this user.")
@click.option("--type", "task_type", type=_TYPES, help="Only tasks of this type.")
@click.option("--status", type=_STATUSES, help="Only tasks with this status.")
@click.option("--provider", help="Only tasks of this provider.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Largest number of tasks.")
@click.option("--offset", type=click.IntRange(min=0), default=None, help="Number of tasks to skip.")
@click.option("--after", help="Only tasks older than the task with this id.")
@server_options
@FORMAT
def list_tasks(task_type: str | None, server: Server, output_format: str, **filters: Any) -> None:
    """
    List tasks, newest first.

    Example: polyrelay tasks list --status failed --limit 5
    """
    with api_client(server) as client:
        page = client.list(type=task_type, **filters)
    if output_format == "json":
        print_json(page)
        return
    rows = [(task.task_id, task.type, task.status, task.model, _short(task.prompt)) for task in page.tasks]
    print_table(("task", "type", "status", "model", "prompt"), rows)
    more = f"; older ones: --after {page.next_after}" if page.next_after else ""
    print_message(f"{len(page.tasks)} of {page.total}{'' if page.total_is_exact else '+'}{more}")


@command.command(name="cancel")
@click.argument("task_id")
@server_options
@FORMAT
def cancel(task_id: str, server: Server, output_format: str) -> None:
    """
    Cancel an open task.

    A task that was submitted to a vendor ends a little later, and the vendor may still finish and bill it. Repeating
    the command does no harm.
    """
    with api_client(server) as client:
        cancelled = client.cancel(task_id)
    print_json(cancelled) if output_format == "json" else print_cancelled(cancelled)


@command.command(name="retry")
@click.argument("task_id")
@server_options
@FORMAT
def retry(task_id: str, server: Server, output_format: str) -> None:
    """
    Run a failed task again.

    If the outcome of its last attempt is unknown, the vendor may bill the task twice.
    """
    with api_client(server) as client:
        retried = client.retry(task_id)
    print_json(retried) if output_format == "json" else print_retried(retried)


@command.command(name="delete")
@click.argument("task_id")
@server_options
@FORMAT
def delete(task_id: str, server: Server, output_format: str) -> None:
    """Delete a task and its files. An open task is cancelled first."""
    with api_client(server) as client:
        deleted = client.delete(task_id)
    print_json({**msgspec.to_builtins(deleted), "removed": True}) if output_format == "json" else print_deleted(deleted)


@command.command(name="download")
@click.argument("task_id")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Save the results in this folder.  [default: the working directory]",
)
@server_options
@FORMAT
def download(task_id: str, out: Path, server: Server, output_format: str) -> None:
    """
    Save the result files of a completed task.

    Example: polyrelay tasks download task_1 --out results
    """
    with api_client(server) as client:
        task = client.get(task_id)
        if task.status != "completed":
            raise Failed(f"task {task_id} is {task.status} and has no results")
        files = [str(path.resolve()) for path in client.save(task, out)]
    print_json({"task_id": task_id, "files": files}) if output_format == "json" else click.echo("\n".join(files))


def _model(client: Client, provider: str, name: str) -> ModelView:
    """The model from the server's catalogue. For an unknown model: an empty view, and the create is refused later."""
    found = [model for model in client.models() if (model.provider, model.name) == (provider, name)]
    return found[0] if found else ModelView(provider=provider, name=name, type="")


def _print_ended(client: Client, task: TaskView, out: Path | None, output_format: str) -> None:
    files = [str(path.resolve()) for path in client.save(task, out)] if out and task.status == "completed" else []
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
