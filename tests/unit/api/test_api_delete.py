"""Removing tasks."""

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.errors import TaskNotFound
from core.tasks import Result
from polyrelay import TaskType
from tests.unit.api.api_fixture import ApiFixture, a_task, completed

Client = AsyncTestClient[Litestar]


async def test_an_open_task_is_cancelled_and_gone(client: Client, api: ApiFixture) -> None:
    """DELETE of an open task reports that it was cancelled; afterwards it is a 404."""
    task = await api.stored(a_task())

    response = await client.delete(f"/api/v1/ai/task/{task.id}")

    assert response.status_code == 200
    assert response.json()["data"] == {
        "task_id": task.id, "status": "pending", "cancelled": True, "vendor_stopped": False, "may_be_billed": False,
    }  # fmt: skip
    assert (await client.get(f"/api/v1/ai/task/result/{task.id}")).status_code == 404
    assert (await client.delete(f"/api/v1/ai/task/{task.id}")).status_code == 404


async def test_a_completed_task_goes_with_its_files(client: Client, api: ApiFixture) -> None:
    """DELETE removes the record and the task's own files, no others."""
    task = a_task()
    await api.stored(completed(Result(type=TaskType.IMAGE, file=f"{task.id}/1/0.png"), id=task.id))
    await api.results.put(f"{task.id}/1/0.png", b"png")
    await api.results.put("task_other/1/0.png", b"png")

    response = await client.delete(f"/api/v1/ai/task/{task.id}")

    assert response.json()["data"] == {
        "task_id": task.id, "status": "completed", "cancelled": False, "vendor_stopped": False, "may_be_billed": True,
    }  # fmt: skip
    assert set(api.results.files) == {"task_other/1/0.png"}
    with pytest.raises(TaskNotFound):
        await api.tasks.get(task.id)


async def test_an_unreachable_result_store_keeps_the_record(client: Client, api: ApiFixture) -> None:
    """Where the files cannot be removed the caller gets 503 and can repeat the call."""
    task = await api.stored(completed(Result(type=TaskType.IMAGE, file="x/1/0.png")))
    api.results.reachable = False

    assert (await client.delete(f"/api/v1/ai/task/{task.id}")).status_code == 503

    api.results.reachable = True
    assert (await client.delete(f"/api/v1/ai/task/{task.id}")).status_code == 200
