"""The models of the catalogue's first version, each from a request to a valid file, on real servers."""

import io
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from polyrelay.client import Client

IMAGES: list[tuple[str, str, dict[str, Any], tuple[int, int]]] = [
    ("volcengine", "doubao-seedream-3-0-t2i-250415", {"size": "864x1152"}, (864, 1152)),
    ("volcengine", "doubao-seedream-4-0-250828", {"size": "1280x720"}, (1280, 720)),
    ("volcengine", "jimeng_high_aes_general_v21_L", {"size": "512x384", "use_sr": False}, (512, 384)),
    ("volcengine", "jimeng_t2i_v40", {"width": 1472, "height": 1104}, (1472, 1104)),
    ("openai", "dall-e-3", {"size": "1024x1024"}, (1024, 1024)),
]
VIDEOS: list[tuple[str, str, dict[str, Any], float]] = [
    ("volcengine", "jimeng_vgfm_t2v_l20", {"aspect_ratio": "16:9"}, 16 / 9),
    ("openai", "sora", {"size": "720x1280", "duration": 4}, 9 / 16),
]
TEXTS = [("volcengine", "doubao-pro-4k"), ("openai", "gpt-4")]


def submits(simulator: httpx.Client, prompt: str) -> int:
    """The number of submits with that prompt that the simulator received."""
    received: int = simulator.get("/_control/stats").json()["prompts"][prompt]["received"]
    return received


@pytest.mark.parametrize(("provider", "model", "params", "size"), IMAGES, ids=[row[1] for row in IMAGES])
def test_an_image_model_gives_an_image_of_the_requested_size(
    client: Client,
    simulator: httpx.Client,
    out: Path,
    provider: str,
    model: str,
    params: dict[str, Any],
    size: tuple[int, int],
) -> None:
    """One submit at the vendor; the result is an image of the requested size, served by polyrelay."""
    prompt = f"一只戴墨镜的橘猫 {model}"
    created = client.create("image", provider=provider, model=model, user_id="cat", prompt=prompt, **params)
    task = client.wait(created.task_id, timeout_s=30)

    assert task.status == "completed", task.error
    assert task.image_url is not None
    assert task.image_url.startswith(client.base_url)
    (path,) = client.save(task, out)
    assert size == Image.open(io.BytesIO(path.read_bytes())).size
    assert submits(simulator, prompt) == 1


@pytest.mark.parametrize(("provider", "model", "params", "ratio"), VIDEOS, ids=[row[1] for row in VIDEOS])
def test_a_video_model_gives_a_video_of_the_requested_ratio(
    client: Client,
    simulator: httpx.Client,
    out: Path,
    provider: str,
    model: str,
    params: dict[str, Any],
    ratio: float,
) -> None:
    """One submit at the vendor; the result is a video that decodes with the requested ratio."""
    prompt = f"a paper boat in the rain, {model}"
    created = client.create("video", provider=provider, model=model, user_id="cat", prompt=prompt, **params)
    task = client.wait(created.task_id, timeout_s=30)

    assert task.status == "completed", task.error
    (path,) = client.save(task, out)
    with av.open(str(path)) as video:
        frame = next(video.decode(video=0))
    assert ratio == pytest.approx(frame.width / frame.height, rel=0.05)
    assert submits(simulator, prompt) == 1


@pytest.mark.parametrize(("provider", "model"), TEXTS, ids=[row[1] for row in TEXTS])
def test_a_text_model_gives_a_text_and_its_usage(
    client: Client, simulator: httpx.Client, provider: str, model: str
) -> None:
    """One submit at the vendor; the task has the text and its usage."""
    prompt = f"Say hello to {model}"
    created = client.create("text", provider=provider, model=model, user_id="cat", prompt=prompt, max_tokens=50)
    task = client.wait(created.task_id, timeout_s=30)

    assert task.status == "completed", task.error
    assert task.text_result
    assert task.usage is not None
    assert submits(simulator, prompt) == 1
