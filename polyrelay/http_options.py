"""Options of `VendorHttp`: authorization, error mapping, time-outs and limits."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, TypedDict

import httpx
from msgspec import Struct

from polyrelay.errors import Answer, ProviderError
from polyrelay.secrets import Secret

MAX_ANSWER_BYTES: Final = 128 * 1024 * 1024
SHORTEST_SECRET: Final = 12

ReadFault: TypeAlias = Callable[[Answer], ProviderError | None]


class HttpOptions(Struct, frozen=True, kw_only=True):
    """
    How a `VendorHttp` sends requests and reads answers.

    Attributes:
        auth: Signs or authorizes each request.
        fault: Maps an answer to the error that it means, or to None for "decide by the HTTP status". It is called for
            every answer, because some vendors fail with status 200. For "the request may have been accepted" it returns
            `OutcomeUnknown`; `query` raises that as `Unavailable`, because a query may be repeated.
        hide: Credentials. Where an answer repeats one of them, it is replaced by `***`. A credential shorter than
            `SHORTEST_SECRET` characters is not replaced, because it may be an ordinary word of the answer.
        connect_s: Longest wait for a connection, in seconds.
        read_s: Longest pause between two pieces of an answer, its first byte included, in seconds.
        max_answer_bytes: A longer answer is a `ProtocolError`; the rest of it is not read.
        transport: An httpx transport in place of the connection pool, for tests.
    """

    auth: httpx.Auth | None = None
    fault: ReadFault | None = None
    hide: Iterable[Secret] = ()
    connect_s: float = 10.0
    read_s: float = 300.0
    max_answer_bytes: int = MAX_ANSWER_BYTES
    transport: httpx.AsyncBaseTransport | None = None


class HttpKeywords(TypedDict, total=False):
    """
    The options that `VendorHttp` also takes as keyword arguments: those of version 1.0 and 1.1 of the plugin API.

    Complete: a later option is a field of `HttpOptions` only.
    """

    auth: httpx.Auth | None
    fault: ReadFault | None
    hide: Iterable[Secret]
    connect_s: float
    read_s: float
    max_answer_bytes: int
    transport: httpx.AsyncBaseTransport | None
