"""The relay's routes: this server's errors in the vendor's shapes, and what is stored of a call."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from api.problems import STATUSES
from api.views.relay import OF_AUTHENTICATION, OF_SERVICE, answer_of
from core import errors
from core.audit import Action
from core.errors import InvalidSignature, PolyrelayError, StoreUnavailable
from core.registry import Registry
from core.settings import Settings
from core.task_repository import TaskQuery
from core.task_states import State
from core.tasks import RelayCall, Result
from polyrelay import Disabled, Provider, Secret, TaskType
from services.relay import responses
from services.relay.responses import GATEWAY, Business, Gateway
from services.vendors.jimeng import Jimeng, jimeng_http
from tests.unit.api.api_fixture import NOW, ApiFixture, a_task, an_attempt

Client = AsyncTestClient[Litestar]
SUBMIT = "/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31"
QUERY = "/?Action=CVSync2AsyncGetResult&Version=2022-08-31"
BODY = {"req_key": "jimeng_t2i_v40", "prompt": "cat"}


@pytest.fixture
def api(api: ApiFixture) -> ApiFixture:
    """The in-memory adapters, with the provider whose API is relayed; no vendor is called."""
    http = jimeng_http("http://127.0.0.1:9", Secret("AKLTpublic"), Secret("the-secret"), read_s=1)
    return structs.replace(api, registry=Registry([Provider("volcengine", [Jimeng([], http)])]))


@pytest.fixture
async def hasty(api: ApiFixture) -> AsyncIterator[Client]:
    """A caller of an API with a short `RELAY_PATIENCE_S`."""
    settings = structs.replace(
        Settings(auth="none"), relay_patience_s=0.01, ai_timeout_s=0.01, max_body_bytes=20 * 2**20
    )
    async with AsyncTestClient(build_app(api.adapters(), settings), raise_server_exceptions=False) as caller:
        yield caller


def check_gateway(answer: Any, status: int, number: int, code: str) -> None:
    """The gateway's envelope."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    metadata = answer.json()["ResponseMetadata"]
    assert metadata["RequestId"] == answer.headers["x-request-id"]
    assert (metadata["Service"], metadata["Region"]) == ("cv", "cn-north-1")
    assert (metadata["Error"]["CodeN"], metadata["Error"]["Code"]) == (number, code)


def check_business(answer: Any, status: int, code: int) -> str:
    """The business envelope; its message."""
    assert answer.status_code == status
    body = answer.json()
    assert list(body) == ["code", "data", "message", "request_id", "status", "time_elapsed"]
    assert (body["code"], body["status"], body["data"]) == (code, code, None)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["time_elapsed"].endswith("ms")
    return str(body["message"])


async def test_a_submit_in_queue_is_accepted(hasty: Client, api: ApiFixture) -> None:
    """The vendor's success, with our id of a stored task."""
    answer = await hasty.post(SUBMIT, json=BODY)

    body = answer.json()
    assert (answer.status_code, body["code"], body["message"]) == (200, 10000, "Success")
    task = await api.tasks.get(body["data"]["task_id"])
    assert task.relay == RelayCall(action="CVSync2AsyncSubmitTask", version="2022-08-31")
    assert task.state is State.PENDING


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
async def test_the_content_type_does_not_matter(hasty: Client, content_type: str) -> None:
    """Some signers declare a form where JSON is sent."""
    answer = await hasty.post(SUBMIT, content=json.dumps(BODY), headers={"Content-Type": content_type})

    assert answer.json()["code"] == 10000


@pytest.mark.parametrize(
    ("url", "status", "number", "code"),
    [
        ("/", 400, 100002, "MissingParameter"),
        ("/?Version=2022-08-31", 400, 100002, "MissingParameter"),
        ("/?Action=CVProcess", 400, 100002, "MissingParameter"),
        ("/?Action=CVProcess&Version=2020-08-26", 404, 100008, "InvalidActionOrVersion"),
        ("/?Action=cvprocess&Version=2022-08-31", 404, 100008, "InvalidActionOrVersion"),
        ("/?Action=CVCancelTask&Version=2024-06-06", 404, 100008, "InvalidActionOrVersion"),
        ("/v1/submit?Action=CVGetResult", 404, 100008, "InvalidActionOrVersion"),
        ("/v1/get-result?Action=CVSubmitTask", 404, 100008, "InvalidActionOrVersion"),
    ],
)
async def test_an_action_that_is_not_relayed(hasty: Client, url: str, status: int, number: int, code: str) -> None:
    """The gateway refuses it, whatever the body is."""
    check_gateway(await hasty.post(url, content=b"not json"), status, number, code)


async def test_short_paths_take_the_other_family_too(hasty: Client, api: ApiFixture) -> None:
    """The query string may name another submit."""
    answer = await hasty.post("/v1/submit?Action=CVSubmitTask", json={"req_key": "jimeng_realman_x"})

    task = await api.tasks.get(answer.json()["data"]["task_id"])
    assert task.relay is not None
    assert task.relay.action == "CVSubmitTask"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 50200), (b"[]", 50200), (b"{}", 50201), (b'{"req_key": 1}', 50204), (b'{"req_key": "\\n"}', 50402)],
)
async def test_a_bad_body_is_a_business_error(hasty: Client, api: ApiFixture, body: bytes, code: int) -> None:
    """As at the vendor; nothing is stored."""
    check_business(await hasty.post(SUBMIT, content=body), 400, code)

    assert api.audit.rows == []
    assert api.queue.history == []


async def test_a_body_that_is_too_large(hasty: Client, client: Client) -> None:
    """The vendor's limit of 10 MB holds, and MAX_BODY_BYTES where it is less."""
    check_business(await hasty.post(SUBMIT, content=b" " * (10 * 2**20 + 1)), 400, 50213)
    check_business(await client.post(SUBMIT, content=b" " * (64 * 1024 + 1)), 400, 50213)


async def test_a_number_that_is_out_of_range_passes(hasty: Client, api: ApiFixture) -> None:
    """What only the vendor can judge is not judged here, not even for the audit log."""
    answer = await hasty.post(SUBMIT, content=b'{"req_key": "jimeng_t2i_v40", "n": 1e999}')

    assert answer.status_code == 200
    (row,) = api.audit.rows
    assert row.action == Action.TASK_CREATE


async def test_a_submit_is_on_the_audit_log_and_a_query_is_not(hasty: Client, api: ApiFixture) -> None:
    """One row, written with the task, with the caller's body."""
    task_id = (await hasty.post(SUBMIT, json=BODY)).json()["data"]["task_id"]
    await hasty.post(QUERY, json={"req_key": "jimeng_t2i_v40", "task_id": task_id})
    await hasty.post("/v1/get-result", json={"req_key": "jimeng_t2i_v40", "task_id": task_id})

    (row,) = api.audit.rows
    assert (row.action, row.target, row.path) == (Action.TASK_CREATE, task_id, "/")
    assert row.detail == BODY


async def test_an_audit_log_that_cannot_be_written_refuses_the_submit(hasty: Client, api: ApiFixture) -> None:
    """Nothing is stored, and the caller reads why."""
    api.audit.works = False

    message = check_business(await hasty.post(SUBMIT, json=BODY), 500, 50500)

    assert "AUDIT_FAILED" in message
    assert api.queue.history == []


async def test_a_store_that_is_unavailable_is_an_internal_error(hasty: Client, api: ApiFixture) -> None:
    """For submits and queries; the response has no internals."""
    api.tasks.reachable = False

    for url, body in ((SUBMIT, BODY), (QUERY, {"req_key": "a", "task_id": "task_" + "0" * 32})):
        message = check_business(await hasty.post(url, json=body), 500, 50500)
        assert "memory" not in message


async def test_a_full_queue_says_when_to_come_back(api: ApiFixture) -> None:
    """The vendor's code for too many open tasks, with Retry-After."""
    limits = Settings(auth="none", upstream_max_queue=0, upstream_max_concurrent={"*": 1})
    settings = structs.replace(limits, relay_patience_s=0.01)
    async with AsyncTestClient(build_app(api.adapters(), settings)) as caller:
        await caller.post(SUBMIT, json=BODY)
        answer = await caller.post(SUBMIT, json=BODY)
        metrics = (await caller.get("/metrics")).text

    check_business(answer, 429, 50430)
    assert "queue_full" in metrics
    assert int(answer.headers["retry-after"]) > 0


async def test_a_provider_without_credentials_says_so(api: ApiFixture) -> None:
    """The operator's setting is named."""
    registry = Registry([Provider("volcengine", [Disabled([], "VOLCENGINE_ACCESS_KEY is not set")])])
    app = build_app(structs.replace(api, registry=registry).adapters(), Settings(auth="none"))
    async with AsyncTestClient(app) as caller:
        answer = await caller.post(SUBMIT, json=BODY)

    assert "VOLCENGINE_ACCESS_KEY" in check_business(answer, 500, 50500)


async def test_a_server_without_the_provider_has_no_such_capability(api: ApiFixture) -> None:
    """Its plugin may not be installed."""
    app = build_app(structs.replace(api, registry=Registry([])).adapters(), Settings(auth="none"))
    async with AsyncTestClient(app) as caller:
        check_business(await caller.post(SUBMIT, json=BODY), 400, 50402)


async def test_a_defect_of_ours_is_reported_without_its_trace(
    hasty: Client, api: ApiFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's internal error, and nothing of ours."""

    async def broken(task_id: str) -> None:
        raise ZeroDivisionError(task_id)

    monkeypatch.setattr(api.tasks, "get", broken)

    message = check_business(await hasty.post(QUERY, json={"req_key": "a", "task_id": "b"}), 500, 50500)

    assert message == "Internal Error"


async def test_an_unknown_task_is_not_found_with_status_200(hasty: Client) -> None:
    """As at the vendor."""
    answer = await hasty.post(QUERY, json={"req_key": "a", "task_id": "7392616336519610409"})

    assert (answer.status_code, answer.json()["data"]) == (200, {"status": "not_found"})


async def test_a_stored_result_is_reported_by_our_links(hasty: Client, api: ApiFixture) -> None:
    """The vendor cannot be reached, and the record knows: a link that this server serves."""
    task = a_task(
        provider="volcengine",
        model="jimeng_t2i_v40",
        state=State.COMPLETED,
        wake_at=None,
        relay=RelayCall(action="CVSync2AsyncSubmitTask", version="2022-08-31"),
        attempts=(an_attempt(operation="jimeng_t2i_v40/739", ended=NOW),),
        results=(Result(type=TaskType.IMAGE, file="task_1/1/0.png", media_type="image/png"),),
    )
    await api.stored(task)
    query = {"req_key": "jimeng_t2i_v40", "task_id": task.id, "req_json": '{"return_url": true}'}

    data = (await hasty.post(QUERY, json=query)).json()["data"]

    (url,) = data["image_urls"]
    assert url.endswith(f"/api/v1/ai/task/result/{task.id}/files/0")


def own_errors() -> list[type[PolyrelayError]]:
    """Every class that callers may see."""
    return [kind for kind in STATUSES if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", own_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_ours_has_a_shape_of_the_vendors(kind: type[PolyrelayError]) -> None:
    """Who calls is the gateway's matter, limits have the vendor's codes, the rest is an internal error."""
    error = kind.__new__(kind)
    Exception.__init__(error, "why")

    answer = answer_of(error)

    if STATUSES[kind] in {401, 403}:
        assert isinstance(answer, Gateway)
        assert GATEWAY[answer.code][0] in {400, 401, 403}
    else:
        assert isinstance(answer, Business)
        expected = 400 if issubclass(kind, errors.InvalidRequest) else 429 if STATUSES[kind] == 429 else 500
        assert answer.http_status == expected


def test_the_tables_name_codes_that_there_are() -> None:
    """No table keeps a code that is gone."""
    codes = {kind.code for kind in STATUSES}

    assert set(OF_AUTHENTICATION) | set(OF_SERVICE) <= codes
    assert set(OF_AUTHENTICATION.values()) <= set(GATEWAY)
    assert set(OF_SERVICE.values()) <= set(responses.STATUSES)


def test_internals_of_the_store_are_not_reported() -> None:
    """Such as its address."""
    answer = answer_of(StoreUnavailable("MongoDB at db.internal:27017 cannot be reached"))

    assert isinstance(answer, Business)
    assert "db.internal" not in answer.text


def test_a_wrong_signature_is_the_gateways_word() -> None:
    """With its number and status."""
    answer = answer_of(InvalidSignature("no"))

    assert answer == Gateway(code="SignatureDoesNotMatch", message="no")
    assert GATEWAY[answer.code] == (401, 100010)


async def test_a_submit_with_a_key_is_done_once(hasty: Client, api: ApiFixture) -> None:
    """The same key and body are the same task, and the answer is what became of it; another body is refused."""
    key = {"Idempotency-Key": "order-4711"}
    first = await hasty.post(SUBMIT, json=BODY, headers=key)

    again = await hasty.post(SUBMIT, json=BODY, headers=key)
    other = await hasty.post(SUBMIT, json={**BODY, "prompt": "dog"}, headers=key)

    assert first.json()["data"] == again.json()["data"]
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert "Idempotency-Key" in check_business(other, 400, 50200)
    assert (await api.tasks.page(TaskQuery())).total == 1
