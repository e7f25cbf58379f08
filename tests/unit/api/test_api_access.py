"""
Every route against every kind of caller.

The routes are those that the application has: a new one fails these tests until it has its line in `TABLE`.
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx
import pytest
from msgspec import Struct

from api.app import build_app
from core.attempts import Failure
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import TaskType
from services.access.api_keys import KeyOrder
from tests.contracts.access import a_user
from tests.unit.api.api_fixture import GOOD, ApiFixture, a_task, new_api_fixture
from tests.unit.api.callers import ASKING, OWNER, Callers, Client, Who, api_keys_of, asking, callers_of


class Row(Struct, frozen=True, kw_only=True):
    """
    What a route answers to whom.

    Attributes:
        statuses: To the task's own app, another app, an operator, an admin. Callers without a valid key get 401.
        public: Everybody gets the first of them, with or without a key.
        state: Of the task that there is.
        json: The body.
        query: Behind the path.
    """

    statuses: tuple[int, int, int, int]
    public: bool = False
    state: State = State.COMPLETED
    json: Mapping[str, Any] | None = None
    query: str = ""

    def expected(self, who: Who) -> int:
        """The status for that caller."""
        if who in {Who.NOBODY, Who.STRANGER}:
            return self.statuses[0] if self.public else 401
        return self.statuses[(Who.APP, Who.OTHER, Who.OPERATOR, Who.ADMIN).index(who)]


def row(app: int, other: int, operator: int, admin: int, **fields: Any) -> Row:
    """A route that asks for a key."""
    return Row(statuses=(app, other, operator, admin), **fields)


def everybody(status: int = 200) -> Row:
    """A route that asks for none."""
    return Row(statuses=(status,) * 4, public=True)


IMAGE: Final = dict(GOOD)
VIDEO: Final = {**GOOD, "model": "filmer"}
TEXT: Final = {**GOOD, "model": "writer"}

TABLE: Final[Mapping[str, Row]] = {
    "POST /api/v1/ai/image/task": row(201, 201, 201, 201, json=IMAGE),
    "POST /api/v1/ai/video/task": row(201, 201, 201, 201, json=VIDEO),
    "POST /api/v1/ai/text/task": row(201, 201, 201, 201, json=TEXT),
    "GET /api/v1/ai/task/result/{task_id}": row(200, 404, 200, 200),
    "GET /api/v1/ai/task/result/{task_id}/files/{index}": row(200, 404, 200, 200),
    "POST /api/v1/ai/task/{task_id}/cancel": row(200, 404, 200, 200, state=State.PENDING),
    "POST /api/v1/ai/task/{task_id}/retry": row(200, 404, 200, 200, state=State.FAILED),
    "DELETE /api/v1/ai/task/{task_id}": row(200, 404, 200, 200),
    "GET /api/v1/ai/tasks": row(200, 200, 200, 200),
    "GET /api/v1/ai/models": row(200, 200, 200, 200),
    "GET /api/v1/ai/providers": row(200, 200, 200, 200),
    "POST /api/v1/admin/providers/{name}/enable": row(403, 403, 200, 200),
    "POST /api/v1/admin/providers/{name}/drain": row(403, 403, 200, 200),
    "POST /api/v1/admin/providers/{name}/disable": row(403, 403, 200, 200),
    "POST /api/v1/admin/providers/reload": row(403, 403, 202, 202),
    "GET /api/v1/admin/processes": row(403, 403, 200, 200),
    "GET /api/v1/admin/keys": row(403, 403, 403, 200),
    "POST /api/v1/admin/keys": row(403, 403, 403, 201, json={}),
    "GET /api/v1/admin/keys/{key_id}": row(403, 403, 403, 200),
    "POST /api/v1/admin/keys/{key_id}/revoke": row(403, 403, 403, 200),
    "POST /api/v1/admin/keys/{key_id}/rotate": row(403, 403, 403, 201),
    "GET /api/v1/users": row(403, 403, 200, 200),
    "POST /api/v1/users": row(403, 403, 201, 201, json={"email": "new@example.com", "name": "Ada"}),
    "GET /api/v1/users/{user_id}": row(403, 403, 200, 200),
    "PUT /api/v1/users/{user_id}": row(403, 403, 200, 200, json={"name": "Grace"}),
    "DELETE /api/v1/users/{user_id}": row(403, 403, 200, 200),
    "GET /api/v1/audit": row(403, 403, 403, 200),
    "POST /": row(400, 400, 400, 400),
    "POST /v1/submit": row(400, 400, 400, 400),
    "POST /v1/get-result": row(400, 400, 400, 400),
    "GET /health": everybody(),
    "GET /ready": everybody(),
    "GET /metrics": everybody(),
    "GET /docs": everybody(),
    "GET /docs/openapi.json": everybody(),
    "GET /docs/assets/{name}": everybody(),
}


def served() -> dict[str, set[str]]:
    """The application's routes as the table names them, and the methods of each."""
    app = build_app(new_api_fixture().adapters(), ASKING)
    return {re.sub(r":\w+", "", route.path): set(getattr(route, "methods", ())) for route in app.routes}


ROUTES: Final = sorted(
    f"{method} {path}" for path, methods in served().items() for method in methods if method != "OPTIONS"
)


@pytest.fixture
async def callers(api: ApiFixture) -> Callers:
    """A key for each kind of caller."""
    return await callers_of(api)


@pytest.fixture
async def client(api: ApiFixture) -> AsyncIterator[Client]:
    """A server that asks who calls."""
    async with asking(api) as caller:
        yield caller


async def a_stored_task(api: ApiFixture, state: State = State.COMPLETED) -> Task:
    """A task of the app's owner, with a file where it is completed."""
    task = a_task(owner=OWNER, state=state)
    if state is State.COMPLETED:
        name = f"{task.id}/1/0.png"
        await api.results.put(name, b"picture")
        result = Result(type=TaskType.IMAGE, file=name, media_type="image/png", size_bytes=7)
        task = a_task(id=task.id, owner=OWNER, state=state, results=(result,), wake_at=None)
    if state is State.FAILED:
        task = a_task(id=task.id, owner=OWNER, state=state, failure=Failure(code="overloaded", message=""))
    return await api.stored(task)


def _headers(response: httpx.Response) -> dict[str, str]:
    """Without what counts requests."""
    return {name: value for name, value in response.headers.items() if not name.startswith("ratelimit-")}


def path_of(route: str, **values: object) -> str:
    """The path of a route, with values for what it leaves open."""
    names = {"name": "swagger_style.css" if "/docs/" in route else "lab", "index": 0, **values}
    return route.partition(" ")[2].format(**names)


def test_every_route_has_its_row() -> None:
    """Every route has a row in the table, and every row a route."""
    assert sorted(TABLE) == ROUTES


@pytest.mark.parametrize("who", Who)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_route_answers_a_caller_as_the_table_says(
    client: Client, api: ApiFixture, callers: Callers, route: str, who: Who
) -> None:
    """Callers without a valid key get 401, callers without the role 403; another owner's task is 404."""
    expected = TABLE[route]
    task = await a_stored_task(api, expected.state)
    user = a_user("ada@example.com")
    await api.users.add(user)
    key_id = (await api_keys_of(api).create(KeyOrder())).key.id

    response = await client.request(
        route.partition(" ")[0],
        path_of(route, task_id=task.id, user_id=user.id, key_id=key_id) + expected.query,
        headers=callers.headers(who),
        json=expected.json,
    )

    assert response.status_code == expected.expected(who), response.text
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)


@pytest.mark.parametrize("route", [route for route in ROUTES if "{task_id}" in route])
async def test_another_owners_task_looks_like_an_unknown_one(
    client: Client, api: ApiFixture, callers: Callers, route: str
) -> None:
    """Same status, body and headers: the response does not reveal that the task exists."""
    task = await a_stored_task(api, TABLE[route].state)
    unknown = a_task()
    answers = [
        await client.request(
            route.partition(" ")[0],
            path_of(route, task_id=task_id),
            headers={**callers.headers(Who.OTHER), "X-Request-Id": "same"},
        )
        for task_id in (task.id, unknown.id)
    ]

    theirs, none = ((each.status_code, each.text, _headers(each)) for each in answers)
    assert theirs[0] == none[0] == 404
    assert theirs[1].replace(task.id, unknown.id) == none[1]
    assert theirs[2] == none[2]
    assert (await api.tasks.get(task.id)).state is TABLE[route].state


async def test_an_app_lists_only_what_is_its_own(client: Client, api: ApiFixture, callers: Callers) -> None:
    """The number of the other owners' tasks is hidden, too; operators see all."""
    own = await a_stored_task(api)
    await api.stored(a_task(owner="somebody"))
    await api.stored(a_task())

    totals = {}
    for who in (Who.APP, Who.OTHER, Who.OPERATOR):
        data = (await client.get("/api/v1/ai/tasks", headers=callers.headers(who))).json()["data"]
        totals[who] = (data["total"], [task["task_id"] for task in data["tasks"]])
    assert totals[Who.APP] == (1, [own.id])
    assert totals[Who.OTHER] == (0, [])
    assert totals[Who.OPERATOR][0] == 3


async def test_a_task_belongs_to_the_owner_of_its_key(client: Client, api: ApiFixture, callers: Callers) -> None:
    """The task stores the key, for limits and the audit log."""
    response = await client.post("/api/v1/ai/image/task", json=IMAGE, headers=callers.headers(Who.APP))

    task = await api.tasks.get(response.json()["data"]["task_id"])
    assert (task.owner, task.key_id, task.replay) == (OWNER, callers.keys[Who.APP].key.id, None)


@pytest.mark.parametrize("path", sorted(served()))
async def test_which_methods_a_path_takes_is_no_secret(client: Client, path: str) -> None:
    """OPTIONS is answered as the documentation would."""
    response = await client.options(path_of(f"OPTIONS {path}", task_id=a_task().id, user_id="u", key_id="k"))

    assert response.status_code == 204
    assert set(response.headers["allow"].split(", ")) <= served()[path]


async def test_an_unknown_path_is_a_404_for_every_caller(client: Client) -> None:
    """A path without a route is a 404 for every caller."""
    assert (await client.get("/api/v1/nothing")).status_code == 404
    assert (await client.put("/api/v1/ai/tasks")).status_code == 405


async def test_the_description_says_who_may_call_what(client: Client) -> None:
    """A route that asks for no key says so, a file may be fetched by its link, and the others answer 401."""
    document = (await client.get("/docs/openapi.json")).json()

    assert document["security"] == [{"bearer": []}, {"signature": []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            line = TABLE[f"{method.upper()} {path}"]
            assert (operation.get("security") == []) == line.public, path
            assert ({"link": []} in operation.get("security", [])) == path.endswith("/files/{index}")
            assert ("401" in operation["responses"]) == (not line.public), path
            assert "403" in operation["responses"] or 403 not in line.statuses, path
