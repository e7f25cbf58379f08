"""Reading and listing tasks."""

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.app import build_app
from core.attempts import Failure
from core.settings import Settings
from core.task_states import State
from core.tasks import Result
from polyrelay import TaskType
from tests.unit.api.api_fixture import NOW, ApiFixture, a_task, an_attempt, completed, failed

Client = AsyncTestClient[Litestar]

PICTURE = Result(
    type=TaskType.IMAGE, file="task_x/1/0.png", url="https://v/0.png", media_type="image/png", size_bytes=3
)
LINKED = Result(
    type=TaskType.VIDEO, url="https://v/1.mp4", url_expires=NOW + timedelta(hours=1), media_type="video/mp4"
)
TEXT = Result(type=TaskType.TEXT, text="a haiku", finish_reason="stop")


async def read(client: Client, task_id: str) -> dict[str, Any]:
    """The data of a task's answer."""
    response = await client.get(f"/api/v1/ai/task/result/{task_id}")
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def listed(client: Client, query: str = "") -> dict[str, Any]:
    """The data of a list's answer."""
    response = await client.get(f"/api/v1/ai/tasks?{query}")
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_a_pending_task_shows_every_field(client: Client, api: ApiFixture) -> None:
    """All fields are there from the start; what is not known is null or empty."""
    task = await api.stored(a_task(metadata={"order": 1}))

    data = await read(client, task.id)

    assert data == {
        "task_id": task.id,
        "type": "image",
        "status": "pending",
        "phase": None,
        "provider": "lab",
        "model": "painter",
        "fallbacks": [],
        "served_by": None,
        "priority": "default",
        "user_id": "ada",
        "prompt": "a fox",
        "created": "2026-01-31T12:00:00Z",
        "updated": "2026-01-31T12:00:00Z",
        "deadline": "2026-01-31T12:02:00Z",
        "cancel_requested": None,
        "progress": None,
        "image_url": None,
        "image_urls": [],
        "video_url": None,
        "video_urls": [],
        "text_result": None,
        "text_results": [],
        "results": [],
        "usage": None,
        "error": None,
        "attempts": [],
        "metadata": {"order": 1},
    }


async def test_a_stored_result_is_linked_here(client: Client, api: ApiFixture) -> None:
    """A result that was copied has our own link, which does not expire, beside the vendor's."""
    task = await api.stored(completed(PICTURE))

    data = await read(client, task.id)

    ours = f"http://testserver.local/api/v1/ai/task/result/{task.id}/files/0"
    assert (data["status"], data["image_url"], data["image_urls"]) == ("completed", ours, [ours])
    assert data["results"] == [
        {
            "type": "image",
            "url": ours,
            "expires": None,
            "media_type": "image/png",
            "size_bytes": 3,
            "source_url": "https://v/0.png",
            "text": None,
            "finish_reason": None,
        }
    ]
    assert data["usage"]["images"] == 1


async def test_the_public_url_replaces_the_requests_own(api: ApiFixture) -> None:
    """With PUBLIC_URL set, links start with it, whatever host the request names."""
    task = await api.stored(completed(PICTURE))
    app = build_app(api.adapters(), Settings(auth="none", public_url="https://ai.example.com/relay"))
    async with AsyncTestClient(app) as client:
        data = await read(client, task.id)

    assert data["image_url"] == f"https://ai.example.com/relay/api/v1/ai/task/result/{task.id}/files/0"


async def test_a_linked_result_says_until_when(client: Client, api: ApiFixture) -> None:
    """A result that was not copied has the vendor's link and the moment when it ends."""
    task = await api.stored(completed(LINKED, type=TaskType.VIDEO))

    data = await read(client, task.id)

    assert (data["video_url"], data["video_urls"]) == ("https://v/1.mp4", ["https://v/1.mp4"])
    assert data["results"][0]["expires"] == "2026-01-31T13:00:00Z"


async def test_a_text_is_in_the_flat_field_and_in_the_list(client: Client, api: ApiFixture) -> None:
    """Texts come as `text_result`, `text_results` and `results`."""
    task = await api.stored(completed(TEXT, type=TaskType.TEXT))

    data = await read(client, task.id)

    assert (data["text_result"], data["text_results"]) == ("a haiku", ["a haiku"])
    assert data["results"][0]["finish_reason"] == "stop"


async def test_a_failure_is_reported_in_full(client: Client, api: ApiFixture) -> None:
    """A failed task is a good answer with our code and the vendor's own, also on the attempt."""
    why = Failure(code="rate_limited", message="too many", vendor_code="50430", http_status=429, request_id="r-1")
    task = await api.stored(failed(why))

    data = await read(client, task.id)

    error = {
        "code": "rate_limited",
        "message": "too many",
        "vendor_code": "50430",
        "http_status": 429,
        "request_id": "r-1",
    }
    assert (data["status"], data["error"]) == ("failed", error)
    assert data["attempts"][0]["error"] == error
    assert "operation" not in data["attempts"][0]


@pytest.mark.parametrize("state", [State.SUBMITTING, State.WAITING, State.STORING])
async def test_a_phase_is_shown_inside_of_processing(client: Client, api: ApiFixture, state: State) -> None:
    """Callers see `processing` and its phase; links are shown only once the task is completed."""
    task = await api.stored(a_task(state=state, attempts=(an_attempt(),), results=(LINKED,), progress=0.5))

    data = await read(client, task.id)

    assert (data["status"], data["phase"], data["progress"]) == ("processing", state.value, 0.5)
    assert (data["results"], data["video_url"]) == ([], None)


@pytest.mark.parametrize("task_id", ["x", "task_", "task_" + "g" * 32, "x" * 5000, "task_" + "0" * 32, "%00"])
async def test_an_unknown_id_is_a_404(client: Client, task_id: str) -> None:
    """An id that no task has, or can have, is a 404 that does not echo long ids."""
    response = await client.get(f"/api/v1/ai/task/result/{task_id}")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "task_not_found")
    assert len(response.text) < 800


async def test_a_list_is_newest_first_and_filtered(client: Client, api: ApiFixture) -> None:
    """Each filter leaves the tasks that match; the total counts them all."""
    old = await api.stored(a_task(age_s=20))
    video = await api.stored(completed(LINKED, type=TaskType.VIDEO, age_s=10))
    other = await api.stored(a_task(user_id="bob", provider="shed"))

    assert [task["task_id"] for task in (await listed(client))["tasks"]] == [other.id, video.id, old.id]
    for query, expected in {
        "user_id=bob": [other.id],
        "provider=shed": [other.id],
        "type=video": [video.id],
        "status=pending": [other.id, old.id],
        "status=completed&user_id=ada": [video.id],
        "status=failed": [],
    }.items():
        data = await listed(client, query)
        assert [task["task_id"] for task in data["tasks"]] == expected, query
        assert data["total"] == len(expected)


async def test_a_list_counts_up_to_a_thousand(client: Client, api: ApiFixture) -> None:
    """`total` says no more than 1000, and `total_is_exact` whether that is all."""
    for _ in range(1000):
        await api.stored(a_task())
    full = await listed(client, "limit=1")
    await api.stored(a_task())
    more = await listed(client, "limit=1")

    assert (full["total"], full["total_is_exact"]) == (1000, True)
    assert (more["total"], more["total_is_exact"]) == (1000, False)


async def test_a_list_shows_small_tasks(client: Client, api: ApiFixture) -> None:
    """Tasks of a list have their links and no texts, attempts or metadata."""
    await api.stored(completed(PICTURE))

    (task,) = (await listed(client))["tasks"]

    assert task["image_url"].endswith("/files/0")
    assert not {"attempts", "metadata", "text_result", "results"} & set(task)


async def test_pages_are_walked_by_offset_or_cursor(client: Client, api: ApiFixture) -> None:
    """`offset` skips; `next_after` leads from page to page until it is null."""
    ids = [(await api.stored(a_task(age_s=age))).id for age in range(5)]

    second = await listed(client, "limit=2&offset=2")
    assert [task["task_id"] for task in second["tasks"]] == ids[2:4]
    assert (second["total"], second["limit"], second["offset"]) == (5, 2, 2)

    seen, after = [], ""
    while after is not None:
        page = await listed(client, f"limit=2{after and f'&after={after}'}")
        seen += [task["task_id"] for task in page["tasks"]]
        after = page["next_after"]
    assert seen == ids


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("offset=10001", "offset"),
        ("after=task_1", "after"),
        ("type=audio", "type"),
        ("status=done", "status"),
        ("user_id=", "user_id"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_wrong_query_parameter_is_named(client: Client, query: str, field: str) -> None:
    """Bad paging, unknown words and unknown parameters are a 422 that names the parameter."""
    response = await client.get(f"/api/v1/ai/tasks?{query}")

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_request")
    assert [problem["field"] for problem in error["details"]] == [field]


@pytest.mark.parametrize(
    ("state", "served"),
    [
        (State.PENDING, False),
        (State.SUBMITTING, True),
        (State.WAITING, True),
        (State.STORING, True),
        (State.COMPLETED, True),
        (State.FAILED, False),
        (State.CANCELLED, False),
    ],
)
async def test_a_task_shows_who_serves_it(client: Client, api: ApiFixture, state: State, served: bool) -> None:
    """The provider and model of the latest attempt, while it is under way and where it succeeded."""
    attempts = (an_attempt(ended=NOW), an_attempt(number=2, provider="shed", model="sculptor"))
    task = await api.stored(a_task(state=state, attempts=attempts, wake_at=None))

    data = await read(client, task.id)

    assert data["served_by"] == ({"provider": "shed", "model": "sculptor"} if served else None)
    assert [(attempt["provider"], attempt["model"]) for attempt in data["attempts"]] == [
        ("lab", "painter"),
        ("shed", "sculptor"),
    ]
