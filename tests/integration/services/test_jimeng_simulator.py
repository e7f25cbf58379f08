"""The Jimeng service against a real server that checks signatures and params as the vendor does."""

import asyncio
import base64
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image

from core.catalogue import read_catalogue
from polyrelay import (
    Done,
    GenerationFailed,
    ImageOutput,
    Job,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProviderError,
    RateLimited,
    Rejected,
    Secret,
    Unavailable,
    VideoOutput,
)
from services.vendors.jimeng import Jimeng, jimeng_http, jimeng_models

ROOT = Path(__file__).parents[3]
ENTRIES = read_catalogue(ROOT / "providers" / "catalogue" / "jimeng.toml")
ACCESS_KEY, SECRET_KEY = "AKLTtest", "SKtest"
JPEG, MP4 = b"\xff\xd8\xff", b"ftyp"


def picture(width: int = 640, height: int = 360) -> str:
    """A real image as base64."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """The URL of a simulator; each test uses a prompt of its own."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--latency-image", "0.05", "--latency-video", "0.05"]
    with subprocess.Popen(
        [*command, "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the simulator did not start"
            yield url
        finally:
            process.terminate()


@pytest.fixture
async def control(simulator: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the simulator's control calls and result files."""
    async with httpx.AsyncClient(base_url=simulator, trust_env=False) as client:
        yield client


@pytest.fixture
async def service_with(simulator: str) -> AsyncIterator[Callable[..., Jimeng]]:
    """Creates services with the simulator as upstream."""
    services: list[Jimeng] = []

    def make(secret_key: str = SECRET_KEY, read_s: float = 20.0) -> Jimeng:
        http = jimeng_http(simulator, Secret(ACCESS_KEY), Secret(secret_key), read_s=read_s)
        services.append(Jimeng(ENTRIES, http, poll_scale=0.01))
        return services[-1]

    yield make
    for service in services:
        await service.aclose()


@pytest.fixture
def jimeng(service_with: Callable[..., Jimeng]) -> Jimeng:
    """The service with the correct key."""
    return service_with()


def job_of(model: str, **fields: Any) -> Job[Any]:
    """A job from the JSON that a caller sends."""
    params = next(known.params for known in jimeng_models(ENTRIES) if known.name == model)
    return Job(
        task_id="t1",
        attempt=1,
        model=model,
        params=msgspec.convert(fields, params),
        deadline=datetime.now(UTC) + timedelta(minutes=1),
    )


async def outcome_of(service: Jimeng, job: Job[Any]) -> Done:
    """Submit once and poll until it is done."""
    outcome = await service.submit(job)
    async with asyncio.timeout(20):
        while isinstance(outcome, Pending):
            await asyncio.sleep(outcome.poll_after_s)
            outcome = await service.poll(job, outcome.operation)
    return outcome


async def arrange(control: httpx.AsyncClient, kind: str, prompt: str, fault: dict[str, Any]) -> None:
    """Request one fault for the calls of one prompt."""
    answer = await control.post("/_control/faults", json={"kind": kind, "prompt": prompt, "fault": fault})
    answer.raise_for_status()


async def accepted(control: httpx.AsyncClient, prompt: str) -> int:
    """The number of submits of the prompt that the vendor would bill."""
    stats = (await control.get("/_control/stats")).json()
    return int(stats["prompts"].get(prompt, {"accepted": 0})["accepted"])


async def test_text_to_image_4_0(jimeng: Jimeng, control: httpx.AsyncClient) -> None:
    """One submit of a text gives one image of the requested size."""
    done = await outcome_of(jimeng, job_of("jimeng_t2i_v40", prompt="画3张橘猫", size="1152x1024"))

    (output,) = done.outputs
    assert isinstance(output, ImageOutput)
    assert Image.open(io.BytesIO(await download(control, output.url))).size == (1152, 1024)
    assert await accepted(control, "画3张橘猫") == 1


async def test_several_pictures_of_4_0(jimeng: Jimeng) -> None:
    """Without `force_single` the model generates as many images as the prompt asks for."""
    done = await outcome_of(jimeng, job_of("jimeng_t2i_v40", prompt="画3张黑猫", size="1K", force_single=False))

    assert len(done.outputs) == 3


async def test_image_to_image_4_0_as_base64(jimeng: Jimeng) -> None:
    """An uploaded image is accepted, and the result is a file if the caller does not want a link."""
    job = job_of("jimeng_t2i_v40", prompt="a red hat", size="1K", binary_data_base64=[picture()], return_url=False)

    (output,) = (await outcome_of(jimeng, job)).outputs

    assert isinstance(output, ImageOutput)
    assert output.media_type == "image/jpeg"
    assert output.data is not None
    assert output.data.startswith(JPEG)


@pytest.mark.parametrize("size", ["512x512", "288x512"])
async def test_text_to_image_2_1_answers_at_once(jimeng: Jimeng, control: httpx.AsyncClient, size: str) -> None:
    """The submit of the synchronous model returns the result; each side is the requested one, doubled."""
    done = await jimeng.submit(job_of("jimeng_high_aes_general_v21_L", prompt=f"a boat {size}", size=size))

    assert isinstance(done, Done)
    (output,) = done.outputs
    assert isinstance(output, ImageOutput)
    width, height = Image.open(io.BytesIO(await download(control, output.url))).size
    assert f"{width // 2}x{height // 2}" == size


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("jimeng_vgfm_t2v_l20", {"aspect_ratio": "9:16"}),
        ("jimeng_vgfm_i2v_l20", {"binary_data_base64": 1}),
        ("jimeng_t2v_v30_1080p", {"duration": 5}),
        ("jimeng_i2v_first_v30_1080", {"binary_data_base64": 1}),
        ("jimeng_i2v_first_tail_v30", {"binary_data_base64": 2}),
        (
            "jimeng_i2v_recamera_v30",
            {"binary_data_base64": 1, "template_id": "handheld", "camera_strength": "strong"},
        ),
        ("jimeng_ti2v_v30_pro", {"aspect_ratio": "21:9", "aigc_meta": {"producer_id": "p", "content_propagator": "c"}}),
        (
            "jimeng_realman_avatar_picture_omni_v15",
            {"image_urls": ["https://pictures.test/a.png"], "audio_url": "https://sounds.test/a.mp3"},
        ),
    ],
)
async def test_videos(jimeng: Jimeng, control: httpx.AsyncClient, model: str, fields: dict[str, Any]) -> None:
    """Each video model is submitted once and ends with a real MP4."""
    prompt = f"rain for {model}"
    files = [picture()] * fields.get("binary_data_base64", 0)
    job = job_of(model, prompt=prompt, **(fields | ({"binary_data_base64": files} if files else {})))

    (output,) = (await outcome_of(jimeng, job)).outputs

    assert isinstance(output, VideoOutput)
    assert output.lifetime_s == 3600
    assert (await download(control, output.url))[4:8] == MP4
    assert await accepted(control, prompt) == 1


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("jimeng_t2i_v30", {"size": "512x512"}),
        ("jimeng_t2i_v31", {"size": "1296x3024"}),
        ("jimeng_i2i_v30", {"binary_data_base64": 1, "scale": 0.3, "size": "600x600"}),
        ("jimeng_seedream46_cvtob", {"size": "1K", "scale": 30, "logo_info": {"add_logo": True}}),
        ("jimeng_image2image_dream_inpaint", {"binary_data_base64": 2}),
        ("img2img_inpainting_edit_zi2i", {"binary_data_base64": 2, "scale": 7, "steps": 20}),
    ],
)
async def test_other_pictures(jimeng: Jimeng, control: httpx.AsyncClient, model: str, fields: dict[str, Any]) -> None:
    """Each further image model is submitted once and ends with a real image."""
    prompt = f"a hat for {model}"
    files = [picture()] * fields.get("binary_data_base64", 0)
    job = job_of(model, prompt=prompt, **(fields | ({"binary_data_base64": files} if files else {})))

    (output,) = (await outcome_of(jimeng, job)).outputs

    assert isinstance(output, ImageOutput)
    assert Image.open(io.BytesIO(await download(control, output.url))).width >= 512
    assert await accepted(control, prompt) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "billed"),
    [
        ({"type": "error", "code": 50429}, RateLimited, 0),
        ({"type": "error", "code": 50430}, Overloaded, 0),
        ({"type": "error", "code": 50412}, Rejected, 0),
        ({"type": "error", "code": 50500}, OutcomeUnknown, 0),
        ({"type": "cut_before"}, OutcomeUnknown, 0),
        ({"type": "cut_after"}, OutcomeUnknown, 1),
        ({"type": "hang", "seconds": 30}, OutcomeUnknown, 1),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_a_submit_that_fails_is_sent_once(
    service_with: Callable[..., Jimeng],
    control: httpx.AsyncClient,
    fault: dict[str, Any],
    kind: type[ProviderError],
    billed: int,
) -> None:
    """A failed submit raises the error that it means and is not repeated, whether the vendor accepted it or not."""
    prompt = f"fails by {fault}"
    await arrange(control, "visual.submit", prompt, fault)

    with pytest.raises(ProviderError) as caught:
        await service_with(read_s=0.5).submit(job_of("jimeng_t2i_v40", prompt=prompt))

    assert type(caught.value) is kind
    assert await accepted(control, prompt) == billed


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"type": "error", "code": 50500}, Unavailable),
        ({"type": "cut_before"}, Unavailable),
        ({"type": "error", "code": 50429}, RateLimited),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_a_query_that_fails_may_be_repeated(
    jimeng: Jimeng, control: httpx.AsyncClient, fault: dict[str, Any], kind: type[ProviderError]
) -> None:
    """After a poll without an answer, the next poll returns the result."""
    job = job_of("jimeng_t2i_v40", prompt=f"asked again after {fault}", size="1K")
    pending = await jimeng.submit(job)
    assert isinstance(pending, Pending)
    await arrange(control, "visual.query", job.params.prompt, fault)

    with pytest.raises(kind):
        await jimeng.poll(job, pending.operation)

    assert isinstance(await jimeng.poll(job, pending.operation), Pending | Done)


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [
        ({"type": "expired"}, "expired", False),
        ({"type": "fail_generation", "code": 50511, "with_data": True}, "50511", True),
        ({"type": "fail_generation", "code": 50520}, "50520", False),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
async def test_a_generation_that_fails_says_whether_a_new_attempt_may_help(
    jimeng: Jimeng, control: httpx.AsyncClient, fault: dict[str, Any], code: str, retryable: bool
) -> None:
    """The vendor's code says whether a new attempt may help after an accepted generation failed."""
    job = job_of("jimeng_t2i_v40", prompt=f"breaks by {fault}", size="1K")
    await arrange(control, "visual.submit", job.params.prompt, fault)

    with pytest.raises(GenerationFailed) as caught:
        await outcome_of(jimeng, job)

    assert (caught.value.code, caught.value.retryable) == (code, retryable)


async def test_an_undocumented_status_is_polled_again(jimeng: Jimeng, control: httpx.AsyncClient) -> None:
    """A status that no page documents keeps the task open."""
    job = job_of("jimeng_t2i_v40", prompt="a strange status", size="1K")
    pending = await jimeng.submit(job)
    assert isinstance(pending, Pending)
    await arrange(control, "visual.query", job.params.prompt, {"type": "unknown_status"})

    assert isinstance(await jimeng.poll(job, pending.operation), Pending)


async def test_a_task_that_the_vendor_does_not_know(jimeng: Jimeng) -> None:
    """An operation that the vendor does not know has failed finally."""
    with pytest.raises(GenerationFailed) as caught:
        await jimeng.poll(job_of("jimeng_t2i_v40", prompt="forgotten"), "jimeng_t2i_v40/7392616336519610409")

    assert (caught.value.code, caught.value.retryable) == ("not_found", False)


async def test_a_wrong_key_is_refused(service_with: Callable[..., Jimeng], control: httpx.AsyncClient) -> None:
    """The gateway refuses a signature with another key; the error has the reason auth and does not show the key."""
    with pytest.raises(Rejected) as caught:
        await service_with("a-wrong-secret").submit(job_of("jimeng_t2i_v40", prompt="who am I"))

    assert (caught.value.reason, caught.value.code) == ("auth", "SignatureDoesNotMatch")
    assert "a-wrong-secret" not in caught.value.message
    assert await accepted(control, "who am I") == 0


async def download(client: httpx.AsyncClient, url: str | None) -> bytes:
    """The result file."""
    assert url is not None
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.content
