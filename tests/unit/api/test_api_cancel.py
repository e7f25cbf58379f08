"""Cancelling and retrying through HTTP."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.attempts import Failure
from core.task_states import State
from tests.unit.api.api_fixture import NOW, ApiFixture, a_task, an_attempt, completed, failed

Client = AsyncTestClient[Litestar]
UNKNOWN = Failure(code="outcome_unknown", message="the answer was lost; the vendor may have accepted and billed it")
REFUSED = Failure(code="content_blocked", message="the vendor said no")


async def call(client: Client, task_id: str, what: str) -> tuple[int, dict[str, Any]]:
    """The status and the answer of a cancel or a retry."""
    response = await client.post(f"/api/v1/ai/task/{task_id}/{what}")
    answer: dict[str, Any] = response.json()
    return response.status_code, answer


async def test_a_pending_task_is_cancelled(client: Client, api: ApiFixture) -> None:
    """200 with the final status; the vendor has nothing to bill; reading shows the same; it may be repeated."""
    task = await api.stored(a_task())

    status, answer = await call(client, task.id, "cancel")

    assert status == 200
    assert answer["data"] == {
        "task_id": task.id, "status": "cancelled", "cancel": "cancelled", "may_be_billed": False,
    }  # fmt: skip
    assert "Nothing was submitted" in answer["message"]
    shown = (await client.get(f"/api/v1/ai/task/result/{task.id}")).json()["data"]
    assert (shown["status"], shown["error"]["code"]) == ("cancelled", "cancelled")
    assert await call(client, task.id, "cancel") == (status, answer)


@pytest.mark.parametrize("state", [State.SUBMITTING, State.WAITING])
async def test_the_cancel_of_a_task_at_the_vendor_is_requested(client: Client, api: ApiFixture, state: State) -> None:
    """200, still processing; the message warns that the vendor may finish and bill it; the request can be read."""
    task = await api.stored(a_task(state=state, attempts=(an_attempt(),)))

    status, answer = await call(client, task.id, "cancel")

    assert status == 200
    assert answer["data"] == {
        "task_id": task.id, "status": "processing", "cancel": "requested", "may_be_billed": True,
    }  # fmt: skip
    assert answer["message"] == "Cancel requested; the vendor may still finish and bill it."
    shown = (await client.get(f"/api/v1/ai/task/result/{task.id}")).json()["data"]
    assert shown["cancel_requested"] == "2026-01-31T12:00:00Z"
    assert await call(client, task.id, "cancel") == (status, answer)


async def test_a_task_that_ended_cannot_be_cancelled(client: Client, api: ApiFixture) -> None:
    """409 that says how it stands."""
    storing = a_task(state=State.STORING, attempts=(an_attempt(ended=NOW),))
    for task, word in ((completed(), "completed"), (failed(REFUSED), "failed"), (storing, "stored")):
        await api.stored(task)

        status, answer = await call(client, task.id, "cancel")

        assert (status, answer["error"]["code"]) == (409, "not_possible")
        assert word in answer["message"]


@pytest.mark.parametrize(("failure", "billed"), [(UNKNOWN, True), (REFUSED, False)], ids=["unknown", "refused"])
async def test_a_failed_task_is_retried(client: Client, api: ApiFixture, failure: Failure, billed: bool) -> None:
    """200 with the fields of a create and more; after an unknown outcome it warns that the vendor may have billed."""
    task = await api.stored(
        a_task(
            age_s=3600,
            state=State.FAILED,
            failure=failure,
            attempts=(an_attempt(accepted=None, ended=NOW, failure=failure),),
        )
    )

    status, answer = await call(client, task.id, "retry")

    assert status == 200
    assert answer["data"] == {
        "task_id": task.id, "type": "image", "status": "pending", "provider": "lab", "model": "painter",
        "deadline": "2026-01-31T12:02:00Z", "attempts": 1, "may_be_billed": billed,
    }  # fmt: skip
    assert ("billed" in answer["message"]) is billed
    assert (await api.tasks.get(task.id)).state is State.PENDING
    status, answer = await call(client, task.id, "retry")
    assert (status, answer["error"]["code"]) == (409, "not_possible")
    assert "pending" in answer["message"]


@pytest.mark.parametrize("what", ["cancel", "retry"])
@pytest.mark.parametrize("task_id", ["task_" + "0" * 32, "x"])
async def test_an_unknown_task_is_a_404(client: Client, what: str, task_id: str) -> None:
    """Whatever is asked of it."""
    status, answer = await call(client, task_id, what)

    assert (status, answer["error"]["code"]) == (404, "task_not_found")


@pytest.mark.parametrize("what", ["cancel", "retry"])
async def test_without_a_store_it_is_a_503(client: Client, api: ApiFixture, what: str) -> None:
    """With when to come back."""
    task = await api.stored(a_task())
    api.tasks.reachable = False

    response = await client.post(f"/api/v1/ai/task/{task.id}/{what}")

    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert response.headers["retry-after"]


async def test_a_body_is_not_needed_and_does_no_harm(client: Client, api: ApiFixture) -> None:
    """Many clients send one with every POST."""
    task = await api.stored(a_task())

    response = await client.post(f"/api/v1/ai/task/{task.id}/cancel", json={})

    assert response.status_code == 200
