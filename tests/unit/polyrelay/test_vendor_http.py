"""VendorHttp over real sockets: what each failure means for a submit and for a query."""

import asyncio
import gzip
import socket
from typing import Any, get_type_hints

import httpx
import msgspec
import pytest

from polyrelay import (
    Answer,
    BearerAuth,
    GenerationFailed,
    HttpOptions,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    Secret,
    Unavailable,
    VendorHttp,
)
from polyrelay import http as http_module
from polyrelay.http_options import HttpKeywords
from tests.unit.polyrelay.loopback import Loopback, Play, answering, reset, response, silence

KEY = "sk-very-secret-key"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
GZIPPED = "content-encoding: gzip\r\n"
CUT_ZIP = gzip.compress(b"x" * 1000)[:-20]


async def outcome_of(play: Play, call: str, **options: Any) -> Answer | ProviderError:
    """The result of a submit or a query to a vendor that behaves like this."""
    async with Loopback(play).running() as vendor:
        http = VendorHttp("Acme", vendor.url, auth=BearerAuth(KEY), **{"read_s": 5.0, "connect_s": 5.0, **options})
        try:
            return await (http.submit("/make", json={"a": 1}) if call == "submit" else http.query("GET", "/look"))
        except ProviderError as error:
            return error
        finally:
            await http.aclose()


CASES: list[tuple[str, Play, dict[str, Any], type[Any], type[Any]]] = [
    # name, vendor, options, after a submit, after a query
    ("silence", silence, {"read_s": 0.1}, OutcomeUnknown, Unavailable),
    ("reset", reset, {}, OutcomeUnknown, Unavailable),
    ("cut in the head", answering(b"HTTP/1.1 200 OK\r\nconte", then_cut=True), {}, OutcomeUnknown, Unavailable),
    (
        "cut in the body",
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", then_cut=True),
        {},
        OutcomeUnknown,
        Unavailable,
    ),
    ("cut in a chunk", answering(CHUNKED + b"5\r\n{", then_cut=True), {}, OutcomeUnknown, Unavailable),
    ("no HTTP", answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then_cut=True), {}, OutcomeUnknown, Unavailable),
    (
        "silence in the body",
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"),
        {"read_s": 0.1},
        OutcomeUnknown,
        Unavailable,
    ),
    ("no gzip", answering(response(b"plain", head=GZIPPED)), {}, ProtocolError, ProtocolError),
    ("too large", answering(response(b"x" * 2000)), {"max_answer_bytes": 1000}, ProtocolError, ProtocolError),
    ("500", answering(response(status="500 Oops")), {}, OutcomeUnknown, Unavailable),
    ("502", answering(response(status="502 Bad")), {}, OutcomeUnknown, Unavailable),
    ("503", answering(response(status="503 Busy")), {}, OutcomeUnknown, Unavailable),
    ("504", answering(response(status="504 Late")), {}, OutcomeUnknown, Unavailable),
    ("408", answering(response(status="408 Late")), {}, OutcomeUnknown, Unavailable),
    ("302", answering(response(status="302 Found", head="location: /\r\n")), {}, OutcomeUnknown, Unavailable),
    ("307", answering(response(status="307 Again", head="location: /\r\n")), {}, OutcomeUnknown, Unavailable),
    ("304", answering(response(status="304 Same")), {}, OutcomeUnknown, Unavailable),
    ("429", answering(response(status="429 Slow")), {}, RateLimited, RateLimited),
    ("400", answering(response(status="400 Bad")), {}, Rejected, Rejected),
    ("401", answering(response(status="401 Who")), {}, Rejected, Rejected),
    ("404", answering(response(status="404 None")), {}, Rejected, Rejected),
    ("200", answering(response()), {}, Answer, Answer),
]


@pytest.mark.parametrize(("name", "play", "options", "submit", "query"), CASES, ids=[case[0] for case in CASES])
async def test_each_failure_has_one_meaning(
    name: str, play: Play, options: dict[str, Any], submit: type[Any], query: type[Any]
) -> None:
    """A submit with an unknown outcome never raises NotAccepted; a failed query may be repeated."""
    for call, kind in (("submit", submit), ("query", query)):
        outcome = await outcome_of(play, call, **options)
        assert type(outcome) is kind
        assert KEY not in str(outcome) + repr(outcome)
        assert "127.0.0.1" not in str(outcome)


@pytest.mark.parametrize("call", ["submit", "query"])
async def test_a_refused_connection_means_that_nothing_was_sent(call: str) -> None:
    """A refused connection is `Unavailable`, also for a submit, which may be repeated."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = VendorHttp("Acme", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unavailable, match=r"^Acme "):
            await (http.submit("/x", json={}) if call == "submit" else http.query("GET", "/x"))
        await http.aclose()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("x"), Unavailable),
        (httpx.ConnectTimeout("x"), Unavailable),
        (httpx.PoolTimeout("x"), Unavailable),
        (httpx.UnsupportedProtocol("x"), Unavailable),
        (httpx.ReadTimeout("x"), OutcomeUnknown),
        (httpx.WriteTimeout("x"), OutcomeUnknown),
        (httpx.WriteError("x"), OutcomeUnknown),
        (httpx.ReadError("x"), OutcomeUnknown),
        (httpx.CloseError("x"), OutcomeUnknown),
        (httpx.RemoteProtocolError("x"), OutcomeUnknown),
        (httpx.LocalProtocolError("x"), OutcomeUnknown),
        (httpx.ProxyError("x"), OutcomeUnknown),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_only_a_request_that_was_not_sent_may_be_submitted_again(
    error: httpx.TransportError, kind: type[ProviderError]
) -> None:
    """Only a transport error before the request is NotAccepted for a submit; for a query every one is Unavailable."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    http = VendorHttp("Acme", "https://acme.test", transport=httpx.MockTransport(fail))

    with pytest.raises(kind):
        await http.submit("/x", json={})
    with pytest.raises(Unavailable):
        await http.query("GET", "/x")


async def test_one_submit_is_one_request() -> None:
    """The client never repeats a submit, and follows no redirect."""
    moved = answering(response(status="307 Again", head="location: /again\r\n"))
    for play in (reset, moved, answering(b"", then_cut=True)):
        vendor = Loopback(play)
        async with vendor.running():
            http = VendorHttp("Acme", vendor.url)
            with pytest.raises(OutcomeUnknown):
                await http.submit("/make", json={})
            await http.aclose()
        assert len(vendor.requests) == 1


@pytest.mark.parametrize("call", ["submit", "query"])
async def test_a_broken_gzip_is_a_damaged_answer(call: str) -> None:
    """A body with truncated compression never counts as complete."""
    outcome = await outcome_of(answering(response(CUT_ZIP, head=GZIPPED)), call)

    assert isinstance(outcome, ProviderError) or outcome.body != b"x" * 1000
    if isinstance(outcome, Answer):
        with pytest.raises(ProtocolError):
            outcome.read(dict)


async def test_a_too_large_answer_is_not_read_to_its_end() -> None:
    """The connection is closed soon after the limit, also if the vendor sends more."""
    sent, cut = 0, asyncio.Event()

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
                sent += 0x10000
        finally:
            cut.set()

    outcome = await outcome_of(endless, "submit", max_answer_bytes=1_000_000)

    assert isinstance(outcome, ProtocolError)
    await cut.wait()
    assert sent < 30_000_000


async def test_connections_are_reused() -> None:
    """Fifty sequential calls, some with error answers, use one connection."""
    answers = iter([response(b'{"n": 1}'), response(status="400 Bad"), response(status="500 Oops")] * 20)

    async def next_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))
        await writer.drain()

    vendor = Loopback(next_one)
    async with vendor.running():
        http = VendorHttp("Acme", vendor.url)
        for _ in range(25):
            for call in (http.submit("/x", json={}), http.query("GET", "/x")):
                await asyncio.gather(call, return_exceptions=True)
        await http.aclose()

    assert (len(vendor.requests), vendor.connections) == (50, 1)


async def test_requests_carry_what_they_were_given() -> None:
    """Path, query, JSON body, authorization and User-Agent are sent as given."""
    vendor = Loopback(answering(response('{"id": "多", "new": 1}'.encode())))
    async with vendor.running():
        http = VendorHttp("Acme", f"{vendor.url}/v1/", auth=BearerAuth(KEY))
        answer = await http.submit("/make", json={"prompt": "多"}, query=[("a", "1"), ("a", "2 3")])
        await http.query("DELETE", "/tasks/1")
        await http.aclose()

    head, body = vendor.requests[0].split(b"\r\n\r\n")
    assert head.startswith((b"POST /v1/make?a=1&a=2%203 ", b"POST /v1/make?a=1&a=2+3 "))
    assert f"authorization: bearer {KEY}".encode() in head.lower()
    assert b"user-agent: polyrelay\r\n" in head.lower()
    assert b"content-type: application/json" in head.lower()
    assert body.decode() == '{"prompt":"多"}'
    assert answer.read(dict[str, Any]) == {"id": "多", "new": 1}
    assert vendor.requests[1].startswith(b"DELETE /v1/tasks/1 ")


async def test_forms_and_files_are_sent_as_multipart() -> None:
    """`form` and `files` make one multipart body, in which a field may come twice by files."""
    vendor = Loopback(answering(response()))
    async with vendor.running():
        http = VendorHttp("Acme", vendor.url)
        await http.submit("/edit", form={"prompt": "多"}, files={"image": ("a.png", b"\x89PNG", "image/png")})
        await http.aclose()

    request = vendor.requests[0]
    assert b"multipart/form-data; boundary=" in request
    assert 'name="prompt"\r\n\r\n多'.encode() in request
    assert b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG' in request


@pytest.mark.parametrize(
    ("value", "wait"),
    [("7", 7.0), ("0", 0.0), ("", None), ("-1", None), ("soon", None), ("Wed, 21 Oct 1998 07:28:00 GMT", 0.0)],
)
async def test_retry_after_is_read_in_seconds(value: str, wait: float | None) -> None:
    """`Retry-After` is a number of seconds or a date; any other value counts as absent."""
    outcome = await outcome_of(answering(response(status="429 Slow", head=f"retry-after: {value}\r\n")), "submit")
    assert isinstance(outcome, RateLimited)
    assert outcome.retry_after_s == wait


async def test_the_vendors_request_id_is_kept() -> None:
    """An error has the vendor's name, the status and the vendor's id of the request."""
    outcome = await outcome_of(answering(response(status="400 Bad", head="X-Request-Id: r-7\r\n")), "submit")
    assert isinstance(outcome, Rejected)
    assert (str(outcome), outcome.http_status, outcome.request_id) == ("Acme answered HTTP 400", 400, "r-7")


@pytest.mark.parametrize(
    "said", [Overloaded("full"), Rejected("no"), GenerationFailed("broke"), ProtocolError("odd"), RateLimited("slow")]
)
async def test_the_vendors_own_error_takes_precedence(said: ProviderError) -> None:
    """The error that `fault` returns takes precedence over the status, also over a status of success."""
    for status in ("200 OK", "500 Oops"):
        for call in ("submit", "query"):
            assert await outcome_of(answering(response(status=status)), call, fault=lambda _: said) is said


async def test_an_unknown_outcome_of_a_query_is_only_unavailable() -> None:
    """An OutcomeUnknown of `fault` is raised by a submit as it is, and by a query as Unavailable."""
    said = OutcomeUnknown("maybe", code="50500", http_status=500, request_id="r")
    query = await outcome_of(answering(response()), "query", fault=lambda _: said)
    assert isinstance(query, Unavailable)
    assert (query.message, query.code, query.http_status, query.request_id) == ("maybe", "50500", 500, "r")
    assert await outcome_of(answering(response()), "submit", fault=lambda _: said) is said


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b'"text"', b"[" * 100_000, b"null", b"{}{}"])
def test_a_body_that_does_not_decode_is_a_protocol_error(body: bytes) -> None:
    """A body that is not JSON of the requested type raises `ProtocolError`."""
    with pytest.raises(ProtocolError):
        Answer(status=200, headers={}, body=body).read(dict[str, int])


def test_secrets_are_in_no_repr() -> None:
    """Neither the client nor its authorization shows the key."""
    auth = BearerAuth(KEY)
    http = VendorHttp("Acme", "https://acme.test", auth=auth)
    assert KEY not in repr(auth) + str(auth) + repr(http)


def recording(seen: list[httpx.Request]) -> httpx.MockTransport:
    """A vendor that answers 200 and records each request."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text=f"your key is {KEY}")

    return httpx.MockTransport(answer)


def refusing(_: Answer) -> ProviderError | None:
    """A `fault` function that returns an error for every answer."""
    return Overloaded("full")


@pytest.mark.parametrize("form", ["options", "keywords", "both"])
async def test_options_are_given_as_a_struct_or_as_keywords(form: str) -> None:
    """`HttpOptions(…)` and the keywords of version 1.0 have the same effect, also mixed."""
    seen: list[httpx.Request] = []
    first: dict[str, Any] = {"auth": BearerAuth(KEY), "hide": (Secret(KEY),), "connect_s": 3.0}
    second: dict[str, Any] = {"read_s": 7.0, "transport": recording(seen)}
    http = {
        "options": lambda: VendorHttp("Acme", "https://acme.test", HttpOptions(**first, **second)),
        "keywords": lambda: VendorHttp("Acme", "https://acme.test", **first, **second),
        "both": lambda: VendorHttp("Acme", "https://acme.test", HttpOptions(**first), **second),
    }[form]()

    answer = await http.submit("/make", json={})

    assert answer.body == b"your key is ***"
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[0].extensions["timeout"] == {"connect": 3.0, "read": 7.0, "write": 7.0, "pool": 3.0}


async def test_a_keyword_replaces_the_option_of_its_name() -> None:
    """If an option is given both ways, the keyword applies; the other options stay."""
    options = HttpOptions(max_answer_bytes=5, fault=lambda _: None, transport=recording([]))

    with pytest.raises(ProtocolError, match="larger than 5 bytes"):
        await VendorHttp("Acme", "https://acme.test", options, fault=refusing).query("GET", "/x")
    with pytest.raises(Overloaded):
        await VendorHttp("Acme", "https://acme.test", options, fault=refusing, max_answer_bytes=100).query("GET", "/x")


def test_a_keyword_that_is_no_option_is_refused() -> None:
    """A misspelt keyword raises `TypeError`, as it does for any function."""
    unknown: Any = {"read_timeout": 1.0}

    with pytest.raises(TypeError, match="read_timeout"):
        VendorHttp("Acme", "https://acme.test", **unknown)


def test_every_keyword_is_an_option_of_the_same_type() -> None:
    """The keywords of version 1.0 are fields of `HttpOptions`; a later option is a field only."""
    fields = {field.name: field.type for field in msgspec.structs.fields(HttpOptions)}

    assert {name: fields.get(name) for name in get_type_hints(HttpKeywords)} == get_type_hints(HttpKeywords)


@pytest.mark.parametrize("name", http_module.__all__)
def test_names_that_plugins_imported_from_the_http_module_stay_there(name: str) -> None:
    """`from polyrelay.http import …` gives the names that it gave in version 1.0, wherever they are defined."""
    assert getattr(http_module, name) is not None


def test_the_answer_is_one_class_wherever_it_is_imported_from() -> None:
    """`polyrelay.Answer`, `polyrelay.http.Answer` and the type of an error's `answer` are the same class."""
    assert http_module.Answer is Answer
    assert ProviderError.__annotations__["answer"] == Answer | None
