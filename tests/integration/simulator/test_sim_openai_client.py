"""The simulator as the official OpenAI client sees it."""

import base64
import io
import warnings
from collections.abc import Iterator
from typing import Any

import av
import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from simulator.control import LatencyChange
from simulator.faults import Error, FailGeneration
from simulator.process import ControlClient

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(sim_url: str, control: ControlClient) -> Iterator[OpenAI]:
    """The client, without retries of its own; its video calls warn that they are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with OpenAI(base_url=f"{sim_url}/v1", api_key="sk-simulator", max_retries=0) as client:
            yield client


def picture_of(content: bytes) -> tuple[tuple[int, int], str | None]:
    """Size and format."""
    picture = Image.open(io.BytesIO(content))
    return picture.size, picture.format


def test_gpt_image_always_answers_base64(client: OpenAI) -> None:
    """With size, format and usage in the answer."""
    answer: Any = client.images.generate(model="gpt-image-1", prompt="cat", n=2, size="1536x1024", output_format="jpeg")
    assert [picture_of(base64.b64decode(item.b64_json)) for item in answer.data] == [((1536, 1024), "JPEG")] * 2
    assert (answer.size, answer.output_format) == ("1536x1024", "jpeg")
    assert answer.usage.total_tokens > 0


@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_dalle_answers_what_is_asked(client: OpenAI, response_format: Any) -> None:
    """A link or base64, with the revised prompt."""
    answer: Any = client.images.generate(
        model="dall-e-3", prompt="cat", size="1792x1024", quality="hd", response_format=response_format
    )
    item = answer.data[0]
    content = base64.b64decode(item.b64_json) if item.b64_json else httpx.get(item.url, trust_env=False).content
    assert picture_of(content) == ((1792, 1024), "PNG")
    assert item.revised_prompt == "cat"


def test_images_stream_partials(client: OpenAI) -> None:
    """Partial pictures, then the completed one with its usage."""
    events: list[Any] = list(client.images.generate(model="gpt-image-1", prompt="cat", stream=True, partial_images=2))
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert events[-1].usage.total_tokens > 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "dall-e-3", "n": 2}, "n"),
        ({"model": "dall-e-3", "size": "1536x1024"}, "size"),
        ({"model": "gpt-image-1", "response_format": "url"}, "response_format"),
        ({"model": "gpt-image-1", "size": "1792x1024"}, "size"),
        ({"model": "gpt-image-2.5", "size": "1000x1000"}, "size"),
        ({"model": "gpt-image-1", "n": 11}, "n"),
    ],
)
def test_bad_image_params_name_the_field(client: OpenAI, fields: dict[str, Any], param: str) -> None:
    """400 with `param`."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="cat", **fields)
    assert caught.value.param == param


def test_newer_models_take_free_sizes(client: OpenAI) -> None:
    """Multiples of 16 within the ratio."""
    answer: Any = client.images.generate(model="gpt-image-2.5", prompt="cat", size="1600x912")
    assert picture_of(base64.b64decode(answer.data[0].b64_json)) == ((1600, 912), "PNG")


def test_chat_and_its_stream(client: OpenAI) -> None:
    """The same text both ways; the usage comes in a last chunk without choices."""
    whole = client.chat.completions.create(model="gpt-4", messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model="gpt-4", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_errors_are_openais(client: OpenAI, sim_url: str) -> None:
    """401 invalid_api_key, 404 model_not_found, 400 for a missing field, each with a request id."""
    with (
        OpenAI(base_url=f"{sim_url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.chat.completions.create(model="gpt-4", messages=HELLO)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="made-up", messages=HELLO)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-4", messages=[])
    assert (refused.value.code, unknown.value.code) == ("invalid_api_key", "model_not_found")
    assert unknown.value.request_id


def test_the_client_retries_a_rate_limit_once_it_is_over(client: OpenAI, control: ControlClient) -> None:
    """`Retry-After` is sent; the client's own second try is a second submit."""
    control.add_fault("openai.chat", Error(status=429, code="rate_limit_exceeded", retry_after_s=0.05))
    client.with_options(max_retries=1).chat.completions.create(model="gpt-4", messages=HELLO)
    count = control.stats().prompts["hello"]
    assert (count.received, count.accepted) == (2, 1)


def test_a_video_from_create_to_content(client: OpenAI, control: ControlClient) -> None:
    """queued, in_progress with progress, completed; the content is an MP4 of the asked shape and length."""
    control.change_latency(LatencyChange(video_s=0.4))
    created = client.videos.create(
        model="sora-2", prompt="cat", seconds="8", size="1280x720", input_reference=("a.png", b"x", "image/png")
    )
    seen, progress = [created.status], [created.progress]
    while seen[-1] != "completed":
        video = client.videos.retrieve(created.id)
        progress.append(video.progress)
        if video.status != seen[-1]:
            seen.append(video.status)
    assert seen == ["queued", "in_progress", "completed"]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    content = client.videos.download_content(created.id).read()
    with av.open(io.BytesIO(content), "r") as container:
        assert container.streams.video[0].width > container.streams.video[0].height
        assert container.duration == pytest.approx(8_000_000, rel=0.01)
    thumbnail = client.videos.download_content(created.id, variant="thumbnail").read()
    assert picture_of(thumbnail) == ((1280, 720), "WEBP")


def test_videos_are_listed_and_deleted(client: OpenAI, control: ControlClient) -> None:
    """Paged by the last id, in both orders; a deleted one is unknown, an unfinished one has no content."""
    control.change_latency(LatencyChange(video_s=60))
    ids = [client.videos.create(model="sora", prompt="cat").id for _ in range(3)]
    assert [video.id for video in client.videos.list(limit=2, order="asc").data] == ids[:2]
    assert [video.id for video in client.videos.list(after=ids[1]).data] == [ids[0]]
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(ids[0])
    assert client.videos.delete(ids[0]).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(ids[0])


def test_a_failed_video_has_an_error(client: OpenAI, control: ControlClient) -> None:
    """Status failed, code and message in `error`."""
    control.change_latency(LatencyChange(video_s=0))
    control.add_fault("openai.video.submit", FailGeneration(code="moderation_blocked", message="no"))
    created = client.videos.create(model="sora-2", prompt="cat")
    video = client.videos.retrieve(created.id)
    assert video.status == "failed"
    assert video.error is not None
    assert (video.error.code, video.error.message) == ("moderation_blocked", "no")


async def test_the_async_client_works_alike(sim_url: str, control: ControlClient) -> None:
    """Images and streamed chat through AsyncOpenAI."""
    async with AsyncOpenAI(base_url=f"{sim_url}/v1", api_key="sk-simulator", max_retries=0) as client:
        images = await client.images.generate(model="dall-e-3", prompt="cat")
        stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
    assert images.data is not None
    assert len(chunks) > 3
