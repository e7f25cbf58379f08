"""Reads the server's HTTP responses: the `data` of a success, or the error of a failure."""

from typing import Any, Final, Generic, TypeVar

import httpx
import msgspec
from msgspec import Struct

from polyrelay.client.errors import ApiError

T = TypeVar("T")

_SHOWN_OF_A_BODY: Final = 200


class _Envelope(Struct, Generic[T], frozen=True, kw_only=True):
    data: T


class _Problem(Struct, frozen=True, kw_only=True):
    code: str = "unknown"
    message: str = ""
    details: list[dict[str, Any]] = []
    request_id: str | None = None


class _Refusal(Struct, frozen=True, kw_only=True):
    message: str = ""
    error: _Problem = _Problem()


def read_answer(response: httpx.Response, kind: type[T]) -> T:
    """
    The `data` of a response whose body was read.

    Raises:
        ApiError: The server answered with an error, or the response is not one of the task API.
    """
    if not response.is_success:
        raise refusal(response)
    try:
        return msgspec.json.decode(response.content, type=_Envelope[kind]).data  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(
            response.status_code, "not_understood", f"the answer of {response.url} is not the task API's: {error}"
        ) from error


def refusal(response: httpx.Response) -> ApiError:
    """The error of a response that is not a success; its body was read."""
    try:
        refused = msgspec.json.decode(response.content, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = response.text[:_SHOWN_OF_A_BODY].strip()
        return ApiError(response.status_code, "http_error", shown or response.reason_phrase)
    problem = refused.error
    return ApiError(
        response.status_code,
        problem.code,
        problem.message or refused.message or response.reason_phrase,
        problem.details,
        problem.request_id or response.headers.get("x-request-id"),
    )
