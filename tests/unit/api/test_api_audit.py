"""Requests on the audit log, and its list."""

from datetime import datetime
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from api.route_policy import policy_of
from api.routes.audit import AuditListQuery, AuditRowView
from core.audit import Action, AuditRow, Outcome
from core.callers import Role
from core.priorities import Priority
from core.setting_parsers import networks
from core.settings import Settings
from core.task_states import Status
from polyrelay import Secret
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture, a_task

Client = AsyncTestClient[Litestar]
AUDIT = "/api/v1/audit"


def only_row(api: ApiFixture) -> AuditRow:
    """The one row that there is."""
    (row,) = api.audit.rows
    return row


async def test_a_create_leaves_one_row(client: Client, api: ApiFixture) -> None:
    """Who, what, when, from where, request id, outcome, latency and the body; written once, with the task."""
    answer = await client.post("/api/v1/ai/image/task", json=GOOD, headers={"X-Request-Id": "r-1"})

    row = only_row(api)
    assert (row.action, row.outcome, row.status, row.at) == (Action.TASK_CREATE, Outcome.DONE, 201, NOW)
    assert row.target == answer.json()["data"]["task_id"]
    assert (row.provider, row.model) == ("lab", "painter")
    assert (row.method, row.path, row.request_id) == ("POST", "/api/v1/ai/image/task", "r-1")
    assert row.source == "testclient"
    assert row.detail == GOOD
    assert row.duration_ms is not None


async def test_a_create_that_is_refused_leaves_none(client: Client, api: ApiFixture) -> None:
    """Nothing was changed, and invalid requests cannot fill the log."""
    assert (await client.post("/api/v1/ai/image/task", json={**GOOD, "nonsense": 1})).status_code == 422
    assert api.audit.rows == []


class BrokenQueue(MemoryWakeQueue):
    """A queue with a defect."""

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """Break."""
        raise RuntimeError(f"cannot wake {task_id} at {at} as {priority}")


async def test_a_create_that_fails_behind_its_row_is_amended(api: ApiFixture) -> None:
    """A row that was written in advance does not stay `done` where the answer is another."""
    app = build_app(structs.replace(api, queue=BrokenQueue()).adapters(), Settings(auth="none"))
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.post("/api/v1/ai/image/task", json=GOOD)).status_code == 500

    row = only_row(api)
    assert (row.outcome, row.status, row.error) == (Outcome.FAILED, 500, "internal_error")


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("POST", "/api/v1/ai/task/{task}/cancel", Action.TASK_CANCEL),
        ("DELETE", "/api/v1/ai/task/{task}", Action.TASK_DELETE),
        ("POST", "/api/v1/admin/providers/lab/drain", Action.PROVIDER_DRAIN),
        ("POST", "/api/v1/admin/providers/reload", Action.PLUGINS_RELOAD),
    ],
)
async def test_what_changes_something_leaves_a_row(
    client: Client, api: ApiFixture, method: str, path: str, action: Action
) -> None:
    """With the thing that was changed, the status of the answer and how long it took."""
    task = await api.stored(a_task())
    path = path.format(task=task.id)
    answer = await client.request(method, path)

    row = only_row(api)
    assert (row.action, row.outcome, row.status) == (action, Outcome.DONE, answer.status_code)
    assert row.target == {"drain": "lab", "reload": None}.get(path.rpartition("/")[2], task.id)
    assert row.duration_ms is not None
    assert row.detail is None


async def test_what_is_refused_says_so(client: Client, api: ApiFixture) -> None:
    """The status, and our code of what went wrong."""
    await client.post("/api/v1/ai/task/task_00/retry")

    row = only_row(api)
    assert (row.action, row.target, row.outcome) == (Action.TASK_RETRY, "task_00", Outcome.REFUSED)
    assert (row.status, row.error) == (404, "task_not_found")


async def test_what_only_reads_leaves_no_row(client: Client, api: ApiFixture) -> None:
    """Nor does a path that leads nowhere."""
    await client.get("/api/v1/ai/tasks")
    await client.get(AUDIT)
    await client.post("/nowhere")
    await client.options("/api/v1/ai/tasks")
    assert api.audit.rows == []


@pytest.mark.parametrize("path", ["/api/v1/ai/image/task", "/api/v1/ai/task/{task}/cancel"])
async def test_nothing_is_done_without_its_audit_row(client: Client, api: ApiFixture, path: str) -> None:
    """Where the row is refused, the answer is 500 AUDIT_FAILED, and nothing was changed or woken."""
    task = await api.stored(a_task())
    api.audit.works = False

    answer = await client.post(path.format(task=task.id), json=GOOD)

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "AUDIT_FAILED")
    assert (await api.tasks.get(task.id)).status is Status.PENDING
    assert (await client.get("/api/v1/ai/tasks")).json()["data"]["total"] == 1
    assert api.queue.history == []


async def test_a_log_that_is_unavailable_is_reported_as_such(client: Client, api: ApiFixture) -> None:
    """As any other dependency that may come back: 503, with when to try again."""
    task = await api.stored(a_task())
    api.audit.reachable = False

    answer = await client.post(f"/api/v1/ai/task/{task.id}/cancel")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert "retry-after" in answer.headers
    assert (await api.tasks.get(task.id)).status is Status.PENDING


async def test_a_body_that_does_not_decode_is_on_record_without_it(client: Client, api: ApiFixture) -> None:
    """The handler refuses it behind the row."""
    answer = await client.post("/api/v1/admin/providers/lab/drain", content=b"{")

    assert answer.status_code == 400
    assert (only_row(api).outcome, only_row(api).detail) == (Outcome.REFUSED, None)


async def test_secrets_stay_out(api: ApiFixture) -> None:
    """What looks like one, and what this process knows to be one."""
    known = "00000000-1111-2222-3333-444444444444"
    app = build_app(api.adapters(), Settings(auth="none", ark_api_key=Secret(known)))
    prompt = f"a fox with {known}, sk-abcdefgh12345678 and https://host/x?sign=abc"
    async with AsyncTestClient(app) as client:
        await client.post("/api/v1/ai/image/task", json={**GOOD, "prompt": prompt, "metadata": {"token": "abc"}})

    detail = only_row(api).detail or {}
    assert detail["prompt"] == "a fox with ***, sk-*** and https://host/x?…"
    assert detail["metadata"] == {"token": "***"}


@pytest.mark.parametrize(("proxies", "source"), [("10.0.0.0/8", "203.0.113.9"), ("10.9.9.9", "10.0.0.1")])
async def test_the_address_behind_a_trusted_proxy_counts(api: ApiFixture, proxies: str, source: str) -> None:
    """`TRUSTED_PROXIES` says whose X-Forwarded-For is believed."""
    app = build_app(api.adapters(), Settings(auth="none", trusted_proxies=networks(proxies)))
    transport = httpx.ASGITransport(cast(Any, app), client=("10.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        await client.post("/api/v1/ai/image/task", json=GOOD, headers={"X-Forwarded-For": "1.1.1.1, 203.0.113.9"})

    assert only_row(api).source == source


async def test_the_list_shows_rows_newest_first_in_each_field(client: Client, api: ApiFixture) -> None:
    """Every field is there; the next page begins where this one ends."""
    first = (await client.post("/api/v1/ai/image/task", json=GOOD)).json()["data"]["task_id"]
    await client.post(f"/api/v1/ai/task/{first}/cancel")

    page = (await client.get(AUDIT, params={"limit": 1})).json()["data"]
    rest = (await client.get(AUDIT, params={"limit": 5, "after": page["next_after"]})).json()["data"]
    shown = [*page["rows"], *rest["rows"]]
    assert len(shown) == 2
    assert shown == sorted(shown, key=lambda row: row["id"], reverse=True)
    assert {tuple(row) for row in shown} == {AuditRowView.__struct_fields__}
    assert (len(page["rows"]), rest["next_after"]) == (1, None)


async def test_the_list_is_searched(client: Client) -> None:
    """By each field; times are a range."""
    task = (await client.post("/api/v1/ai/image/task", json=GOOD)).json()["data"]["task_id"]
    await client.post("/api/v1/admin/providers/lab/drain", headers={"X-Request-Id": "r-9"})

    async def actions(**filters: str) -> list[str]:
        answer = await client.get(AUDIT, params=filters)
        assert answer.status_code == 200, answer.text
        return [row["action"] for row in answer.json()["data"]["rows"]]

    assert await actions(target=task) == ["task.create"]
    assert await actions(request_id="r-9", outcome="done") == ["provider.drain"]
    assert await actions(action="task.create", provider="lab") == ["task.create"]
    assert await actions(since="2026-01-31T12:00:00Z", until="2026-01-31T12:00:01Z", action="task.create") != []
    assert await actions(until="2026-01-31T12:00:00+00:00") == []
    assert await actions(owner="nobody") == []
    assert await actions(key_id="nobody") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "yesterday"), ("since", "2026-01-31T12:00:00"), ("action", "x"), ("limit", "501"), ("after", "x")],
)
async def test_a_wrong_filter_is_named(client: Client, name: str, value: str) -> None:
    """With what is allowed; a time without its zone is none."""
    answer = await client.get(AUDIT, params={name: value})

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["error"]["details"]] == [name]


def test_every_route_that_may_change_something_says_what_it_does(api: ApiFixture) -> None:
    """A new route cannot be forgotten: it states an action, or that it changes nothing."""
    app = build_app(api.adapters(), Settings(auth="none"))
    silent = [
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method not in {"GET", "HEAD", "OPTIONS"} and policy_of(handler).audit is Action.OTHER
    ]
    assert silent == []


def test_the_list_is_for_admins(api: ApiFixture) -> None:
    """Its policy requires the role admin."""
    app = build_app(api.adapters(), Settings(auth="none"))
    (route,) = [route for route in app.routes if route.path == AUDIT]
    assert isinstance(route, HTTPRoute)
    (handler,) = [handler for handler in route.route_handlers if "GET" in handler.http_methods]
    assert policy_of(handler).access is Role.ADMIN
    assert set(AuditListQuery.__struct_fields__) >= {"since", "until", "target"}
