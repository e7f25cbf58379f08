"""Images as base64, of many megabytes: how much memory reading a response needs."""

import base64
import binascii
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import msgspec
import pytest

from polyrelay import Answer, Done, ImageOutput, Outcome, ProtocolError, VendorHttp
from services.vendors.ark.image_answers import read_images as read_ark
from services.vendors.base64_data import decode_base64
from services.vendors.jimeng.answers import read_result as read_jimeng
from services.vendors.jimeng.families import FAMILIES as JIMENG
from services.vendors.openai.images import read_images as read_openai

PICTURE: Final = b"\xff\xd8\xff" + bytes(range(256)) * (8 * 4096)
TEXT: Final = base64.b64encode(PICTURE).decode()
CHUNK_BYTES: Final = 64 * 1024


class InPieces(httpx.AsyncByteStream):
    """A body that comes as the network brings it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._body), CHUNK_BYTES):
            yield self._body[start : start + CHUNK_BYTES]


def jimeng(answer: Answer) -> Outcome:
    """As a family that answers at once."""
    return read_jimeng(answer, next(iter(JIMENG.values())))


CASES: Final = [
    pytest.param(read_openai, {"data": [{"b64_json": TEXT}]}, id="openai"),
    pytest.param(read_ark, {"data": [{"b64_json": TEXT}]}, id="ark"),
    pytest.param(jimeng, {"code": 10000, "data": {"binary_data_base64": [TEXT]}}, id="jimeng"),
]


async def peak_of(work: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """What it answers, and the most bytes that it held at once."""
    tracemalloc.start()
    try:
        answer = await work()
        return answer, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("read", "document"), CASES)
async def test_a_large_picture_is_held_once_as_text_and_once_as_bytes(
    read: Callable[[Answer], Done], document: dict[str, Any]
) -> None:
    """The response's body and the image in it, and no further copy: less than twice the body at any time."""
    body = msgspec.json.encode(document)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=InPieces(body)))
    http = VendorHttp("Acme", "https://acme.test", transport=transport)

    async def work() -> Done:
        return read(await http.submit("/make", json={}))

    done, peak_bytes = await peak_of(work)

    (picture,) = done.outputs
    assert isinstance(picture, ImageOutput)
    assert picture.data == PICTURE
    assert peak_bytes < 1.95 * len(body)


def test_base64_with_escapes_is_read() -> None:
    """Some encoders of JSON escape a slash, which base64 has."""
    assert decode_base64(msgspec.Raw(b'"\\/+\\/+"')) == base64.b64decode("/+/+")


@pytest.mark.parametrize("raw", [b"", b"null", b'""', b"3", b"[]", b"{}"])
def test_what_is_no_text_is_no_picture(raw: bytes) -> None:
    """Absent, null, empty, or of another kind."""
    assert decode_base64(msgspec.Raw(raw)) is None


@pytest.mark.parametrize("raw", [b'"%"', b'"AAA"', b'"AA==AA"', '"ü"'.encode()])
def test_what_is_not_base64_is_an_error(raw: bytes) -> None:
    """Damaged base64 raises an error."""
    with pytest.raises(binascii.Error):
        decode_base64(msgspec.Raw(raw))


@pytest.mark.parametrize("data", [b'{"status": "\xff"}', b'{"binary_data_base64": ["\xff"]}'])
def test_damage_within_an_answer_is_a_protocol_error(data: bytes) -> None:
    """Also where the answer's own document is sound."""
    answer = Answer(status=200, headers={}, body=b'{"code": 10000, "data": ' + data + b"}")

    with pytest.raises(ProtocolError):
        jimeng(answer)
