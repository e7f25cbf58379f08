"""
Ark `/api/v3/contents/generations/tasks` (Seedance): create, get, list, delete.

Source: the vendor's video pages and `resources/content_generation` of PyPI `volcengine-ark-runtime` 5.0.54, as of
2026-11-22. Callbacks are accepted and not sent.
"""

import re
import secrets
import time
from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, post
from msgspec import Meta

from simulator.answers import Answer, Reply, json_answer
from simulator.ark import VIDEO_FAMILIES, authorize, check_model, invalid, read_body
from simulator.connections import HttpRequest
from simulator.drawing import Recipe, seed_of
from simulator.errors import ArkError
from simulator.faults import FailGeneration, Fault, UnknownStatus
from simulator.ledger import Call
from simulator.operations import Operation, Phase
from simulator.plans import Plan
from simulator.upstream import Upstream, failure, upstream_of

PATH = "/api/v3/contents/generations/tasks"
FAMILY = "ark.video"
FPS = 24
LIST_LIFE_S = 7 * 24 * 3600
HEIGHTS = {"480p": 480, "720p": 720, "1080p": 1088}
FLAG = re.compile(r"--(\w+)\s+(\S+)")
FLAG_NAMES = {"rs": "resolution", "rt": "ratio", "dur": "duration", "fps": "framespersecond", "wm": "watermark"}
Ratio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21", "adaptive", "keep_ratio"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Link to an input: an HTTP(S), data or asset URL."""

    url: Annotated[str, Meta(pattern="^(https?://|data:|asset://)")]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One input: a text, or a picture, video or sound with its role."""

    type: Literal["text", "image_url", "video_url", "audio_url", "draft_task"]
    text: str | None = None
    image_url: Link | None = None
    video_url: Link | None = None
    audio_url: Link | None = None
    role: str | None = None


class VideoParams(msgspec.Struct, frozen=True, kw_only=True):
    """The body of create. Flags in the prompt, the older style, take precedence over the fields."""

    model: str
    content: Annotated[list[Content], Meta(min_length=1)]
    callback_url: str | None = None
    return_last_frame: bool = False
    service_tier: Literal["default", "flex"] = "default"
    execution_expires_after: Annotated[int, Meta(ge=3600, le=259200)] = 172800
    generate_audio: bool | None = None
    camera_fixed: bool | None = None
    watermark: bool | None = None
    seed: Annotated[int, Meta(ge=-1, le=2**32 - 1)] = -1
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    ratio: Ratio = "16:9"
    duration: Annotated[int, Meta(ge=2, le=15)] = 5
    frames: Annotated[int, Meta(ge=29, le=361)] | None = None
    framespersecond: Literal[16, 24] = 24

    @property
    def prompt(self) -> str:
        """The text without flags."""
        return FLAG.sub("", self._text).strip()

    @property
    def flags(self) -> dict[str, str]:
        """The flags inside the text, by their long names."""
        return {FLAG_NAMES.get(name, name): value for name, value in FLAG.findall(self._text)}

    @property
    def _text(self) -> str:
        return " ".join(item.text for item in self.content if item.type == "text" and item.text)


class VideoTask(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a task that queries need."""

    params: VideoParams
    plan: Plan


def with_flags(params: VideoParams) -> VideoParams:
    """
    The params, with the flags in the prompt applied.

    Raises:
        ArkError: 400 for a flag with an invalid value.
    """
    document = msgspec.to_builtins(params)
    document |= {name: value for name, value in params.flags.items() if name in document}
    try:
        return msgspec.convert(document, VideoParams, strict=False)
    except msgspec.ValidationError as error:
        raise invalid("content.text", str(error)) from error


def plan_video(params: VideoParams) -> Plan:
    """The video to encode."""
    pictures = [item for item in params.content if item.type == "image_url"]
    if "-i2v" in params.model and not pictures:
        raise invalid("content", "this model needs a picture")
    if "-t2v" in params.model and pictures:
        raise invalid("content", "this model takes no picture")
    if not params.prompt and not pictures:
        raise ArkError(400, "MissingParameter", "The request lacks `content.text`.", param="content.text")
    short = HEIGHTS[params.resolution]
    ratio = "16:9" if params.ratio in {"adaptive", "keep_ratio"} else params.ratio
    across, down = (int(part) for part in ratio.split(":"))
    scale = short / min(across, down)
    duration_s = params.duration if params.frames is None else round(params.frames / FPS)
    return Plan(
        seed=seed_of(params.model, params.prompt, params.seed),
        width=round(across * scale / 2) * 2,
        height=round(down * scale / 2) * 2,
        format="mp4",
        duration_s=duration_s,
    )


@post(PATH, status_code=200)
async def create_video(request: HttpRequest) -> Reply:
    """Start a video; answers its id alone."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    given, document = await read_body(request, VideoParams)
    check_model(given.model, VIDEO_FAMILIES)
    params = with_flags(given)
    plan = plan_video(params)
    call = Call(kind="ark.video.submit", prompt=params.prompt, model=params.model, generates=True, body=document)

    async def start(fault: Fault | None) -> Answer:
        now = upstream.clock()
        operation = Operation(
            id=f"cgt-{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}-{secrets.token_hex(3)}",
            family=FAMILY,
            kind=call.kind,
            model=params.model,
            prompt=params.prompt,
            request=VideoTask(params=params, plan=plan),
            created_at=now,
            latency_s=upstream.latencies.of(call.kind, "video"),
            fault=fault,
        )
        upstream.operations.add(operation)
        return json_answer({"id": operation.id})

    return await upstream.perform(request, call, start)


@get(PATH + "/{task_id:str}")
async def get_video(request: HttpRequest, task_id: str) -> Reply:
    """The task as it is now."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    operation = upstream.operations.find(FAMILY, task_id)
    call = Call(kind="ark.video.query", prompt="" if operation is None else operation.prompt, body=task_id)

    async def show(fault: Fault | None) -> Answer:
        return json_answer(view(upstream, request, _known(operation, task_id), fault))

    return await upstream.perform(request, call, show)


def _known(operation: Operation | None, task_id: str) -> Operation:
    if operation is None:
        raise ArkError(404, "ResourceNotFound", f"The specified task {task_id} is not found.", param="id")
    return operation


def view(upstream: Upstream, request: HttpRequest, operation: Operation, fault: Fault | None) -> dict[str, Any]:
    """The task object of get and list."""
    task: VideoTask = operation.request
    now, effect = upstream.clock(), operation.effect(fault)
    phase = operation.phase(now, fault)
    params = task.params
    answer: dict[str, Any] = {
        "id": operation.id,
        "model": operation.model,
        "status": effect.status if isinstance(effect, UnknownStatus) else phase.value,
        "error": None,
        "created_at": int(operation.created_at),
        "updated_at": int(min(now, operation.ended_at())),
        "service_tier": params.service_tier,
        "execution_expires_after": params.execution_expires_after,
    }
    if isinstance(effect, FailGeneration) and phase is Phase.FAILED:
        answer["error"] = {"code": str(effect.code), "message": failure(FAMILY, effect).message}
    if answer["status"] == Phase.SUCCEEDED:
        answer |= _result(upstream, request, operation, effect)
    return answer


def _result(upstream: Upstream, request: HttpRequest, operation: Operation, fault: Fault | None) -> dict[str, Any]:
    task: VideoTask = operation.request
    plan, params = task.plan, task.params
    recipe = plan.recipes()[0]
    content = {"video_url": upstream.link(request, recipe, prompt=operation.prompt, fault=fault)}
    if params.return_last_frame:
        frame = Recipe(seed=recipe.seed, width=plan.width, height=plan.height, format="png")
        content["last_frame_url"] = upstream.link(request, frame, prompt=operation.prompt, fault=fault)
    tokens = plan.width * plan.height * FPS * plan.duration_s // 1024
    length = {"duration": plan.duration_s} if params.frames is None else {"frames": params.frames}
    return {
        "content": content,
        "usage": {"completion_tokens": tokens, "total_tokens": tokens},
        "seed": plan.seed % 2**31 if params.seed == -1 else params.seed,
        "resolution": params.resolution,
        "ratio": "16:9" if params.ratio in {"adaptive", "keep_ratio"} else params.ratio,
        "framespersecond": FPS,
        **length,
    }


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of a list request; None and an empty list match all tasks."""

    status: str | None
    task_ids: list[str]
    model: str | None
    service_tier: str | None

    def matches(self, operation: Operation, now: float) -> bool:
        """Whether the list contains the operation."""
        task: VideoTask = operation.request
        wanted = (self.status, operation.phase(now)), (self.model, operation.model)
        tier = self.service_tier in {None, task.params.service_tier}
        listed = not self.task_ids or operation.id in self.task_ids
        return listed and tier and all(want in {None, have} for want, have in wanted)


@get(PATH)
async def list_videos(request: HttpRequest) -> Reply:
    """The tasks of the last seven days, newest first."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    query = request.query_params
    page, size = _page(query.get("page_num", "1"), "page_num"), _page(query.get("page_size", "20"), "page_size")
    chosen = Filter(
        status=query.get("filter.status"),
        task_ids=list(query.getall("filter.task_ids", [])),
        model=query.get("filter.model"),
        service_tier=query.get("filter.service_tier"),
    )

    async def show(_fault: Fault | None) -> Answer:
        now = upstream.clock()
        recent = (task for task in upstream.operations.newest(FAMILY) if now - task.created_at < LIST_LIFE_S)
        found = [task for task in recent if chosen.matches(task, now)]
        shown = found[(page - 1) * size : page * size]
        return json_answer({"total": len(found), "items": [view(upstream, request, task, None) for task in shown]})

    return await upstream.perform(request, Call(kind="ark.video.list", body=dict(query)), show)


def _page(text: str, name: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 500:
        raise invalid(name, "1 to 500")
    return int(text)


@delete(PATH + "/{task_id:str}", status_code=200)
async def delete_video(request: HttpRequest, task_id: str) -> Reply:
    """Cancel a queued task or delete an ended one. Running and cancelled tasks are refused."""
    upstream = upstream_of(request)
    authorize(upstream, request)
    operation = upstream.operations.find(FAMILY, task_id)
    call = Call(kind="ark.video.delete", prompt="" if operation is None else operation.prompt, body=task_id)

    async def drop(_fault: Fault | None) -> Answer:
        known = _known(operation, task_id)
        phase = known.phase(upstream.clock())
        if phase in {Phase.RUNNING, Phase.CANCELLED}:
            raise ArkError(403, "OperationDenied.InvalidState", f"The task is {phase.value} and cannot be deleted.")
        (upstream.operations.cancel if phase is Phase.QUEUED else upstream.operations.delete)(known)
        return json_answer({})

    return await upstream.perform(request, call, drop)
