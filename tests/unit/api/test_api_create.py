"""Creating tasks."""

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.app import build_app
from core.settings import Settings
from core.task_states import State
from polyrelay import TaskType
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture

Client = AsyncTestClient[Litestar]


async def refused(client: Client, body: Any, *, path: str = "image") -> dict[str, Any]:
    """The problems of a refused body, by field."""
    response = await client.post(f"/api/v1/ai/{path}/task", json=body)
    assert response.status_code == 422, response.text
    return {problem["field"]: problem for problem in response.json()["error"]["details"]}


@pytest.mark.parametrize(("kind", "model"), [("image", "painter"), ("video", "filmer"), ("text", "writer")])
async def test_a_created_task_is_answered_with_its_id_and_its_place(client: Client, kind: str, model: str) -> None:
    """A create answers 201, the envelope with the task's id, and Location leads to the task."""
    response = await client.post(f"/api/v1/ai/{kind}/task", json={**GOOD, "model": model})

    assert response.status_code == 201
    answer = response.json()
    task_id = answer["data"]["task_id"]
    assert answer["success"] is True
    assert answer["message"]
    assert answer["data"] == {
        "task_id": task_id,
        "type": kind,
        "status": "pending",
        "provider": "lab",
        "model": model,
    }
    assert response.headers["location"] == f"/api/v1/ai/task/result/{task_id}"
    assert (await client.get(response.headers["location"])).json()["data"]["task_id"] == task_id


async def test_a_created_task_is_stored_and_a_worker_woken(client: Client, api: ApiFixture) -> None:
    """The stored task has its deadline, its metadata and the checked params without unset ones; one wake is sent."""
    body = {**GOOD, "seed": 7, "size": None, "deadline_s": 90.5, "metadata": {"order": 1, "x": None}}
    task_id = (await client.post("/api/v1/ai/image/task", json=body)).json()["data"]["task_id"]

    task = await api.tasks.get(task_id)
    assert (task.state, task.type, task.user_id) == (State.PENDING, TaskType.IMAGE, "ada")
    assert task.created == task.wake_at == NOW
    assert task.deadline == NOW + timedelta(seconds=90.5)
    assert task.metadata == {"order": 1, "x": None}
    assert await api.tasks.get_input(task_id) == {"prompt": "a fox", "seed": 7}
    assert [(wake.task_id, wake.at) for wake in api.queue.history] == [(task_id, NOW)]


async def test_the_models_limit_is_the_deadline_where_none_is_given(client: Client, api: ApiFixture) -> None:
    """Without `deadline_s` a task ends within the model's `timeout_s`."""
    task_id = (await client.post("/api/v1/ai/image/task", json=GOOD)).json()["data"]["task_id"]

    assert (await api.tasks.get(task_id)).deadline == NOW + timedelta(seconds=120)


async def test_every_wrong_field_is_named_at_once(client: Client) -> None:
    """A body with several mistakes gets all of them, each with what came and what is allowed."""
    body = {**GOOD, "user_id": "", "size": "3x3", "seed": -5, "image_urls": ["https://x", "ftp://y", 4], "siez": 1}

    problems = await refused(client, body)

    assert set(problems) == {"user_id", "size", "seed", "image_urls[1]", "image_urls[2]", "siez"}
    assert "512x512" in problems["size"]["message"]
    assert problems["size"]["value"] == "3x3"
    assert "from -1 to 2147483647" in problems["seed"]["message"]
    assert problems["image_urls[1]"]["value"] == "ftp://y"
    assert "Did you mean size?" in problems["siez"]["message"]
    assert "1 to 128 characters" in problems["user_id"]["message"]


@pytest.mark.parametrize("field", ["provider", "model", "user_id", "prompt"])
async def test_nothing_required_has_a_default(client: Client, field: str) -> None:
    """`provider`, `model`, `user_id` and the model's `prompt` must be given; null is not given."""
    missing = {name: value for name, value in GOOD.items() if name != field}

    assert "Required" in (await refused(client, missing))[field]["message"]
    assert "Required" in (await refused(client, {**GOOD, field: None}))[field]["message"]


async def test_a_misspelt_common_field_gets_a_hint(client: Client) -> None:
    """An unknown name is compared with the fields of every task, too."""
    problems = await refused(client, {**GOOD, "userid": "ada"})

    assert "Did you mean user_id?" in problems["userid"]["message"]


@pytest.mark.parametrize("field", ["webhook", "callback_url"])
async def test_what_is_not_offered_is_an_unknown_field(client: Client, field: str) -> None:
    """Fields that no model takes are refused rather than ignored."""
    assert field in await refused(client, {**GOOD, field: "low"})


async def test_an_unknown_provider_is_reported_which_there_are(client: Client) -> None:
    """An unknown provider is a 422 of its own code that lists the providers, beside the other problems."""
    response = await client.post("/api/v1/ai/image/task", json={**GOOD, "provider": "lap", "user_id": 3})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "unknown_provider")
    assert {problem["field"] for problem in error["details"]} == {"provider", "user_id"}
    assert "lab, shed" in error["details"][0]["message"]


async def test_an_unknown_model_is_reported_which_there_are(client: Client) -> None:
    """An unknown model is a 422 of its own code that lists the provider's models."""
    response = await client.post("/api/v1/ai/image/task", json={**GOOD, "model": "pointer"})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "unknown_model")
    assert "painter" in error["details"][0]["message"]
    assert error["details"][0]["value"] == "pointer"


async def test_a_model_of_another_type_is_refused(client: Client) -> None:
    """A video model takes no image task; the answer says what it makes."""
    problems = await refused(client, {**GOOD, "model": "filmer"})

    assert "makes video, not image" in problems["model"]["message"]


async def test_a_provider_without_credentials_takes_no_tasks(client: Client, api: ApiFixture) -> None:
    """A model whose provider has no credentials is a 503 that names the missing setting; nothing is stored."""
    response = await client.post("/api/v1/ai/image/task", json={**GOOD, "provider": "shed", "model": "sculptor"})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "provider_unavailable")
    assert "SHED_KEY" in error["message"]
    assert api.queue.history == []


async def test_a_rule_across_fields_reaches_the_caller(client: Client) -> None:
    """An error across fields is reported with the first field that the rule names."""
    problems = await refused(client, {**GOOD, "size": "512x512", "image_urls": ["https://x"]})

    assert problems["size"]["message"] == "size goes only without image_urls."


async def test_a_nested_field_is_named_by_its_path(client: Client) -> None:
    """Fields inside of lists are named such as `messages[1].role`; a null inside counts as unset."""
    messages = [{"role": "user", "content": "hi", "name": None}, {"role": "robot", "content": "hi"}, {"role": "user"}]

    problems = await refused(client, {**GOOD, "model": "writer", "messages": messages}, path="text")

    assert set(problems) == {"messages[1].role", "messages[2].content"}
    assert "system, user" in problems["messages[1].role"]["message"]


@pytest.mark.parametrize("deadline", [0, 0.5, 7 * 86400 + 1, "60", True])
async def test_a_deadline_is_between_a_second_and_a_week(client: Client, deadline: Any) -> None:
    """`deadline_s` is a number from 1 to 604800."""
    assert "from 1 to 604800" in (await refused(client, {**GOOD, "deadline_s": deadline}))["deadline_s"]["message"]


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"a": {"b": 1}}, "metadata"),
        ({"a": "x" * 17_000}, "metadata"),
        ({"a": 2**70}, "metadata.a"),
        ({"a\0b": 1}, "metadata.a\0b"),
        ([1], "metadata"),
        ("text", "metadata"),
    ],
)
async def test_metadata_is_a_small_flat_object(client: Client, metadata: Any, field: str) -> None:
    """Metadata may not be nested, larger than 16 KiB, or what no record can hold."""
    problems = await refused(client, {**GOOD, "metadata": metadata})

    assert any(name.startswith(field) for name in problems)


@pytest.mark.parametrize("extra", [{"a": 2**64}, {"a": [{"b": -(2**63) - 1}]}, {"a\0": 1}])
async def test_params_that_no_record_can_hold_are_refused(client: Client, extra: Any) -> None:
    """Numbers beyond 64 bits and names with NUL are the caller's mistake, not a failure of the store."""
    assert any(name.startswith("extra") for name in await refused(client, {**GOOD, "extra": extra}))


async def test_deeply_nested_params_are_refused(client: Client) -> None:
    """Nesting has a limit."""
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep}

    assert any("nesting" in problem["message"] for problem in (await refused(client, {**GOOD, "extra": deep})).values())


async def test_long_values_are_not_echoed(client: Client) -> None:
    """What came is shown in at most 200 characters; base64 is recognized and cut shorter."""
    long, base64 = "a fox. " * 1000, "QUJD" * 5000

    problems = await refused(client, {**GOOD, "prompt": long, "size": base64})

    assert len(problems["prompt"]["value"]) <= 200
    assert len(problems["size"]["value"]) < 80
    assert "base64" in problems["size"]["value"]


async def test_only_the_prompts_beginning_is_kept_for_lists(client: Client, api: ApiFixture) -> None:
    """The record has the prompt's first 500 characters, the input all of it."""
    response = await client.post("/api/v1/ai/image/task", json={**GOOD, "prompt": "é" * 800})

    task_id = response.json()["data"]["task_id"]
    assert (await api.tasks.get(task_id)).prompt == "é" * 500
    assert (await api.tasks.get_input(task_id))["prompt"] == "é" * 800


async def test_a_lost_wake_does_not_lose_the_task(client: Client, api: ApiFixture) -> None:
    """Where the queue cannot be reached the task is stored and accepted: the reconciler finds it."""
    api.queue.reachable = False

    response = await client.post("/api/v1/ai/image/task", json=GOOD)

    assert response.status_code == 201
    assert (await api.tasks.get(response.json()["data"]["task_id"])).wake_at == NOW


async def test_without_a_store_nothing_is_queued(client: Client, api: ApiFixture) -> None:
    """Where the store cannot be reached the caller gets 503 with Retry-After, and no worker is woken."""
    api.tasks.reachable = False

    response = await client.post("/api/v1/ai/image/task", json=GOOD)

    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert api.queue.history == []


async def test_a_task_shows_its_priority_and_its_fallbacks(client: Client) -> None:
    """What was created is what is read."""
    fallback = {"provider": "shed", "model": "sculptor", "params": {"size": "512x512", "seed": None}}
    body = {**GOOD, "seed": 7, "priority": "critical", "fallbacks": [fallback]}

    created = await client.post("/api/v1/ai/image/task", json=body)

    shown = (await client.get(created.headers["location"])).json()["data"]
    assert (shown["priority"], shown["fallbacks"], shown["served_by"]) == ("critical", [fallback], None)


async def test_what_is_wrong_with_a_fallback_is_named_by_its_place(client: Client) -> None:
    """In the one answer that names everything."""
    wrong = {"provider": "shed", "model": "sculptor", "params": {"size": "3x3"}}

    problems = await refused(client, {**GOOD, "priority": "urgent"})
    assert "critical, default, low" in problems["priority"]["message"]
    problems = await refused(client, {**GOOD, "fallbacks": [wrong, {"provider": "lab", "model": "painter"}]})
    assert set(problems) == {"fallbacks[0].size", "fallbacks[1]"}
    assert problems["fallbacks[0].size"]["value"] == "3x3"


async def test_beyond_the_queue_limit_a_create_is_a_429(api: ApiFixture) -> None:
    """429 with Retry-After, and nothing is stored."""
    app = build_app(api.adapters(), Settings(auth="none", upstream_max_queue=1))
    async with AsyncTestClient(app) as client:
        assert (await client.post("/api/v1/ai/image/task", json=GOOD)).status_code == 201

        response = await client.post("/api/v1/ai/image/task", json=GOOD)

        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
        assert int(response.headers["retry-after"]) > 0
        assert (await client.get("/api/v1/ai/tasks")).json()["data"]["total"] == 1
