"""Server-sent events of a vendor: events are complete however the bytes are split."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyrelay import OutcomeUnknown, ProtocolError, ProviderError, RateLimited, Rejected, VendorHttp
from tests.unit.polyrelay.loopback import Loopback, Play, answering, response, silence

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def events_of(play: Play, **options: Any) -> tuple[list[bytes], ProviderError | None]:
    """The events that came, and the error that ended them."""
    seen: list[bytes] = []
    async with Loopback(play).running() as vendor:
        http = VendorHttp("Acme", vendor.url, **{"read_s": 5.0, **options})
        try:
            async for event in http.events("/chat", json={}):
                seen.append(event)  # noqa: PERF401 -- an error must leave what came before it
        except ProviderError as error:
            return seen, error
        finally:
            await http.aclose()
    return seen, None


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
async def test_events_come_one_by_one(end: bytes) -> None:
    """Each `data` line is an event, ended by LF or CRLF; comments, other fields and `[DONE]` are ignored."""
    lines = [b": hello", b"event: x", b"data: 1", b"", b"data:2", b"", b"id: 7", b"data: [DONE]", b""]
    body = end.join(lines) + end
    assert await events_of(answering(STREAM + chunk(body) + chunk(b""))) == ([b"1", b"2"], None)


@given(st.lists(st.integers(1, 60), max_size=12), st.sampled_from([b"\n", b"\r\n"]))
def test_it_does_not_matter_where_bytes_are_cut(cuts: list[int], end: bytes) -> None:
    """The events are the same however the bytes are split, also inside a character or a line end."""
    body = end.join([b"data: " + "多\u2028言".encode(), b"", b'data: {"a": "b"}', b"", b"data: last"])

    async def pieces() -> AsyncIterator[bytes]:
        start = 0
        for cut in cuts:
            yield body[start : start + cut]
            start += cut
        yield body[start:]

    async def read() -> list[bytes]:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=pieces()))
        http = VendorHttp("Acme", "https://acme.test", transport=transport)
        return [event async for event in http.events("/chat", json={})]

    assert asyncio.run(read()) == ["多\u2028言".encode(), b'{"a": "b"}', b"last"]


@pytest.mark.parametrize(
    ("play", "options"),
    [
        (answering(STREAM + chunk(b"data: 1\n\n") + b"5\r\nda", then_cut=True), {}),
        (answering(STREAM + chunk(b"data: 1\n\n")), {"read_s": 0.1}),
    ],
    ids=["cut", "silence"],
)
async def test_a_stream_that_breaks_is_an_unknown_outcome(play: Play, options: dict[str, Any]) -> None:
    """Events before the break are returned; then the outcome is unknown, because text was generated and billed."""
    seen, error = await events_of(play, **options)
    assert seen == [b"1"]
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        (answering(response(status="429 Slow")), RateLimited),
        (answering(response(status="400 Bad")), Rejected),
        (answering(response(status="500 Oops")), OutcomeUnknown),
        (silence, OutcomeUnknown),
        (answering(response(b"plain", head="content-encoding: gzip\r\n")), ProtocolError),
    ],
    ids=["429", "400", "500", "silence", "no gzip"],
)
async def test_a_refused_stream_fails_like_a_submit(play: Play, kind: type[ProviderError]) -> None:
    """Before the first event, failures have the same meaning as for a submit."""
    seen, error = await events_of(play, read_s=0.3)
    assert (seen, type(error)) == ([], kind)


async def test_a_line_without_end_is_given_up() -> None:
    """A line above the limit ends the stream instead of filling the memory."""
    seen, error = await events_of(
        answering(STREAM + chunk(b"data: 1\n\ndata: ") + chunk(b"x" * 5000)), max_answer_bytes=1000
    )
    assert (seen, type(error)) == ([b"1"], ProtocolError)


async def test_a_reader_that_leaves_closes_the_connection() -> None:
    """Closing a stream early closes its connection at once."""
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + chunk(b"data: 1\n\n"))
        await writer.drain()
        await reader.read()
        gone.set()

    async with Loopback(endless).running() as vendor:
        http = VendorHttp("Acme", vendor.url)
        events = http.events("/chat", json={})
        assert await anext(events) == b"1"
        await events.aclose()
        await gone.wait()
        await http.aclose()
