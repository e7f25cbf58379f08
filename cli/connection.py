"""Talking to a running server: where it is, and what is told when it refuses or does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx
import rich_click as click

from cli.output import Failed
from polyrelay.client import ApiError, Client, ClientError, NotReached
from polyrelay.client.answers import read_answer
from polyrelay.client.calls import Call, headers_of, not_reached, request_of, uses_proxies

T = TypeVar("T")

_LONGEST_SILENCE_S: Final = 30.0

URL: Final = click.option(
    "--url",
    envvar="POLYRELAY_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    help="Where the server is.",
)
"""The option of every command that talks to a server."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """
    What goes wrong inside ends the command.

    Raises:
        Failed: With the way out.
    """
    try:
        yield
    except NotReached as error:
        raise Failed(_way_out(error)) from error
    except ApiError as error:
        raise Failed(_refusal(error)) from error
    except (ClientError, OSError) as error:
        raise Failed(str(error)) from error


@contextmanager
def relay_at(url: str) -> Iterator[Client]:
    """
    A client of the task API.

    Raises:
        Failed: The server refused something, or did not answer.
    """
    with refusals_told(), Client(url) as relay:
        yield relay


def answer_of(url: str, call: Call[T]) -> T:
    """
    What the server answers to a call that the client does not have, such as those of operators.

    Raises:
        ClientError: It refused, or did not answer.
    """
    base_url = url.rstrip("/")
    with httpx.Client(timeout=_LONGEST_SILENCE_S, trust_env=uses_proxies(base_url)) as http:
        request = request_of(call, http, base_url)
        request.headers.update(headers_of(None))
        try:
            return read_answer(http.send(request), call.answer)
        except httpx.TransportError as error:
            not_reached(base_url, error)


def _way_out(error: NotReached) -> str:
    if error.sent:
        return f"{error}. If you were creating a task, look with `polyrelay tasks list` before you create it again."
    return (
        f"no server answers at {error.url} ({error.reason}). Start one with `polyrelay dev`, "
        "or name another one with --url or POLYRELAY_URL."
    )


def _refusal(error: ApiError) -> str:
    fields = [f"\n  {detail.get('field')}: {detail.get('message')}" for detail in error.details if detail.get("field")]
    request = f"\n  request id: {error.request_id}" if error.request_id and error.status >= 500 else ""
    return f"{error.message} ({error.code}){''.join(fields) if len(fields) > 1 else ''}{request}"
