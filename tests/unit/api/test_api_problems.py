"""What goes wrong before a task is looked at."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.problems import STATUSES
from core import errors
from tests.unit.api.api_fixture import GOOD, ApiFixture, a_task

Client = AsyncTestClient[Litestar]
CREATE = "/api/v1/ai/image/task"
JSON = {"Content-Type": "application/json"}


def assert_problem(response: object, status: int, code: str) -> None:
    """The answer has that status and code, in the envelope."""
    answer = response.json()  # type: ignore[attr-defined]
    assert response.status_code == status, answer  # type: ignore[attr-defined]
    assert set(answer) == {"success", "data", "message", "error"}
    assert (answer["success"], answer["data"]) == (False, None)
    assert set(answer["error"]) == {"code", "message", "details", "request_id"}
    assert answer["error"]["code"] == code
    assert answer["error"]["message"] == answer["message"] != ""
    assert answer["error"]["request_id"] == response.headers["x-request-id"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"prompt": "\xff"}',
        b'{"a": 1e999}',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"[" * 5000 + b"]" * 5000,
    ],
)
async def test_malformed_json_is_a_400(client: Client, body: bytes) -> None:
    """A body that cannot be decoded is a 400, whatever is wrong with it."""
    assert_problem(await client.post(CREATE, content=body, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
async def test_json_that_is_no_object_is_a_422(client: Client, body: bytes) -> None:
    """Good JSON of another kind is refused."""
    assert_problem(await client.post(CREATE, content=body, headers=JSON), 422, "invalid_request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_another_content_type_is_a_415(client: Client, content_type: str) -> None:
    """A body that is declared as something else is refused unread."""
    response = await client.post(CREATE, content=b"{}", headers={"Content-Type": content_type})

    assert_problem(response, 415, "unsupported_media_type")
    assert "application/json" in response.json()["message"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])
async def test_json_by_any_name_is_taken(client: Client, content_type: str) -> None:
    """Parameters, case and suffixes of the content type do not matter."""
    body = b'{"provider":"lab","model":"painter","user_id":"ada","prompt":"a fox"}'

    assert (await client.post(CREATE, content=body, headers={"Content-Type": content_type})).status_code == 201


async def test_an_oversize_body_is_a_413(client: Client, api: ApiFixture) -> None:
    """A body over MAX_BODY_BYTES is refused, with the limit named; nothing is stored."""
    response = await client.post(CREATE, json={**GOOD, "prompt": "x" * 70_000})

    assert_problem(response, 413, "body_too_large")
    assert "65536" in response.json()["message"]
    assert api.queue.history == []


async def test_an_unknown_route_is_a_404(client: Client) -> None:
    """A path without a route is a 404 in the envelope."""
    assert_problem(await client.get("/api/v1/ai/nothing"), 404, "route_not_found")
    assert_problem(await client.post("/api/v1/ai/task/x/pause"), 404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", CREATE), ("GET", CREATE), ("POST", "/api/v1/ai/tasks"), ("PATCH", "/health")]
)
async def test_another_method_is_a_405(client: Client, method: str, path: str) -> None:
    """A path that exists does not take every method; the answer says which it does take."""
    response = await client.request(method, path)

    assert_problem(response, 405, "method_not_allowed")
    assert method not in response.headers["allow"].split(", ")
    assert response.headers["allow"]


async def test_an_unreachable_store_is_a_503_everywhere(client: Client, api: ApiFixture) -> None:
    """Reading, listing and deleting are a 503 with Retry-After, without the store's address."""
    task = await api.stored(a_task())
    api.tasks.reachable = False
    for method, path in (
        ("GET", f"/api/v1/ai/task/result/{task.id}"),
        ("GET", f"/api/v1/ai/task/result/{task.id}/files/0"),
        ("GET", "/api/v1/ai/tasks"),
        ("DELETE", f"/api/v1/ai/task/{task.id}"),
    ):
        response = await client.request(method, path)
        assert_problem(response, 503, "store_unavailable")
        assert response.headers["retry-after"] == "5"
        assert "memory" not in response.text


async def test_a_defect_is_a_500_without_its_text(
    client: Client, api: ApiFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen exception is a 500 without internals; the request id leads to the log."""

    async def broken(_: str) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(api.tasks, "get", broken)
    response = await client.get(f"/api/v1/ai/task/result/{a_task().id}")

    assert_problem(response, 500, "internal_error")
    assert "hunter2" not in response.text


def test_every_error_that_callers_cause_has_its_status() -> None:
    """Errors without a status are defects of the server, such as a duplicate id."""
    own = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PolyrelayError)}

    assert own - set(STATUSES) == {
        errors.PolyrelayError,
        errors.ConfigurationError,
        errors.DuplicateTask,
        errors.IdempotencyKeyTaken,
        errors.DuplicateKey,
        errors.TaskTooLarge,
        errors.ComeBackLater,
    }


async def test_a_secret_is_not_handed_back(client: Client) -> None:
    """Not even to whom sent it, by its name or by its looks, in a field, in its name, or in a path."""
    key = "sk_abcdefghijklmnop"
    body = {"prompt": {"token": "hidden-value"}, "api_key": "hidden-value", key: f"Bearer {key}", "model": key}
    answers = [
        (await client.post("/api/v1/ai/image/task", json={**GOOD, **body})).text,
        (await client.post("/api/v1/ai/image/task", json={**GOOD, "prompt": {"token": "hidden-value"}, key: key})).text,
        (await client.get(f"/nowhere/{key}")).text,
        (await client.get(f"/api/v1/ai/task/result/{key}")).text,
    ]

    assert "***" in answers[0]
    for text in answers:
        assert key not in text
        assert "hidden-value" not in text


async def test_a_wrong_number_is_handed_back(client: Client) -> None:
    """A count of tokens is no secret."""
    answer = await client.post("/api/v1/ai/text/task", json={**GOOD, "model": "writer", "max_tokens": "many"})

    assert [detail["value"] for detail in answer.json()["error"]["details"]] == ["many"]
