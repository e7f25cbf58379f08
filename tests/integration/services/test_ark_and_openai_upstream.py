"""The Ark and OpenAI services against a real server that speaks their protocols: the simulator, over loopback."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from polyrelay import (
    Cancels,
    Done,
    Env,
    GenerationFailed,
    ImageOutput,
    Job,
    Outcome,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProtocolError,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Service,
    Streams,
    TextOutput,
    Unavailable,
    VideoOutput,
)
from providers import openai, volcengine

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The URL of a simulator that is stopped at the end of the module."""
    command = [sys.executable, "-m", "simulator", "--latency-image", "0.01", "--latency-text", "0.01"]
    with subprocess.Popen(
        [*command, "--latency-video", "0.2"], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
async def providers(upstream: str) -> AsyncIterator[dict[str, Provider]]:
    """Both providers with the simulator as upstream; its faults and counts are reset."""
    async with httpx.AsyncClient() as client:
        await client.post(f"{upstream}/_control/reset")
    env = Env(
        {
            "ARK_API_KEY": "ark-simulator",
            "ARK_BASE_URL": f"{upstream}/api/v3",
            "OPENAI_API_KEY": "sk-simulator",
            "OPENAI_BASE_URL": f"{upstream}/v1/",
            "AI_TIMEOUT": "20s",
            "POLL_SCALE": "0.01",
        }
    )
    made = [*volcengine.register_providers(env), *openai.register_providers(env)]
    yield {provider.name: provider for provider in made}
    for provider in made:
        await provider.aclose()


def routed(providers: dict[str, Provider], provider: str, model: str, **params: Any) -> tuple[Service, Job[Any]]:
    """The service that serves the model, and a job for it."""
    served, service = providers[provider].route(model)
    parsed = msgspec.convert({"prompt": "a cat on a roof", **params}, served.params)
    deadline = datetime.now(UTC) + timedelta(minutes=5)
    return service, Job(task_id="t1", attempt=1, model=model, params=parsed, deadline=deadline)


async def done(service: Service, job: Job[Any]) -> Done:
    """The result; polls as often as the service asks for."""
    started = time.monotonic()
    outcome: Outcome = await service.submit(job)
    while isinstance(outcome, Pending):
        assert time.monotonic() - started < LIMIT_S, "the generation did not end"
        await asyncio.sleep(outcome.poll_after_s)
        outcome = await service.poll(job, outcome.operation)
    return outcome


async def fault(upstream: str, kind: str, **fields: Any) -> None:
    """Request one fault from the simulator."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{upstream}/_control/faults", json={"kind": kind, "fault": fields})
        answer.raise_for_status()


async def accepted(upstream: str) -> dict[str, int]:
    """The submits that the simulator accepted, by kind of call."""
    async with httpx.AsyncClient() as client:
        counts: dict[str, int] = (await client.get(f"{upstream}/_control/stats")).json()["accepted"]
        return counts


async def starts_with(url: str | None, data: bytes | None) -> bytes:
    """The first bytes of a file, downloaded if it is a link."""
    if url is None:
        return (data or b"")[:12]
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).raise_for_status().content[:12]


@pytest.mark.parametrize(
    ("provider", "model", "params", "count"),
    [
        ("volcengine", "doubao-seedream-3-0-t2i-250415", {"size": "864x1152", "seed": 5, "guidance_scale": 2.5}, 1),
        ("volcengine", "doubao-seedream-4-0-250828", {"prompt": "3 pictures of a cat", "size": "1K"}, 1),
        ("volcengine", "doubao-seedream-4-0-250828", {"prompt": "3 pictures of a cat", "size": "1K", "n": 3}, 3),
        ("volcengine", "doubao-seedream-4-5-251128", {"size": "2560x1440", "response_format": "b64_json"}, 1),
        ("volcengine", "doubao-seedream-5-0-260128", {"size": "2K", "output_format": "png"}, 1),
        ("openai", "dall-e-3", {"style": "vivid"}, 1),
        ("openai", "dall-e-3", {"response_format": "b64_json"}, 1),
        ("openai", "gpt-image-1", {"n": 2, "output_format": "jpeg"}, 2),
        ("openai", "gpt-image-2", {"size": "1536x864", "quality": "high"}, 1),
    ],
)
async def test_pictures(
    providers: dict[str, Provider], provider: str, model: str, params: dict[str, Any], count: int
) -> None:
    """An image model returns exactly the number of real images that the request asked for."""
    service, job = routed(providers, provider, model, **params)

    outcome = await done(service, job)

    assert len(outcome.outputs) == count
    for output in outcome.outputs:
        assert isinstance(output, ImageOutput)
        assert (await starts_with(output.url, output.data)).startswith((b"\x89PNG", b"\xff\xd8\xff"))
    assert outcome.usage is not None


@pytest.mark.parametrize(
    ("provider", "model", "params"),
    [
        ("volcengine", "doubao-pro-4k", {"system": "be brief", "max_tokens": 50}),
        ("volcengine", "doubao-seed-2-1-pro-260628", {"thinking": "disabled"}),
        ("openai", "gpt-4", {"temperature": 0.2}),
        ("openai", "gpt-5.4", {"max_tokens": 50, "reasoning_effort": "low"}),
    ],
)
async def test_texts(providers: dict[str, Provider], provider: str, model: str, params: dict[str, Any]) -> None:
    """A chat model returns the same text as a whole and as a stream, with the token counts both times."""
    service, job = routed(providers, provider, model, **params)

    outcome = await done(service, job)
    assert isinstance(service, Streams)
    deltas = [delta async for delta in service.stream(job)]

    (text,) = outcome.outputs
    assert isinstance(text, TextOutput)
    assert text.text == "".join(delta.text for delta in deltas)
    assert text.text
    assert deltas[-1].finish_reason == text.finish_reason
    assert deltas[-1].usage == outcome.usage
    assert outcome.usage is not None
    assert outcome.usage.total_tokens


@pytest.mark.parametrize(
    ("provider", "model", "params"),
    [
        ("volcengine", "doubao-seedance-1-0-pro-250528", {"resolution": "480p", "duration": 3, "camera_fixed": True}),
        ("volcengine", "doubao-seedance-2-0-fast-260128", {"resolution": "480p", "duration": 4, "aspect_ratio": "1:1"}),
        ("openai", "sora", {"duration": 4, "size": "1280x720"}),
    ],
)
async def test_videos(providers: dict[str, Provider], provider: str, model: str, params: dict[str, Any]) -> None:
    """A video model is pending at first and ends with a real video."""
    service, job = routed(providers, provider, model, **params)

    (video,) = (await done(service, job)).outputs

    assert isinstance(video, VideoOutput)
    assert (await starts_with(video.url, video.data))[4:8] == b"ftyp"


ERRORS: list[tuple[str, str, dict[str, Any], type[ProviderError]]] = [
    (
        "ark.images",
        "doubao-seedream-4-0-250828",
        {"code": "InputTextSensitiveContentDetected", "status": 400},
        Rejected,
    ),
    ("ark.images", "doubao-seedream-4-0-250828", {"code": "ServerOverloaded", "status": 429}, Overloaded),
    ("ark.chat", "doubao-pro-4k", {"code": "QuotaExceeded", "status": 429}, Rejected),
    ("ark.chat", "doubao-pro-4k", {"code": "InternalServiceError", "status": 500}, OutcomeUnknown),
    ("openai.images", "dall-e-3", {"code": "rate_limit_exceeded", "status": 429, "retry_after_s": 3}, RateLimited),
    ("openai.chat", "gpt-4", {"code": "insufficient_quota", "status": 429}, Rejected),
]


@pytest.mark.parametrize(("kind", "model", "error", "expected"), ERRORS)
async def test_errors(
    upstream: str,
    providers: dict[str, Provider],
    kind: str,
    model: str,
    error: dict[str, Any],
    expected: type[ProviderError],
) -> None:
    """A vendor's error is raised as the failure that its code means; no request is repeated."""
    await fault(upstream, kind, type="error", **error)
    service, job = routed(providers, "openai" if kind.startswith("openai") else "volcengine", model)

    with pytest.raises(ProviderError) as caught:
        await service.submit(job)

    assert type(caught.value) is expected
    assert caught.value.code == error["code"]
    assert getattr(caught.value, "retry_after_s", None) == error.get("retry_after_s")
    assert await accepted(upstream) == {}


@pytest.mark.parametrize(
    ("fields", "expected", "times"),
    [
        ({"type": "cut_before"}, OutcomeUnknown, 0),
        ({"type": "cut_after"}, OutcomeUnknown, 1),
        ({"type": "garbage"}, ProtocolError, 1),
        ({"type": "truncated"}, OutcomeUnknown, 1),
        ({"type": "truncated", "clean": True}, ProtocolError, 1),
    ],
)
async def test_an_ambiguous_submit_is_sent_once(
    upstream: str, providers: dict[str, Provider], fields: dict[str, Any], expected: type[ProviderError], times: int
) -> None:
    """If the connection fails after the request was sent, the outcome is unknown and the request is not repeated."""
    await fault(upstream, "ark.images", **fields)
    service, job = routed(providers, "volcengine", "doubao-seedream-4-0-250828", size="1K")

    with pytest.raises(expected):
        await service.submit(job)
    assert (await accepted(upstream)).get("ark.images", 0) == times


async def test_a_server_that_is_gone_is_unavailable() -> None:
    """If no server listens, nothing was started, and the submit may be repeated."""
    env = Env({"ARK_API_KEY": "k", "ARK_BASE_URL": "http://127.0.0.1:1/api/v3"})
    (provider,) = volcengine.register_providers(env)
    service, job = routed({"volcengine": provider}, "volcengine", "doubao-pro-4k")

    with pytest.raises(Unavailable):
        await service.submit(job)
    await provider.aclose()


async def test_a_wrong_key_is_rejected(upstream: str) -> None:
    """A wrong API key is a final rejection; the message does not contain the key."""
    env = Env({"ARK_API_KEY": "ark-wrong-key", "ARK_BASE_URL": f"{upstream}/api/v3"})
    (provider,) = volcengine.register_providers(env)
    service, job = routed({"volcengine": provider}, "volcengine", "doubao-pro-4k")

    with pytest.raises(Rejected) as caught:
        await service.submit(job)
    assert caught.value.reason == "auth"
    assert "wrong-key" not in str(caught.value)
    await provider.aclose()


async def test_a_group_keeps_the_pictures_that_were_made(upstream: str, providers: dict[str, Provider]) -> None:
    """If moderation blocks one image of a group, the result is the other images."""
    await fault(upstream, "ark.images", type="fail_generation", code="OutputImageSensitiveContentDetected", picture=0)
    service, job = routed(
        providers, "volcengine", "doubao-seedream-4-0-250828", prompt="2 pictures of a cat", size="1K", n=2
    )

    assert len((await done(service, job)).outputs) == 1


async def test_a_group_that_is_cut_is_sent_once(upstream: str, providers: dict[str, Provider]) -> None:
    """A group whose connection breaks gives the images received, or an unknown outcome; the submit is not repeated."""
    await fault(upstream, "ark.images", type="truncated")
    service, job = routed(
        providers, "volcengine", "doubao-seedream-4-0-250828", prompt="4 pictures of a cat", size="1K", n=4
    )

    with suppress(OutcomeUnknown):
        assert 1 <= len((await done(service, job)).outputs) <= 4
    assert await accepted(upstream) == {"ark.images": 1}


async def test_a_failed_video_says_why(upstream: str, providers: dict[str, Provider]) -> None:
    """A generation that fails after its acceptance is a GenerationFailed with the vendor's code."""
    await fault(upstream, "ark.video.submit", type="fail_generation", code="OutputVideoSensitiveContentDetected")
    service, job = routed(providers, "volcengine", "doubao-seedance-1-0-pro-250528", duration=2)

    with pytest.raises(GenerationFailed) as caught:
        await done(service, job)
    assert caught.value.code == "OutputVideoSensitiveContentDetected"
    assert not caught.value.retryable


async def test_only_a_queued_video_is_cancelled(upstream: str, providers: dict[str, Provider]) -> None:
    """A cancelled task ends as cancelled; a finished one cannot be cancelled and keeps its video."""
    service, job = routed(providers, "volcengine", "doubao-seedance-1-0-pro-250528", duration=2)
    assert isinstance(service, Cancels)
    async with httpx.AsyncClient() as client:
        await client.post(f"{upstream}/_control/latency", json={"video_s": 600.0})
    waiting = await service.submit(job)
    assert isinstance(waiting, Pending)

    await service.cancel(job, waiting.operation)
    with pytest.raises(GenerationFailed, match="cancelled"):
        await service.poll(job, waiting.operation)


async def test_a_cut_stream_is_not_a_text(upstream: str, providers: dict[str, Provider]) -> None:
    """A stream that is cut off raises an error instead of ending."""
    await fault(upstream, "openai.chat", type="truncated")
    service, job = routed(providers, "openai", "gpt-4")
    assert isinstance(service, Streams)

    with pytest.raises((OutcomeUnknown, ProtocolError)):
        print(json.dumps([delta.text async for delta in service.stream(job)]))
