"""Connection of commands to a running server: the options --url and --api-key, and error messages."""

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

_TIMEOUT_S: Final = 30.0

_URL: Final = click.option(
    "--url",
    envvar="POLYRELAY_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    help="URL of the server.",
)
_API_KEY: Final = click.option(
    "--api-key",
    envvar="POLYRELAY_API_KEY",
    show_envvar=True,
    help="Secret of an API key. Other users of the machine can read command lines; the variable is safer.",
)


class Server(Struct, frozen=True, kw_only=True):
    """URL of a server, and the API key of the caller."""

    url: str
    api_key: Secret | None = None


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options --url and --api-key to a command, which receives them as one `Server` named `server`."""

    @functools.wraps(command)
    def with_server(url: str, api_key: str | None, **options: Any) -> None:
        command(server=Server(url=url, api_key=Secret(api_key) if api_key else None), **options)

    return _URL(_API_KEY(with_server))


@contextmanager
def api_errors_as_failed() -> Iterator[None]:
    """
    Turn errors of the API client into `Failed`, which ends the command.

    Raises:
        Failed: The server refused the call or did not answer; says what to do.
    """
    try:
        yield
    except NotReached as error:
        raise Failed(_advice(error)) from error
    except ApiError as error:
        raise Failed(_message(error)) from error
    except (ClientError, OSError) as error:
        raise Failed(str(error)) from error


@contextmanager
def api_client(server: Server) -> Iterator[Client]:
    """
    A client of the task API.

    Raises:
        Failed: The server refused a call, or did not answer.
    """
    with api_errors_as_failed(), Client(server.url, _revealed(server)) as client:
        yield client


def call_api(server: Server, call: Call[T]) -> T:
    """
    Make a call for which `Client` has no method, such as an operator's call, and return its answer.

    Raises:
        ClientError: The server refused the call, or did not answer.
    """
    base_url = server.url.rstrip("/")
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=uses_proxies(base_url)) as http:
        request = request_of(call, http, base_url)
        request.headers.update(headers_of(_revealed(server)))
        try:
            return read_answer(http.send(request), call.answer)
        except httpx.TransportError as error:
            not_reached(base_url, error)


def _revealed(server: Server) -> str | None:
    return server.api_key.reveal() if server.api_key else None


def _advice(error: NotReached) -> str:
    if error.sent:
        return f"{error}. If you were creating a task, check with `polyrelay tasks list` before you create it again."
    return (
        f"no server answers at {error.url} ({error.reason}). Start one with `polyrelay dev`, "
        "or set the URL of another one with --url or POLYRELAY_URL."
    )


def _message(error: ApiError) -> str:
    details = [f"\n  {detail.get('field')}: {detail.get('message')}" for detail in error.details if detail.get("field")]
    if error.status == 401:
        details.append("\n  set POLYRELAY_API_KEY to the secret of an API key; `polyrelay keys create` creates one")
    request = f"\n  request id: {error.request_id}" if error.request_id and error.status >= 500 else ""
    return (
        f"{error.message} ({error.code}){''.join(details) if len(details) > 1 or error.status == 401 else ''}{request}"
    )
