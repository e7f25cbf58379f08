"""Talking to a running server: where it is, and what is told when it refuses or does not answer."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx
import rich_click as click
from msgspec import Struct

from cli.output import Failed
from polyrelay import Secret
from polyrelay.client import ApiError, Client, ClientError, NotReached
from polyrelay.client.answers import read_answer
from polyrelay.client.calls import Call, headers_of, not_reached, request_of, uses_proxies

T = TypeVar("T")

_LONGEST_SILENCE_S: Final = 30.0

_URL: Final = click.option(
    "--url",
    envvar="POLYRELAY_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    help="Where the server is.",
)
_API_KEY: Final = click.option(
    "--api-key",
    envvar="POLYRELAY_API_KEY",
    show_envvar=True,
    help="Secret of an API key. Others on the machine can read it in a command line; the variable is safer.",
)


class Server(Struct, frozen=True, kw_only=True):
    """Where a server is, and who calls it."""

    url: str
    api_key: Secret | None = None


def at_server(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that talks to a server; it gets them as `server`."""

    @functools.wraps(command)
    def with_server(url: str, api_key: str | None, **options: Any) -> None:
        command(server=Server(url=url, api_key=Secret(api_key) if api_key else None), **options)

    return _URL(_API_KEY(with_server))


@contextmanager
def refusals_reported() -> Iterator[None]:
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
def relay_at(server: Server) -> Iterator[Client]:
    """
    A client of the task API.

    Raises:
        Failed: The server refused something, or did not answer.
    """
    with refusals_reported(), Client(server.url, _revealed(server)) as relay:
        yield relay


def answer_of(server: Server, call: Call[T]) -> T:
    """
    What the server answers to a call that the client does not have, such as those of operators.

    Raises:
        ClientError: It refused, or did not answer.
    """
    base_url = server.url.rstrip("/")
    with httpx.Client(timeout=_LONGEST_SILENCE_S, trust_env=uses_proxies(base_url)) as http:
        request = request_of(call, http, base_url)
        request.headers.update(headers_of(_revealed(server)))
        try:
            return read_answer(http.send(request), call.answer)
        except httpx.TransportError as error:
            not_reached(base_url, error)


def _revealed(server: Server) -> str | None:
    return server.api_key.reveal() if server.api_key else None


def _way_out(error: NotReached) -> str:
    if error.sent:
        return f"{error}. If you were creating a task, look with `polyrelay tasks list` before you create it again."
    return (
        f"no server answers at {error.url} ({error.reason}). Start one with `polyrelay dev`, "
        "or name another one with --url or POLYRELAY_URL."
    )


def _refusal(error: ApiError) -> str:
    fields = [f"\n  {detail.get('field')}: {detail.get('message')}" for detail in error.details if detail.get("field")]
    if error.status == 401:
        fields.append("\n  give the secret of a key with POLYRELAY_API_KEY; `polyrelay keys create` makes one")
    request = f"\n  request id: {error.request_id}" if error.request_id and error.status >= 500 else ""
    return f"{error.message} ({error.code}){''.join(fields) if len(fields) > 1 or error.status == 401 else ''}{request}"
