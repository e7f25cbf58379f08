"""
Ark `POST /api/v3/images/generations`: JSON and server-sent events, links and base64, groups.

Source: the vendor's image page and `resources/images` of PyPI `volcengine-ark-runtime` 5.0.54, as of 2026-11-22.
"""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import post
from msgspec import Meta

from simulator.answers import EVENT_STREAM, LAST_EVENT, Answer, Reply, event, json_answer
from simulator.ark import IMAGE_FAMILIES, authorize, check_model, invalid, read_body
from simulator.connections import HttpRequest
from simulator.drawing import Recipe, seed_of
from simulator.faults import FailGeneration, Fault
from simulator.ledger import Call
from simulator.plans import Plan, count_in_prompt, within_ratio
from simulator.references import InvalidPicture, check_base64, check_link
from simulator.upstream import Upstream, failure, upstream_of

MEGABYTE = 1024 * 1024
GROUP_LIMIT = 15
NAMED_SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (4096, 4096)}


class SequentialOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The largest number of pictures in a group."""

    max_images: Annotated[int, Meta(ge=1, le=GROUP_LIMIT)] = GROUP_LIMIT


class ImageParams(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the request. A null field counts as unset, because the official client sends null."""

    model: str
    prompt: Annotated[str, Meta(min_length=1)]
    image: str | list[str] = []
    size: str | None = None
    seed: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    guidance_scale: Annotated[float, Meta(ge=1, le=10)] | None = None
    watermark: bool = True
    response_format: Literal["url", "b64_json"] = "url"
    output_format: Literal["jpeg", "png"] = "jpeg"
    sequential_image_generation: Literal["disabled", "auto"] = "disabled"
    sequential_image_generation_options: SequentialOptions | None = None
    stream: bool = False

    @property
    def third(self) -> bool:
        """Whether it is a 3.0 model: one picture and no stream, but with seed and guidance."""
        return self.model.startswith(("doubao-seedream-3", "doubao-seededit-3"))

    @property
    def references(self) -> list[str]:
        """The input pictures."""
        return [self.image] if isinstance(self.image, str) else self.image


@post("/api/v3/images/generations", status_code=200)
async def create_images(request: HttpRequest) -> Reply:
    """Draw pictures. A picture that fails does not stop the others of its group."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    params, document = await read_body(request, ImageParams)
    check_model(params.model, IMAGE_FAMILIES)
    plan = await upstream.renderer.run(plan_images, params)
    call = Call(kind="ark.images", prompt=params.prompt, model=params.model, generates=True, body=document)

    async def generate(fault: Fault | None) -> Answer:
        await upstream.generate(request, call.kind, "image", fault)
        items = _items(upstream, request, params, plan, fault)
        if params.stream:
            return Answer(body=_events(params, plan, items, upstream.clock()), media_type=EVENT_STREAM)
        data = [item async for item in items]
        return json_answer(_head(params, upstream.clock()) | {"data": data, "usage": _usage(plan, data)})

    return await upstream.perform(request, call, generate)


def plan_images(params: ImageParams) -> Plan:
    """
    The pictures to draw.

    Raises:
        ArkError: 400 for a field that the model does not take, or a value beyond its limits.
    """
    _check_fields(params)
    _check_references(params)
    width, height = _size(params)
    seed = seed_of(params.model, params.prompt, params.seed)
    return Plan(seed=seed, width=width, height=height, format=params.output_format, count=_count(params))


def _check_fields(params: ImageParams) -> None:
    if params.third and (params.stream or params.sequential_image_generation == "auto"):
        raise invalid("sequential_image_generation" if not params.stream else "stream", "not for this model")
    fourth = params.model.startswith(("doubao-seedream-4", "doubao-seedream-5"))
    if fourth and (params.seed is not None or params.guidance_scale is not None):
        raise invalid("seed" if params.seed is not None else "guidance_scale", "only for 3.0 models")


def _check_references(params: ImageParams) -> None:
    references = params.references
    if params.model.startswith("doubao-seedream-3") and references:
        raise invalid("image", "not for this model")
    if params.model.startswith("doubao-seededit") and len(references) != 1:
        raise invalid("image", "one picture is required")
    if len(references) > 10:
        raise invalid("image", "at most 10 pictures")
    for reference in references:
        try:
            _check_reference(reference)
        except InvalidPicture as error:
            raise invalid("image", f"a picture is refused for its {error.problem}") from error


def _check_reference(reference: str) -> None:
    data = re.match(r"data:image/(jpeg|png|jpg);base64,", reference)
    if data is None:
        return check_link(reference)
    text = reference[data.end() :]
    return check_base64(text, max_bytes=10 * MEGABYTE, max_side=6000, max_ratio=3, min_side=15)


def _size(params: ImageParams) -> tuple[int, int]:
    if params.model.startswith("doubao-seededit") and params.size in {None, "adaptive"}:
        return 1024, 1024
    text = params.size or ("1024x1024" if params.third else "2048x2048")
    if text in NAMED_SIZES and not params.third:
        return NAMED_SIZES[text]
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise invalid("size", f"{text} is neither WxH nor a size of this model")
    width, height = int(match.group(1)), int(match.group(2))
    if not _fits(width, height, third=params.third):
        raise invalid("size", f"{text} is beyond the model's limits")
    return width, height


def _fits(width: int, height: int, *, third: bool) -> bool:
    if third:
        return min(width, height) >= 512 and max(width, height) <= 2048
    return 1280 * 720 <= width * height <= 4096**2 and within_ratio(width, height, 1 / 16, 16)


def _count(params: ImageParams) -> int:
    """Number of pictures in a group: the number in the prompt, else up to three."""
    if params.sequential_image_generation == "disabled":
        return 1
    options = params.sequential_image_generation_options or SequentialOptions()
    most = min(options.max_images, GROUP_LIMIT - len(params.references))
    return max(min(count_in_prompt(params.prompt) or 3, most), 1)


def _head(params: ImageParams, now: float) -> dict[str, Any]:
    return {"model": params.model, "created": int(now)}


def _usage(plan: Plan, data: list[dict[str, Any]]) -> dict[str, int]:
    made = sum("error" not in item for item in data)
    tokens = made * plan.width * plan.height // 256
    return {"generated_images": made, "output_tokens": tokens, "total_tokens": tokens}


async def _items(
    upstream: Upstream, request: HttpRequest, params: ImageParams, plan: Plan, fault: Fault | None
) -> AsyncIterator[dict[str, Any]]:
    """Each picture of the group, or an error in its place."""
    for index, recipe in enumerate(plan.recipes()):
        if isinstance(fault, FailGeneration) and fault.picture == index:
            error = failure("ark.images", fault)
            yield {"error": {"code": str(fault.code), "message": error.message}}
        else:
            yield await _picture(upstream, request, params, recipe, fault)


async def _picture(
    upstream: Upstream, request: HttpRequest, params: ImageParams, recipe: Recipe, fault: Fault | None
) -> dict[str, Any]:
    size = {"size": f"{recipe.width}x{recipe.height}"}
    if params.response_format == "b64_json":
        return {"b64_json": await upstream.renderer.make(recipe), **size}
    return {"url": upstream.link(request, recipe, prompt=params.prompt, fault=fault), **size}


async def _events(
    params: ImageParams, plan: Plan, items: AsyncIterator[dict[str, Any]], now: float
) -> AsyncIterator[bytes]:
    """The stream: an event a picture, one with the usage, and the end mark."""
    data: list[dict[str, Any]] = []
    async for item in items:
        name = "image_generation.partial_failed" if "error" in item else "image_generation.partial_succeeded"
        yield event({"type": name, **_head(params, now), "image_index": len(data), **item}, name)
        data.append(item)
    name = "image_generation.completed"
    yield event({"type": name, **_head(params, now), "usage": _usage(plan, data)}, name)
    yield LAST_EVENT
