"""
OpenAI `/v1/videos` (Sora): create, get, content, delete, list.

Source: `resources/videos.py` of PyPI `openai` 3.54.0, as of 2026-11-22; the client sends multipart even without a file.
"""

import secrets
from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, post
from litestar.datastructures import UploadFile
from msgspec import Meta

from simulator.answers import Answer, Reply, json_answer
from simulator.connections import HttpRequest
from simulator.drawing import Recipe, seed_of
from simulator.errors import OpenAIError
from simulator.faults import FailGeneration, Fault, Result403, UnknownStatus
from simulator.ledger import Call
from simulator.openai_api import VIDEO_FAMILIES, authorize, check_model, invalid, read_params
from simulator.operations import Operation, Phase
from simulator.plans import Plan
from simulator.upstream import Upstream, failure, upstream_of

FAMILY = "openai.video"
LINK_LIFE_S = 3600
STATUSES = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "in_progress",
    Phase.SUCCEEDED: "completed",
    Phase.FAILED: "failed",
    Phase.EXPIRED: "failed",
    Phase.CANCELLED: "failed",
}


class VideoParams(msgspec.Struct, frozen=True, kw_only=True):
    """The form of create. `seconds` is a text."""

    prompt: Annotated[str, Meta(min_length=1)]
    model: str = "sora-2"
    seconds: Literal["4", "8", "12"] = "4"
    size: Literal["720x1280", "1280x720", "1024x1792", "1792x1024"] = "720x1280"


@post("/v1/videos", status_code=200)
async def create_video(request: HttpRequest) -> Reply:
    """Start a video."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    document = await _form(request)
    params = read_params(document, VideoParams)
    check_model(params.model, VIDEO_FAMILIES)
    call = Call(kind="openai.video.submit", prompt=params.prompt, model=params.model, generates=True, body=document)

    async def start(fault: Fault | None) -> Answer:
        operation = Operation(
            id=f"video_{secrets.token_hex(16)}",
            family=FAMILY,
            kind=call.kind,
            model=params.model,
            prompt=params.prompt,
            request=params,
            created_at=upstream.clock(),
            latency_s=upstream.latencies.of(call.kind, "video"),
            fault=fault,
        )
        upstream.operations.add(operation)
        return json_answer(view(operation, upstream.clock(), None))

    return await upstream.perform(request, call, start)


async def _form(request: HttpRequest) -> dict[str, Any]:
    """The fields of a form, with the file name in place of an uploaded picture."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form()
        return {name: value.filename if isinstance(value, UploadFile) else value for name, value in form.multi_items()}
    try:
        document = msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise OpenAIError(400, "The body is neither multipart/form-data nor JSON.") from error
    if not isinstance(document, dict):
        raise OpenAIError(400, "The body is not an object.")
    return document


def view(operation: Operation, now: float, fault: Fault | None) -> dict[str, Any]:
    """The video object of create, get and list."""
    params: VideoParams = operation.request
    effect, phase = operation.effect(fault), operation.phase(now, fault)
    ended = phase not in {Phase.QUEUED, Phase.RUNNING}
    return {
        "id": operation.id,
        "object": "video",
        "model": operation.model,
        "status": effect.status if isinstance(effect, UnknownStatus) else STATUSES[phase],
        "progress": _progress(operation, phase, now),
        "created_at": int(operation.created_at),
        "completed_at": int(operation.ended_at()) if phase is Phase.SUCCEEDED else None,
        "expires_at": int(operation.ended_at()) + LINK_LIFE_S if phase is Phase.SUCCEEDED else None,
        "error": _error(effect, phase) if ended and phase is not Phase.SUCCEEDED else None,
        "seconds": params.seconds,
        "size": params.size,
        "prompt": params.prompt,
        "remixed_from_video_id": None,
    }


def _progress(operation: Operation, phase: Phase, now: float) -> int:
    if phase is Phase.QUEUED:
        return 0
    return 100 if phase is Phase.SUCCEEDED else min(int(operation.share(now) * 100), 99)


def _error(fault: Fault | None, phase: Phase) -> dict[str, str]:
    if isinstance(fault, FailGeneration):
        return {"code": str(fault.code), "message": failure(FAMILY, fault).message}
    return {"code": phase.value, "message": f"the video is {phase.value}"}


@get("/v1/videos/{video_id:str}")
async def get_video(request: HttpRequest, video_id: str) -> Reply:
    """The current state of a video."""
    upstream = upstream_of(request)
    operation, call = _lookup(upstream, request, video_id, "query")

    async def show(fault: Fault | None) -> Answer:
        return json_answer(view(_known(operation, video_id), upstream.clock(), fault))

    return await upstream.perform(request, call, show)


def _lookup(upstream: Upstream, request: HttpRequest, video_id: str, what: str) -> tuple[Operation | None, Call]:
    authorize(upstream, request)
    operation = upstream.operations.find(FAMILY, video_id)
    prompt = "" if operation is None else operation.prompt
    return operation, Call(kind=f"{FAMILY}.{what}", prompt=prompt, body=video_id)


def _known(operation: Operation | None, video_id: str) -> Operation:
    if operation is None:
        raise OpenAIError(404, f"Video with id '{video_id}' not found.", code="video_not_found", param="video_id")
    return operation


@get("/v1/videos/{video_id:str}/content")
async def get_content(request: HttpRequest, video_id: str) -> Reply:
    """The video file, its thumbnail or its spritesheet."""
    upstream = upstream_of(request)
    operation, call = _lookup(upstream, request, video_id, "content")
    variant = request.query_params.get("variant", "video")
    if variant not in {"video", "thumbnail", "spritesheet"}:
        raise invalid("variant", "video, thumbnail or spritesheet")

    async def send_file(fault: Fault | None) -> Answer:
        known = _known(operation, video_id)
        if known.phase(upstream.clock()) is not Phase.SUCCEEDED:
            raise OpenAIError(404, "Video is not ready yet, use GET /v1/videos/{video_id} to check status.")
        if isinstance(known.effect(fault), Result403):
            raise OpenAIError(403, "The video content is not available any more.", code="content_forbidden")
        recipe = _recipe(known, variant)
        return Answer(body=await upstream.renderer.make(recipe), media_type=recipe.media_type)

    return await upstream.perform(request, call, send_file)


def _recipe(operation: Operation, variant: str) -> Recipe:
    params: VideoParams = operation.request
    width, height = (int(side) for side in params.size.split("x"))
    seed = seed_of(params.model, params.prompt)
    if variant == "video":
        plan = Plan(seed=seed, width=width, height=height, format="mp4", duration_s=int(params.seconds))
        return plan.recipes()[0]
    return Recipe(seed=seed, width=width, height=height, format="webp" if variant == "thumbnail" else "jpeg")


@delete("/v1/videos/{video_id:str}", status_code=200)
async def delete_video(request: HttpRequest, video_id: str) -> Reply:
    """Delete a video."""
    upstream = upstream_of(request)
    operation, call = _lookup(upstream, request, video_id, "delete")

    async def drop(_fault: Fault | None) -> Answer:
        known = _known(operation, video_id)
        upstream.operations.cancel(known)
        upstream.operations.delete(known)
        return json_answer({"id": video_id, "deleted": True, "object": "video.deleted"})

    return await upstream.perform(request, call, drop)


@get("/v1/videos")
async def list_videos(request: HttpRequest) -> Reply:
    """A page of videos, newest first unless `order=asc`; `after` is the last id of the page before."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    query = request.query_params
    limit = query.get("limit", "20")
    if not limit.isdecimal() or int(limit) > 100:
        raise invalid("limit", "0 to 100")

    async def show(_fault: Fault | None) -> Answer:
        found = list(upstream.operations.newest(FAMILY))
        if query.get("order") == "asc":
            found.reverse()
        found = _after(found, query.get("after"))
        shown = [view(operation, upstream.clock(), None) for operation in found[: int(limit)]]
        page = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
        return json_answer({"object": "list", "data": shown, "has_more": len(found) > len(shown), **page})

    return await upstream.perform(request, Call(kind=f"{FAMILY}.list", body=dict(query)), show)


def _after(found: list[Operation], last_id: str | None) -> list[Operation]:
    ids = [operation.id for operation in found]
    return found[ids.index(last_id) + 1 :] if last_id in ids else found
