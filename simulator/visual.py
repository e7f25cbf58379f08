"""Volcengine visual: `POST /?Action=…&Version=…`, with the answers of visual.volcengineapi.com."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import route
from msgspec import Meta

from simulator.answers import Answer, Reply, json_answer
from simulator.connections import HttpRequest
from simulator.drawing import Recipe
from simulator.errors import GatewayError, VisualError, visual_envelope
from simulator.faults import FailGeneration, Fault, UnknownStatus
from simulator.ledger import Call
from simulator.operations import Operation, Phase, decimal_id
from simulator.plans import Plan
from simulator.signatures import SignedRequest, verify
from simulator.upstream import Upstream, failure, upstream_of
from simulator.validation import InvalidField, read
from simulator.visual_keys import CAPABILITIES, PROCESS, SYNC2ASYNC, TASK
from simulator.visual_params import AigcMeta, LogoInfo, VisualParams

VERSIONS = {"CVCancelTask": "2024-06-06"}
SUBMITS = {"CVSync2AsyncSubmitTask": SYNC2ASYNC, "CVSubmitTask": TASK}
QUERIES = {"CVSync2AsyncGetResult": SYNC2ASYNC, "CVGetResult": TASK}
ACTIONS = {*SUBMITS, *QUERIES, "CVProcess", "CVCancelTask"}
BODY_LIMIT = 10 * 1024 * 1024
TASK_LIFE_S = 12 * 3600
FIELD_CODES = {"missing": 50201, "type": 50204, "value": 50200}
STATUSES = {
    Phase.QUEUED: "in_queue",
    Phase.RUNNING: "generating",
    Phase.SUCCEEDED: "done",
    Phase.FAILED: "done",
    Phase.EXPIRED: "expired",
    Phase.CANCELLED: "not_found",
}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the query Actions. `req_json` is a JSON document in a string."""

    req_key: str
    task_id: Annotated[str, Meta(min_length=1)]
    req_json: str | None = None


class QueryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `req_json`."""

    return_url: bool = False
    logo_info: LogoInfo | None = None
    aigc_meta: AigcMeta | None = None


@route("/", http_method=["GET", "POST"], status_code=200)
async def visual(request: HttpRequest) -> Reply:
    """Every Action. The gateway checks the signature and the Action before the service reads the body."""
    upstream = upstream_of(request)
    body = await request.body()
    action = request.query_params.get("Action", "")
    try:
        await check_gateway(upstream, request, action, body)
    except GatewayError as error:
        error.action, error.version = action, request.query_params.get("Version", "")
        raise
    document = _document(body)
    if action in SUBMITS:
        return await submit(upstream, request, SUBMITS[action], document)
    if action in QUERIES:
        return await query(upstream, request, QUERIES[action], document)
    return await (process if action == "CVProcess" else cancel)(upstream, request, document)


async def check_gateway(upstream: Upstream, request: HttpRequest, action: str, body: bytes) -> None:
    """
    Check the signature, the Action and the Version, as the gateway does.

    Raises:
        GatewayError: The Action or Version is unknown, or the signature is not valid.
    """
    scope = request.scope
    signed = SignedRequest(
        method=request.method,
        path=scope.get("raw_path", b"/").decode("latin-1").partition("?")[0],
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )
    now = datetime.fromtimestamp(upstream.clock(), UTC)
    settings = upstream.settings
    if len(body) > 65536:
        await asyncio.to_thread(verify, signed, settings.credentials, now=now, skew_s=settings.clock_skew_s)
    else:
        verify(signed, settings.credentials, now=now, skew_s=settings.clock_skew_s)
    if action not in ACTIONS or request.query_params.get("Version") != VERSIONS.get(action, "2022-08-31"):
        raise GatewayError("InvalidActionOrVersion", f"could not find operation {action} for version")


def _document(body: bytes) -> Any:
    if len(body) > BODY_LIMIT:
        raise VisualError(50213)
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise VisualError(50200, "Parameter Error: the body is not JSON") from error


def _read(document: Any, family: str) -> tuple[VisualParams, Plan]:
    """The params of a generation, and its plan."""
    try:
        key = document.get("req_key") if isinstance(document, dict) else None
        if not isinstance(key, str):
            raise VisualError(50201, "Missing Parameter: req_key")
        capability = CAPABILITIES.get(key)
        if capability is None or family not in capability.families:
            raise VisualError(50402, f"No Such Interface: {key}")
        params = read(document, capability.params)
        return params, params.plan()
    except InvalidField as error:
        raise _field_error(error) from error


def _field_error(error: InvalidField) -> VisualError:
    words = {"missing": "Missing Parameter", "type": "Parameter Type Error", "value": "Parameter Error"}
    return VisualError(FIELD_CODES[error.problem], f"{words[error.problem]}: {error.field} {error.detail}")


async def submit(upstream: Upstream, request: HttpRequest, family: str, document: Any) -> Reply:
    """`CVSync2AsyncSubmitTask` and `CVSubmitTask`."""
    params, plan = await upstream.renderer.run(_read, document, family)
    call = Call(kind="visual.submit", prompt=params.text, model=params.req_key, generates=True, body=document)

    async def start(fault: Fault | None) -> Answer:
        operation = Operation(
            id=decimal_id(),
            family=f"visual.{family}",
            kind=call.kind,
            model=params.req_key,
            prompt=params.text,
            request=plan,
            created_at=upstream.clock(),
            latency_s=upstream.latencies.of(call.kind, plan.media),
            fault=fault,
        )
        upstream.operations.add(operation)
        return json_answer(visual_envelope({"task_id": operation.id}))

    return await upstream.perform(request, call, start)


async def query(upstream: Upstream, request: HttpRequest, family: str, document: Any) -> Reply:
    """`CVSync2AsyncGetResult` and `CVGetResult`. Unknown, old and other families' tasks are `not_found`."""
    form, options = _read_query(document)
    operation = upstream.operations.find(f"visual.{family}", form.task_id)
    prompt = "" if operation is None else operation.prompt
    call = Call(kind="visual.query", prompt=prompt, model=form.req_key, body=document)

    async def show(fault: Fault | None) -> Answer:
        if operation is None or upstream.clock() - operation.created_at > TASK_LIFE_S:
            return json_answer(visual_envelope({"status": "not_found"}))
        if operation.model != form.req_key:
            raise VisualError(50215, "Input Invalid For This Service: req_key is not the one of the submit")
        return await _view(upstream, request, operation, options, fault)

    return await upstream.perform(request, call, show)


def _read_query(document: Any) -> tuple[Query, QueryOptions]:
    try:
        form = read(document, Query)
        options = msgspec.json.decode(form.req_json) if form.req_json else {}
        return form, read(options, QueryOptions)
    except InvalidField as error:
        raise _field_error(error) from error
    except msgspec.DecodeError as error:
        raise VisualError(50200, "Parameter Error: req_json is not JSON") from error


async def _view(
    upstream: Upstream, request: HttpRequest, operation: Operation, options: QueryOptions, fault: Fault | None
) -> Answer:
    """The current state of a task. With `done`, the code says whether it failed."""
    phase = operation.phase(upstream.clock(), fault)
    cause = operation.effect(fault)
    if phase is Phase.FAILED and isinstance(cause, FailGeneration):
        error = failure("visual.query", cause)
        if cause.with_data:
            return json_answer(error.envelope() | {"data": {"status": "done"}}, error.status)
        raise error
    status = cause.status if isinstance(cause, UnknownStatus) else STATUSES[phase]
    results: dict[str, Any] = {"image_urls": None, "binary_data_base64": None}
    plan: Plan = operation.request
    if status == "done":
        results = await _results(upstream, request, plan, prompt=operation.prompt, url=options.return_url, fault=cause)
    elif plan.media == "video":
        results = {}
    return json_answer(visual_envelope({"status": status, **results}))


async def _results(
    upstream: Upstream, request: HttpRequest, plan: Plan, *, prompt: str, url: bool, fault: Fault | None
) -> dict[str, Any]:
    """The fields of `data` that contain results. Videos are always links."""
    recipes = plan.recipes()
    if plan.media == "video":
        link = upstream.link(request, recipes[0], prompt=prompt, fault=fault)
        return {"video_url": link, "aigc_meta_tagged": False}
    if url:
        links = [upstream.link(request, recipe, prompt=prompt, fault=fault) for recipe in recipes]
        return {"image_urls": links, "binary_data_base64": None}
    return {"image_urls": None, "binary_data_base64": await _pictures(upstream, recipes)}


async def _pictures(upstream: Upstream, recipes: list[Recipe]) -> list[bytes]:
    """The bytes of the pictures, which become base64 in JSON."""
    return [await upstream.renderer.make(recipe) for recipe in recipes]


async def process(upstream: Upstream, request: HttpRequest, document: Any) -> Reply:
    """`CVProcess`: the answer contains the result, and the body contains `return_url`."""
    params, plan = await upstream.renderer.run(_read, document, PROCESS)
    call = Call(kind="visual.process", prompt=params.text, model=params.req_key, generates=True, body=document)

    async def generate(fault: Fault | None) -> Answer:
        await upstream.generate(request, call.kind, plan.media, fault)
        url = bool(getattr(params, "return_url", False))
        results = await _results(upstream, request, plan, prompt=params.text, url=url, fault=fault)
        return json_answer(visual_envelope(results | _PROCESS_EXTRAS))

    return await upstream.perform(request, call, generate)


_PROCESS_EXTRAS: dict[str, Any] = {
    "algorithm_base_resp": {"status_code": 0, "status_message": "Success"},
    "infer_ctx": None,
    "llm_result": "",
    "pe_result": "",
    "predict_tags_result": "",
    "rephraser_result": "",
    "vlm_result": "",
}


async def cancel(upstream: Upstream, request: HttpRequest, document: Any) -> Reply:
    """`CVCancelTask`, which no page describes: an open task becomes `not_found`; an ended or unknown one gets 50215."""
    try:
        form = read(document, Query)
    except InvalidField as error:
        raise _field_error(error) from error
    found = (upstream.operations.find(f"visual.{family}", form.task_id) for family in (SYNC2ASYNC, TASK))
    operation = next(filter(None, found), None)
    prompt = "" if operation is None else operation.prompt
    call = Call(kind="visual.cancel", prompt=prompt, model=form.req_key, body=document)

    async def stop(_fault: Fault | None) -> Answer:
        if operation is None or operation.phase(upstream.clock()) not in {Phase.QUEUED, Phase.RUNNING}:
            raise VisualError(50215, "Input Invalid For This Service: the task cannot be cancelled")
        upstream.operations.cancel(operation)
        return json_answer(visual_envelope({}))

    return await upstream.perform(request, call, stop)
