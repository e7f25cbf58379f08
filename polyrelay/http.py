"""
HTTP client of a vendor: one connection pool per service, connect and read time-outs, errors mapped in one place.

`submit` is for requests that start something (and cost money), `query` for requests that may be repeated at any time.
The same failure means different things for the two: see `polyrelay.errors`.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, Final, NoReturn, TypeAlias, Unpack

import httpx
import msgspec
import structlog

from polyrelay.connections import connections
from polyrelay.errors import (
    Answer,
    OutcomeUnknown,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
)
from polyrelay.http_options import MAX_ANSWER_BYTES, SHORTEST_SECRET, HttpKeywords, HttpOptions, ReadFault

# Plugins of version 1.0 import these names from here.
__all__ = [
    "MAX_ANSWER_BYTES",
    "SHORTEST_SECRET",
    "Answer",
    "BearerAuth",
    "HttpOptions",
    "Keep",
    "Query",
    "ReadFault",
    "VendorHttp",
]

Query: TypeAlias = Sequence[tuple[str, str]]
Keep: TypeAlias = Callable[[Answer], None]

_CONNECTIONS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=15.0)
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

log = structlog.get_logger(__name__)


class VendorHttp:
    """
    A vendor's API behind one connection pool.

    Args:
        vendor: Name of the vendor in messages and logs.
        base_url: Everything before the path; a trailing slash makes no difference.
        options: Authorization, error mapping, time-outs and limits.
        keywords: The same options by name, for those that version 1.0 of the plugin API had: `auth=…` is short for
            `HttpOptions(auth=…)`. A keyword replaces the field of `options` that has its name.

    Raises:
        TypeError: A keyword is not the name of an option.
    """

    def __init__(
        self, vendor: str, base_url: str, options: HttpOptions | None = None, **keywords: Unpack[HttpKeywords]
    ) -> None:
        options = msgspec.structs.replace(options or HttpOptions(), **keywords)
        self._vendor = vendor
        self._fault: ReadFault = options.fault or (lambda _: None)
        texts = [secret.reveal() for secret in options.hide]
        self._hidden = tuple(text.encode() for text in texts if len(text) >= SHORTEST_SECRET)
        self._max_answer_bytes = options.max_answer_bytes
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            auth=options.auth,
            limits=_CONNECTIONS,
            timeout=httpx.Timeout(options.read_s, connect=options.connect_s, pool=options.connect_s),
            transport=options.transport or connections(_CONNECTIONS),
            headers={"User-Agent": "polyrelay"},
            trust_env=options.transport is None,
        )

    async def submit(
        self,
        path: str,
        *,
        json: object = None,
        query: Query = (),
        form: Mapping[str, str] | None = None,
        files: Mapping[str, Any] | None = None,
        keep: Keep | None = None,
    ) -> Answer:
        """
        POST a request that starts something.

        Args:
            path: After the base URL.
            json: The body, encoded as JSON.
            query: Query parameters, in order; a name may occur several times.
            form: Fields of a multipart body, in place of `json`.
            files: Files of a multipart body, as httpx takes them.
            keep: Called with the answer, an error answer included, before the answer is mapped to an error.

        Raises:
            NotAccepted: Not sent, or refused for now: safe to submit again.
            Rejected: Refused; the same request will be refused again.
            OutcomeUnknown: Sent, and the outcome is not known.
            ProtocolError: Sent, and the answer is damaged: the outcome is not known either.
        """
        multipart = None if form is None else [(name, (None, value)) for name, value in form.items()]
        content = _content(json)
        try:
            async with self._open(
                "POST", path, query, content, [*(multipart or ()), *(files or {}).items()]
            ) as response:
                return self._checked(await self._whole(response), keep)
        except httpx.TransportError as error:
            self._raise_for_submit(error)

    async def query(
        self, method: str, path: str, *, json: object = None, query: Query = (), keep: Keep | None = None
    ) -> Answer:
        """
        Send a request that may be repeated at any time. The arguments are those of `submit`.

        Raises:
            Unavailable: No usable answer this time, for any reason.
            RateLimited: Too many requests.
            Rejected: Refused; the same request will be refused again.
            GenerationFailed: The `fault` function returned it.
            ProtocolError: The answer is damaged.
        """
        try:
            async with self._open(method, path, query, _content(json)) as response:
                return self._checked(await self._whole(response), keep)
        except httpx.TransportError as error:
            raise Unavailable(f"{self._vendor} did not answer: {_kind(error)}") from error
        except OutcomeUnknown as error:
            raise Unavailable(
                error.message, code=error.code, http_status=error.http_status, request_id=error.request_id
            ) from error

    async def events(self, path: str, *, json: object, query: Query = ()) -> AsyncGenerator[bytes, None]:
        """
        POST a request that starts something and yield the `data` of each server-sent event, except `[DONE]`.

        Raises the same errors as `submit`.
        """
        try:
            async with self._open("POST", path, query, _content(json)) as response:
                if response.status_code >= 300:
                    self._checked(await self._whole(response))
                async for line in self._lines(response):
                    if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                        yield data
        except httpx.TransportError as error:
            self._raise_for_submit(error)
        except httpx.DecodingError as error:
            raise ProtocolError(f"{self._vendor}'s answer does not decompress") from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Query,
        content: bytes | None,
        parts: Sequence[tuple[str, Any]] = (),
    ) -> AsyncIterator[httpx.Response]:
        started = time.monotonic()
        request = self._client.build_request(
            method,
            path,
            params=list(query) or None,
            content=content,
            files=list(parts) or None,
            headers={"Content-Type": "application/json"} if content is not None else None,
        )
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()
            log.debug(
                "upstream_answered",
                vendor=self._vendor,
                method=method,
                path=path,
                status=response.status_code,
                duration_s=round(time.monotonic() - started, 3),
            )

    async def _lines(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """
        Yield the lines of a body, which end with LF or CR LF.

        httpx's `aiter_lines` is not used: it also splits at characters such as U+2028, which JSON may hold unescaped.
        """
        rest = bytearray()
        async for chunk in response.aiter_bytes():
            *ended, tail = chunk.split(b"\n")
            for end in ended:
                yield self._without_secrets(bytes(rest + end).rstrip(b"\r"))
                rest.clear()
            rest += tail
            if len(rest) > self._max_answer_bytes:
                raise ProtocolError(f"{self._vendor}'s answer has a line of more than {self._max_answer_bytes} bytes")
        yield self._without_secrets(bytes(rest))

    async def _whole(self, response: httpx.Response) -> Answer:
        body, size_bytes = BytesIO(), 0  # the bytes of a BytesIO are returned without a copy
        try:
            async for chunk in response.aiter_bytes():
                size_bytes += body.write(chunk)
                if size_bytes > self._max_answer_bytes:
                    raise ProtocolError(
                        f"{self._vendor}'s answer is larger than {self._max_answer_bytes} bytes",
                        http_status=response.status_code,
                    )
        except httpx.DecodingError as error:
            raise ProtocolError(
                f"{self._vendor}'s answer does not decompress", http_status=response.status_code
            ) from error
        return Answer(
            status=response.status_code, headers=dict(response.headers), body=self._without_secrets(body.getvalue())
        )

    def _without_secrets(self, data: bytes) -> bytes:
        for secret in self._hidden:
            if secret in data:
                data = data.replace(secret, b"***")
        return data

    def _checked(self, answer: Answer, keep: Keep | None = None) -> Answer:
        if keep is not None:
            keep(answer)
        fault = self._fault(answer) or (_by_status(self._vendor, answer) if answer.status >= 300 else None)
        if fault is not None:
            raise fault
        return answer

    def _raise_for_submit(self, error: httpx.TransportError) -> NoReturn:
        if isinstance(error, _NOT_SENT):
            raise Unavailable(f"{self._vendor} could not be reached: {_kind(error)}") from error
        raise OutcomeUnknown(
            f"{self._vendor} got the request and did not answer ({_kind(error)}); it may have accepted and billed it"
        ) from error


class BearerAuth(httpx.Auth):
    """Authorization with `Authorization: Bearer …`; no `repr` shows the token."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Any:
        """Add the header."""
        request.headers["Authorization"] = self._header
        yield request


def _content(json: object) -> bytes | None:
    return None if json is None else msgspec.json.encode(json)


def _kind(error: httpx.TransportError) -> str:
    """Name the kind of error, such as "read timeout". The error's own text is left out: it may contain an address."""
    name = type(error).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _by_status(vendor: str, answer: Answer) -> ProviderError:
    text = f"{vendor} answered HTTP {answer.status}"
    request_id = answer.headers.get("x-request-id")
    match answer.status:
        case 429:
            return RateLimited(text, retry_after_s=answer.retry_after_s, http_status=429, request_id=request_id)
        case 401 | 403:
            return Rejected(text, reason="auth", http_status=answer.status, request_id=request_id)
        case 404:
            return Rejected(text, reason="not_found", http_status=answer.status, request_id=request_id)
        case status if status < 400 or status == 408 or status >= 500:
            return OutcomeUnknown(text, http_status=answer.status, request_id=request_id)
        case _:
            return Rejected(text, http_status=answer.status, request_id=request_id)
