"""The simulator as the official Ark client sees it, sync and async."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from volcenginesdkarkruntime import Ark, AsyncArk
from volcenginesdkarkruntime._exceptions import (
    ArkAPIError,
    ArkAuthenticationError,
    ArkBadRequestError,
    ArkNotFoundError,
    ArkPermissionDeniedError,
    ArkRateLimitError,
)
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions

from simulator.control import LatencyChange
from simulator.faults import Error, FailGeneration, UnknownStatus
from simulator.process import ControlClient

SEEDREAM = "doubao-seedream-4-0-250828"
SEEDREAM_3 = "doubao-seedream-3-0-t2i-250415"
SEEDANCE = "doubao-seedance-1-0-pro-250528"
HELLO: list[Any] = [{"role": "user", "content": "你好"}]
CAT: list[Any] = [{"type": "text", "text": "cat --ratio 9:16 --dur 3 --rs 480p"}]


@pytest.fixture
def ark(sim_url: str, control: ControlClient) -> Iterator[Ark]:
    """The client, without retries of its own."""
    with Ark(base_url=f"{sim_url}/api/v3", api_key="ark-simulator", max_retries=0) as client:
        yield client


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height."""
    return Image.open(io.BytesIO(content)).size


def test_an_image_by_link_has_the_asked_size(ark: Ark) -> None:
    """Unset fields arrive as null and count as unset; usage follows the pixels."""
    answer = ark.images.generate(model=SEEDREAM, prompt="猫", size="2560x1440", watermark=False)
    download = httpx.get(str(answer.data[0].url), trust_env=False)
    assert picture_size(download.content) == (2560, 1440)
    assert answer.data[0].size == "2560x1440"
    assert answer.usage.output_tokens == 2560 * 1440 // 256


def test_an_image_as_base64_of_the_third_generation(ark: Ark) -> None:
    """3.0 takes seed and guidance, and its own sizes."""
    answer = ark.images.generate(
        model=SEEDREAM_3, prompt="猫", size="864x1152", seed=5, guidance_scale=2.5, response_format="b64_json"
    )
    assert picture_size(base64.b64decode(str(answer.data[0].b64_json))) == (864, 1152)


def test_a_group_has_at_most_as_many_as_allowed(ark: Ark) -> None:
    """`auto` yields several, the options cap them; without it one comes whatever the prompt says."""
    options = SequentialImageGenerationOptions(max_images=2)
    group = ark.images.generate(
        model=SEEDREAM, prompt="5张猫", size="1K", sequential_image_generation="auto",
        sequential_image_generation_options=options,
    )  # fmt: skip
    single = ark.images.generate(model=SEEDREAM, prompt="5张猫", size="1K")
    assert (len(group.data), len(single.data)) == (2, 1)


def test_one_picture_of_a_group_may_fail(ark: Ark, control: ControlClient) -> None:
    """The others come, usage counts only them; as a stream the client raises at the failed one."""
    fault = FailGeneration(code="OutputImageSensitiveContentDetected", picture=1)
    control.add_fault("ark.images", fault, times=2)
    asked: dict[str, Any] = {"model": SEEDREAM, "prompt": "3张猫", "size": "1K", "sequential_image_generation": "auto"}
    answer = ark.images.generate(**asked)
    assert [item.url is None for item in answer.data] == [False, True, False]
    assert answer.usage.generated_images == 2
    with pytest.raises(ArkAPIError):
        list(ark.images.generate(**asked, stream=True))


def test_images_stream_one_event_each(ark: Ark) -> None:
    """partial_succeeded for every picture, then completed with the usage."""
    events = list(
        ark.images.generate(model=SEEDREAM, prompt="3张猫", size="1K", sequential_image_generation="auto", stream=True)
    )
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_succeeded"] * 3 + ["completed"]
    assert [event.image_index for event in events[:3]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": SEEDREAM, "size": "100x100"}, "size"),
        ({"model": SEEDREAM, "size": "huge"}, "size"),
        ({"model": SEEDREAM, "seed": 5}, "seed"),
        ({"model": SEEDREAM, "image": "ftp://example.com/a.png"}, "image"),
        ({"model": SEEDREAM_3, "size": "2K"}, "size"),
        ({"model": SEEDREAM_3, "image": "https://example.com/a.png"}, "image"),
        ({"model": SEEDREAM, "response_format": "svg"}, "response_format"),
        ({"model": SEEDREAM_3, "sequential_image_generation": "auto"}, "sequential_image_generation"),
    ],
)
def test_bad_image_params_name_the_field(ark: Ark, fields: dict[str, Any], param: str) -> None:
    """400 InvalidParameter with `param`."""
    with pytest.raises(ArkBadRequestError) as caught:
        ark.images.generate(prompt="猫", **fields)
    assert (caught.value.code, caught.value.param) == ("InvalidParameter", param)


def test_references_are_links_or_data_urls(ark: Ark) -> None:
    """Both kinds are taken together."""
    target = io.BytesIO()
    Image.new("RGB", (64, 64)).save(target, "PNG")
    inline = "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()
    answer = ark.images.generate(model=SEEDREAM, prompt="猫", image=["https://example.com/a.png", inline], size="1K")
    assert len(answer.data) == 1


def test_a_wrong_key_and_an_unknown_model(ark: Ark, sim_url: str) -> None:
    """401 AuthenticationError and 404 InvalidEndpointOrModel.NotFound."""
    with (
        Ark(base_url=f"{sim_url}/api/v3", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(ArkAuthenticationError) as refused,
    ):
        stranger.images.generate(model=SEEDREAM, prompt="猫")
    with pytest.raises(ArkNotFoundError) as unknown:
        ark.chat.completions.create(model="made-up", messages=HELLO)
    assert (refused.value.code, unknown.value.code) == ("AuthenticationError", "InvalidEndpointOrModel.NotFound")


def test_chat_answers_and_ends_at_the_limit(ark: Ark) -> None:
    """The reply repeats the question; `max_tokens` gives finish_reason length."""
    whole: Any = ark.chat.completions.create(model="doubao-pro-4k", messages=HELLO, temperature=0.5)
    short: Any = ark.chat.completions.create(model="doubao-pro-4k", messages=HELLO, max_tokens=2)
    assert "你好" in whole.choices[0].message.content
    assert (whole.choices[0].finish_reason, short.choices[0].finish_reason) == ("stop", "length")
    assert short.usage.completion_tokens == 2


def test_chat_streams_with_usage_at_the_end(ark: Ark) -> None:
    """Thoughts, then text in pieces, then a chunk without choices that holds the usage."""
    chunks: list[Any] = list(
        ark.chat.completions.create(
            model="doubao-seed-2-1-pro-260628", messages=HELLO, stream=True,
            stream_options={"include_usage": True}, thinking={"type": "enabled"},
        )
    )  # fmt: skip
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "你好" in "".join(delta.content or "" for delta in deltas)
    assert any(delta.reasoning_content for delta in deltas)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0


def test_a_rate_limit_is_ours_to_set(ark: Ark, control: ControlClient) -> None:
    """Status, code and Retry-After come as asked, once."""
    control.add_fault("ark.chat", Error(status=429, code="ModelAccountRpmRateLimitExceeded", retry_after_s=3))
    with pytest.raises(ArkRateLimitError) as caught:
        ark.chat.completions.create(model="doubao-pro-4k", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "3"
    ark.chat.completions.create(model="doubao-pro-4k", messages=HELLO)


def test_a_video_task_from_create_to_result(ark: Ark, control: ControlClient) -> None:
    """queued, running, succeeded; flags in the prompt count; the link serves a video."""
    control.change_latency(LatencyChange(video_s=0.4))
    task_id = ark.content_generation.tasks.create(model=SEEDANCE, content=CAT, return_last_frame=True).id
    seen: list[str] = []
    task: Any = None
    while seen[-1:] != ["succeeded"]:
        task = ark.content_generation.tasks.get(task_id=task_id)
        if task.status not in seen[-1:]:
            seen.append(task.status)
    assert seen == ["queued", "running", "succeeded"]
    assert (task.ratio, task.duration, task.resolution) == ("9:16", 3, "480p")
    assert httpx.get(task.content.video_url, trust_env=False).headers["content-type"] == "video/mp4"
    assert httpx.get(task.content.last_frame_url, trust_env=False).headers["content-type"] == "image/png"
    assert control.stats().prompts == {"cat": control.stats().prompts["cat"]}


def test_a_failed_video_says_why(ark: Ark, control: ControlClient) -> None:
    """Status failed with an error object; an unknown status on demand."""
    control.change_latency(LatencyChange(video_s=0))
    control.add_fault("ark.video.submit", FailGeneration(code="OutputVideoSensitiveContentDetected"))
    task_id = ark.content_generation.tasks.create(model=SEEDANCE, content=CAT).id
    task: Any = ark.content_generation.tasks.get(task_id=task_id)
    assert (task.status, task.error.code) == ("failed", "OutputVideoSensitiveContentDetected")
    control.add_fault("ark.video.query", UnknownStatus(status="dreaming"))
    assert ark.content_generation.tasks.get(task_id=task_id).status == "dreaming"


def test_lists_filter_and_page(ark: Ark, control: ControlClient) -> None:
    """By status, id and model; newest first; total counts all that match."""
    control.change_latency(LatencyChange(video_s=60))
    ids = [ark.content_generation.tasks.create(model=SEEDANCE, content=CAT).id for _ in range(3)]
    tasks = ark.content_generation.tasks
    page: Any = tasks.list(page_num=1, page_size=2, status="queued")
    assert (page.total, [task.id for task in page.items]) == (3, [ids[2], ids[1]])
    assert [task.id for task in tasks.list(task_ids=[ids[0], ids[1]]).items] == [ids[1], ids[0]]
    assert tasks.list(status="succeeded").total == 0
    assert tasks.list(model="other").total == 0


def test_deleting_cancels_removes_or_is_refused(ark: Ark, control: ControlClient) -> None:
    """Queued becomes cancelled, cancelled is refused, ended disappears, unknown is 404."""
    tasks = ark.content_generation.tasks
    control.change_latency(LatencyChange(video_s=60))
    queued = tasks.create(model=SEEDANCE, content=CAT).id
    tasks.delete(task_id=queued)
    assert tasks.get(task_id=queued).status == "cancelled"
    with pytest.raises(ArkPermissionDeniedError):
        tasks.delete(task_id=queued)
    control.change_latency(LatencyChange(video_s=0))
    ended = tasks.create(model=SEEDANCE, content=CAT).id
    tasks.delete(task_id=ended)
    with pytest.raises(ArkNotFoundError):
        tasks.get(task_id=ended)


@pytest.mark.parametrize("text", ["cat --dur 99", "cat --ratio 5:4", ""])
def test_bad_video_params_are_refused(ark: Ark, text: str) -> None:
    """Flags have limits too, and a text model needs a text."""
    with pytest.raises(ArkBadRequestError):
        ark.content_generation.tasks.create(model=SEEDANCE, content=[{"type": "text", "text": text}])


async def test_the_async_client_works_alike(sim_url: str, control: ControlClient) -> None:
    """Images, streamed chat and video tasks through AsyncArk."""
    client = AsyncArk(base_url=f"{sim_url}/api/v3", api_key="ark-simulator", max_retries=0)
    images = await client.images.generate(model=SEEDREAM, prompt="猫", size="1K")
    stream: Any = await client.chat.completions.create(model="doubao-pro-4k", messages=HELLO, stream=True)
    pieces = [chunk async for chunk in stream]
    task_id = (await client.content_generation.tasks.create(model=SEEDANCE, content=CAT)).id
    task = await client.content_generation.tasks.get(task_id=task_id)
    await client.close()
    assert len(images.data) == 1
    assert len(pieces) > 3
    assert task.id == task_id
