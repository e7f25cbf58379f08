"""
HTTP to a vendor: one connection pool per service, split timeouts, failures mapped in one place.

`submit` is for requests that start something (and cost money), `query` for those that may be repeated at will.
The same failure means different things in the two: see `polyrelay.errors`.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import httpx
import msgspec
import structlog

from polyrelay.connections import connections
from polyrelay.errors import (
    OutcomeUnknown,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
)
from polyrelay.secrets import Secret

T = TypeVar("T")
Query: TypeAlias = Sequence[tuple[str, str]]

MAX_ANSWER_BYTES: Final = 128 * 1024 * 1024
SHORTEST_SECRET: Final = 12
_CONNECTIONS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=64, keepalive_expiry=15.0)
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

log = structlog.get_logger(__name__)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    A vendor's whole answer.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Decompressed bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        """
        The body as JSON of that type; unknown fields are ignored.

        Raises:
            ProtocolError: The body does not decode.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"the answer does not decode: {error}", http_status=self.status) from error

    @property
    def retry_after_s(self) -> float | None:
        """`Retry-After` in seconds from now, given as seconds or as a date; None where it is absent or neither."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal():
            return float(value[:9])
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):  # no date, or one without a zone
            return None


ReadFault: TypeAlias = Callable[[Answer], ProviderError | None]
Keep: TypeAlias = Callable[[Answer], None]


class VendorHttp:
    """
    A vendor's API behind one connection pool.

    Args:
        vendor: Named in messages and logs.
        base_url: Everything before the path; a trailing slash does not matter.
        auth: Signs or authorizes each request.
        fault: Reads the vendor's error body: the failure that an answer means, or None for "by its HTTP status".
            Called for every answer, as some vendors fail with status 200. For "may or may not have been accepted"
            it returns `OutcomeUnknown`; `query` makes `Unavailable` of it, since a query may be repeated.
        connect_s: Longest wait for a connection, in seconds.
        read_s: Longest silence while waiting for an answer, in seconds.
        hide: Credentials; where the vendor repeats one in an answer, `***` is read in its place. One that is shorter
            than `SHORTEST_SECRET` is not looked for: it may be a word of the answer.
        max_answer_bytes: A longer answer is a `ProtocolError`; it is not read to its end.
        transport: Another httpx transport, for tests.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        fault: ReadFault | None = None,
        hide: Iterable[Secret] = (),
        connect_s: float = 10.0,
        read_s: float = 300.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._vendor = vendor
        self._fault: ReadFault = fault or (lambda _: None)
        texts = [secret.reveal() for secret in hide]
        self._hidden = tuple(text.encode() for text in texts if len(text) >= SHORTEST_SECRET)
        self._max_answer_bytes = max_answer_bytes
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            auth=auth,
            limits=_CONNECTIONS,
            timeout=httpx.Timeout(read_s, connect=connect_s, pool=connect_s),
            transport=transport or connections(_CONNECTIONS),
            headers={"User-Agent": "polyrelay"},
            trust_env=transport is None,
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
        POST a request that starts something. `json`, or `form` and `files` as multipart.

        `keep` is called with the answer, a refusal as well, before it is judged.

        Raises:
            NotAccepted: Not sent, or refused for now: safe to submit again.
            Rejected: Refused for good.
            OutcomeUnknown: Sent, and what became of it is not known.
            ProtocolError: Sent, and the answer is damaged: its outcome is not known either.
        """
        multipart = None if form is None else [(name, (None, value)) for name, value in form.items()]
        content = _content(json)
        try:
            async with self._open(
                "POST", path, query, content, [*(multipart or ()), *(files or {}).items()]
            ) as response:
                return self._judge(await self._whole(response), keep)
        except httpx.TransportError as error:
            self._raise_for_submit(error)

    async def query(
        self, method: str, path: str, *, json: object = None, query: Query = (), keep: Keep | None = None
    ) -> Answer:
        """
        Send a request that may be repeated at will. `keep` is as in `submit`.

        Raises:
            Unavailable: No usable answer this time, for whatever reason.
            RateLimited: Asked too often.
            Rejected: Refused for good.
            GenerationFailed: Where the `fault` function says so.
            ProtocolError: The answer is damaged.
        """
        try:
            async with self._open(method, path, query, _content(json)) as response:
                return self._judge(await self._whole(response), keep)
        except httpx.TransportError as error:
            raise Unavailable(f"{self._vendor} did not answer: {_kind(error)}") from error
        except OutcomeUnknown as error:
            raise Unavailable(
                error.message, code=error.code, http_status=error.http_status, request_id=error.request_id
            ) from error

    async def events(self, path: str, *, json: object, query: Query = ()) -> AsyncGenerator[bytes, None]:
        """
        POST a request that starts something and yield the `data` of each server-sent event, without `[DONE]`.

        Raises: as `submit`.
        """
        try:
            async with self._open("POST", path, query, _content(json)) as response:
                if response.status_code >= 300:
                    self._judge(await self._whole(response))
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
        The lines of a body, ended by LF or CR LF.

        Not `aiter_lines`: it also splits at U+2028 and the like, which JSON may hold unescaped.
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
        body = BytesIO()  # whose bytes are handed out without a copy
        try:
            async for chunk in response.aiter_bytes():
                body.write(chunk)
                if body.tell() > self._max_answer_bytes:
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

    def _judge(self, answer: Answer, keep: Keep | None = None) -> Answer:
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
    """`Authorization: Bearer …`, kept out of every `repr`."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Any:
        """Add the header."""
        request.headers["Authorization"] = self._header
        yield request


def _content(json: object) -> bytes | None:
    return None if json is None else msgspec.json.encode(json)


def _kind(error: httpx.TransportError) -> str:
    """The class in words ("read timeout"); the text of an httpx error may hold an address and is left out."""
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
