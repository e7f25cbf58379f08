"""Any answer of a vendor gives an outcome or raises a ProviderError."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.catalogue import Entry
from polyrelay import Delta, Done, Job, Pending, ProviderError, Secret, Service, Streams, VendorHttp
from services.vendors import ark, openai
from services.vendors.model_families import Families

Make: TypeAlias = Callable[[list[Entry], VendorHttp], Service]

SERVICES: list[tuple[str, str, Make, Families]] = [
    ("ark", "seedream-3", ark.ArkImages, ark.FAMILIES),
    ("ark", "seedream-4", ark.ArkImages, ark.FAMILIES),
    ("ark", "chat", ark.ArkChat, ark.FAMILIES),
    ("ark", "seedance-1", ark.ArkVideos, ark.FAMILIES),
    ("openai", "gpt-image", openai.OpenAIImages, openai.FAMILIES),
    ("openai", "chat", openai.OpenAIChat, openai.FAMILIES),
    ("openai", "sora", openai.OpenAIVideos, openai.FAMILIES),
]

NAMES = [
    "data",
    "error",
    "code",
    "message",
    "type",
    "url",
    "b64_json",
    "usage",
    "output_format",
    "choices",
    "message",
    "delta",
    "content",
    "finish_reason",
    "id",
    "status",
    "video_url",
    "progress",
    "seconds",
    "queued",
    "succeeded",
    "failed",
    "completed",
    "InternalServiceError",
]
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    LEAVES | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


def encoded(document: object) -> bytes:
    """The document as JSON; numbers that JSON lacks become null."""
    return msgspec.json.encode(document)


BODIES = st.binary(max_size=60) | DOCUMENTS.map(encoded) | DOCUMENTS.map(lambda d: b"data: " + encoded(d) + b"\n\n")
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 408, 429, 500, 503])


@pytest.mark.parametrize(("vendor", "family", "make", "families"), SERVICES)
@given(status=STATUSES, body=BODIES)
@example(status=200, body=b"[" * 100_000)
@example(status=400, body=b'{"error":' * 100_000)
@example(status=200, body=b'{"id":"a","status":"in_progress","progress":1e400}')
@example(status=200, body=b'{"id":"a","status":"completed","seconds":"\xc2\xb2"}')
@example(status=200, body=b'{"id":"a","status":"running","progress":' + b"9" * 400 + b"}")
@example(status=200, body=b'{"id":"a","status":"succeeded","content":{"video_url":"u"},"duration":' + b"9" * 400 + b"}")
@example(status=400, body=b'{"error":{"code":' + b"9" * 5000 + b"}}")
@settings(max_examples=60, deadline=None)
async def test_any_answer_is_an_outcome_or_a_provider_error(
    vendor: str, family: str, make: Make, families: Families, status: int, body: bytes
) -> None:
    """Submit, poll and stream raise only ProviderErrors, and return only valid outcomes."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    connect = ark.ark_http if vendor == "ark" else openai.openai_http
    service = make(
        [Entry(provider=vendor, name="m", family=family)],
        connect("https://vendor.test", Secret("a-key"), transport=transport),
    )
    asked = {"prompt": "a cat", "n": 3} if family == "seedream-4" else {"prompt": "a cat"}  # a group is a stream
    params = msgspec.convert(asked, families[family].params)
    job: Job[Any] = Job(task_id="t", attempt=1, model="m", params=params, deadline=datetime(2027, 1, 1, tzinfo=UTC))

    for call in (service.submit(job), service.poll(job, "op")):
        try:
            outcome = await call
        except ProviderError:
            continue
        assert isinstance(outcome, (Pending, Done))
        assert msgspec.json.encode(outcome)
    if isinstance(service, Streams):
        with suppress(ProviderError):
            assert all([isinstance(delta, Delta) async for delta in service.stream(job)])
