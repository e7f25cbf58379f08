"""
OpenAI `POST /v1/images/generations`: GPT image models answer with base64, dall-e with links or base64.

Source: `resources/images.py` and its types of PyPI `openai` 3.54.0, as of 2026-11-22.
"""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import post
from msgspec import Meta

from simulator.answers import EVENT_STREAM, Answer, Reply, event, json_answer
from simulator.connections import HttpRequest
from simulator.drawing import seed_of
from simulator.errors import OpenAIError
from simulator.faults import Fault
from simulator.ledger import Call
from simulator.openai_api import IMAGE_FAMILIES, authorize, check_model, invalid, read_body
from simulator.plans import Plan, within_ratio
from simulator.upstream import Upstream, upstream_of

DALLE_SIZES = {
    "dall-e-2": {"256x256", "512x512", "1024x1024"},
    "dall-e-3": {"1024x1024", "1792x1024", "1024x1792"},
}
GPT_SIZES = {"1024x1024", "1536x1024", "1024x1536"}
FREE_SIZE_MODELS = ("gpt-image-2", "chatgpt-image")


class ImageParams(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the request."""

    prompt: Annotated[str, Meta(min_length=1, max_length=32000)]
    model: str = "gpt-image-1"
    n: Annotated[int, Meta(ge=1, le=10)] = 1
    size: str = "auto"
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"] = "auto"
    background: Literal["transparent", "opaque", "auto"] = "auto"
    output_format: Literal["png", "jpeg", "webp"] = "png"
    response_format: Literal["url", "b64_json"] | None = None
    style: Literal["vivid", "natural"] | None = None
    stream: bool = False
    partial_images: Annotated[int, Meta(ge=0, le=3)] = 0

    @property
    def dalle(self) -> bool:
        """Whether it is a dall-e model."""
        return self.model.startswith("dall-e-")


@post("/v1/images/generations", status_code=200)
async def create_images(request: HttpRequest) -> Reply:
    """Draw pictures."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    params, document = await read_body(request, ImageParams)
    check_model(params.model, IMAGE_FAMILIES)
    plan = plan_images(params)
    call = Call(kind="openai.images", prompt=params.prompt, model=params.model, generates=True, body=document)

    async def generate(fault: Fault | None) -> Answer:
        await upstream.generate(request, call.kind, "image", fault)
        if params.stream:
            return Answer(body=_events(upstream, params, plan), media_type=EVENT_STREAM)
        data = await _data(upstream, request, params, plan, fault)
        extras = {} if params.dalle else _extras(params, plan)
        return json_answer({"created": int(upstream.clock()), "data": data, **extras})

    return await upstream.perform(request, call, generate)


def plan_images(params: ImageParams) -> Plan:
    """
    The pictures to draw.

    Raises:
        OpenAIError: 400 for a field that the model does not take, or a value beyond its limits.
    """
    (_check_dalle if params.dalle else _check_gpt)(params)
    width, height = _size(params)
    form = "png" if params.dalle else params.output_format
    seed = seed_of(params.model, params.prompt)
    return Plan(seed=seed, width=width, height=height, format=form, count=params.n)


def _check_dalle(params: ImageParams) -> None:
    if params.model == "dall-e-3" and params.n != 1:
        raise invalid("n", "dall-e-3 draws one picture")
    if params.stream:
        raise invalid("stream", "not for this model")
    if params.quality not in {"auto", "standard", "hd"}:
        raise invalid("quality", "standard or hd")


def _check_gpt(params: ImageParams) -> None:
    for name in ("response_format", "style"):
        if getattr(params, name) is not None:
            raise OpenAIError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    if params.quality in {"standard", "hd"}:
        raise invalid("quality", "low, medium, high or auto")


def _size(params: ImageParams) -> tuple[int, int]:
    text = "1024x1024" if params.size == "auto" else params.size
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    if match is None:
        raise invalid("size", "WxH")
    width, height = int(match.group(1)), int(match.group(2))
    free = params.model.startswith(FREE_SIZE_MODELS)
    fixed = DALLE_SIZES.get(params.model, GPT_SIZES)
    if text not in fixed and not (free and _fits(width, height)):
        raise invalid("size", f"one of {', '.join(sorted(fixed))}")
    return width, height


def _fits(width: int, height: int) -> bool:
    return width >= 16 and height >= 16 and width % 16 == height % 16 == 0 and within_ratio(width, height, 1 / 3, 3)


async def _data(
    upstream: Upstream, request: HttpRequest, params: ImageParams, plan: Plan, fault: Fault | None
) -> list[dict[str, Any]]:
    if params.dalle and params.response_format != "b64_json":
        links = [upstream.link(request, recipe, prompt=params.prompt, fault=fault) for recipe in plan.recipes()]
        return [{"url": link, "revised_prompt": params.prompt} for link in links]
    pictures = [await upstream.renderer.make(recipe) for recipe in plan.recipes()]
    revised = {"revised_prompt": params.prompt} if params.dalle else {}
    return [{"b64_json": picture, **revised} for picture in pictures]


def _extras(params: ImageParams, plan: Plan) -> dict[str, Any]:
    """The additional fields in answers of GPT image models."""
    text_tokens = max(len(params.prompt) // 4, 1)
    output_tokens = plan.count * plan.width * plan.height // 1024
    return {
        "background": "opaque" if params.background == "auto" else params.background,
        "output_format": plan.format,
        "quality": "high" if params.quality == "auto" else params.quality,
        "size": f"{plan.width}x{plan.height}",
        "usage": {
            "input_tokens": text_tokens,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": text_tokens},
            "output_tokens": output_tokens,
            "total_tokens": text_tokens + output_tokens,
        },
    }


async def _events(upstream: Upstream, params: ImageParams, plan: Plan) -> AsyncIterator[bytes]:
    """The events: partial pictures, then the completed one."""
    extras = _extras(params, plan)
    usage = extras.pop("usage")
    picture = await upstream.renderer.make(plan.recipes()[0])
    shared = {"b64_json": picture, "created_at": int(upstream.clock()), **extras}
    for index in range(params.partial_images):
        name = "image_generation.partial_image"
        yield event({"type": name, "partial_image_index": index, **shared}, name)
    name = "image_generation.completed"
    yield event({"type": name, "usage": usage, **shared}, name)
