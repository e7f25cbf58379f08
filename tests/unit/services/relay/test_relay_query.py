"""Queries through the relay: the vendor's response where there is one, otherwise the stored result."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.callers import Caller, Role
from core.task_states import State
from services.relay.failures import EXPIRED
from services.relay.query import TRY_AGAIN, RelayQuery
from services.relay.responses import NOT_FOUND, Business, VendorResponse
from services.relay.stored_answers import REFUSED_UPSTREAM
from tests.unit.services.relay.relay_fixture import (
    KEY,
    PICTURE,
    QUERY,
    SUBMIT,
    VENDOR_ID,
    RelayFixture,
    done,
    envelope,
)

LINK = "https://cdn.test/a.png"
ADA, BOB = Caller(role=Role.APP, owner="ada"), Caller(role=Role.APP, owner="bob")
LINKS = '{"return_url": true}'
GONE = envelope(data={"status": "not_found"})


def data_of(answer: Any) -> Any:
    """The `data` of an answer of ours."""
    assert isinstance(answer, Business)
    assert answer.http_status == 200
    return answer.data


async def completed(relay: RelayFixture, **results: Any) -> str:
    """A task whose results are stored; its id."""
    relay.links[LINK] = lambda: httpx.Response(200, content=PICTURE, headers={"content-type": "image/png"})
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [done(**(results or {"image_urls": [LINK]}))]
    await relay.play()
    assert (await relay.task(task.id)).state is State.COMPLETED
    return task.id


async def test_a_waiting_task_is_asked_for_at_the_vendor(relay: RelayFixture) -> None:
    """With the vendor's id, and every field of the caller's; the answer comes to the byte."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [envelope(data={"status": "generating", "image_urls": None})]

    answer = await relay.asked(task.id, req_json=LINKS, x_new=[1])

    assert relay.vendor.bodies(QUERY.action) == [
        {"req_key": KEY, "task_id": VENDOR_ID, "req_json": LINKS, "x_new": [1]}
    ]
    assert isinstance(answer, VendorResponse)
    assert answer.body == envelope(data={"status": "generating", "image_urls": None}).content


async def test_an_id_in_the_answer_is_ours(relay: RelayFixture) -> None:
    """Some services repeat it."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [envelope(data={"status": "in_queue", "task_id": VENDOR_ID})]

    answer = await relay.asked(task.id)

    assert isinstance(answer, VendorResponse)
    assert json.loads(answer.body)["data"]["task_id"] == task.id


@pytest.mark.parametrize(("code", "status"), [(50511, 400), (50429, 429), (50500, 500)])
async def test_the_vendors_errors_are_handed_on(relay: RelayFixture, code: int, status: int) -> None:
    """With status, body and Retry-After."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [envelope(code, status=status)]

    answer = await relay.asked(task.id)

    assert answer == VendorResponse(
        status=status,
        media_type="application/json",
        body=envelope(code, status=status).content,
        retry_after="3" if status == 429 else None,
    )


async def test_a_task_in_queue_is_in_queue(relay: RelayFixture) -> None:
    """The vendor does not know it yet."""
    task = await relay.taken()

    answer = await relay.asked(task.id)

    assert data_of(answer) == {"status": "in_queue", "image_urls": None, "binary_data_base64": None}
    assert relay.vendor.requests == []


async def test_another_owners_task_is_not_found(relay: RelayFixture) -> None:
    """As an id that was never given out; the owner and an operator see it."""
    task = await relay.taken(caller=ADA)

    assert await relay.asked(task.id, BOB) == NOT_FOUND
    assert await relay.asked("task_unknown", BOB) == NOT_FOUND
    assert data_of(await relay.asked(task.id, ADA))["status"] == "in_queue"
    assert data_of(await relay.asked(task.id, Caller(role=Role.OPERATOR, owner="eve")))["status"] == "in_queue"


async def test_a_task_of_the_unified_api_is_not_found(relay: RelayFixture) -> None:
    """Its caller never got that id from here."""
    task_id = await relay.new_task()

    assert await relay.asked(task_id) == NOT_FOUND


async def test_a_cancelled_task_is_not_found(relay: RelayFixture) -> None:
    """As at the vendor after its own cancel."""
    task = await relay.taken()
    await relay.tasks.request_cancel(task.id, at=relay.now)
    await relay.play_due()

    assert await relay.asked(task.id) == NOT_FOUND


async def test_a_refused_submit_is_reported_again(relay: RelayFixture) -> None:
    """Who lost the answer to the submit reads it here, to the byte."""
    relay.vendor.says[SUBMIT.action] = [envelope(50411, status=400)]
    task, answer = await relay.submitted()

    assert await relay.asked(task.id) == answer


async def test_an_unknown_outcome_is_reported(relay: RelayFixture) -> None:
    """It is no reason to submit again."""
    relay.vendor.says[SUBMIT.action] = [httpx.ReadError("cut")]
    task, _ = await relay.submitted()

    answer = await relay.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, "may have accepted" in answer.text) == (50500, True)


async def test_what_was_never_taken_is_expired(relay: RelayFixture) -> None:
    """The vendor held it back until the deadline: nothing was billed, and a new submit is safe."""
    relay.vendor.says[SUBMIT.action] = [envelope(50430, status=429)]
    task = await relay.taken()
    await relay.play(steps=2000)
    assert (await relay.task(task.id)).state is State.FAILED

    assert await relay.asked(task.id) == EXPIRED


async def test_a_vendor_that_is_unavailable_is_asked_again_later(relay: RelayFixture) -> None:
    """The task goes on; the error is one that clients repeat."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [httpx.ConnectError("away")]

    answer = await relay.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50500, 500)
    assert TRY_AGAIN in answer.text


async def test_a_refusal_of_our_own_key_is_not_handed_on(relay: RelayFixture) -> None:
    """The caller's key is good."""
    task, _ = await relay.submitted()
    error = {"Code": "SignatureDoesNotMatch"}
    relay.vendor.says[QUERY.action] = [httpx.Response(401, json={"ResponseMetadata": {"Error": error}})]

    assert await relay.asked(task.id) == REFUSED_UPSTREAM


@pytest.mark.parametrize("said", [GONE, httpx.ConnectError("away")], ids=["forgotten", "away"])
async def test_results_outlive_the_vendors_memory(relay: RelayFixture, said: Any) -> None:
    """Done is done: our own links, or the files as base64, as the query wants them."""
    task_id = await completed(relay)
    relay.vendor.says[QUERY.action] = [said]

    links, files = await relay.asked(task_id, req_json=LINKS), await relay.asked(task_id)

    assert data_of(links) == {
        "status": "done",
        "image_urls": [f"https://ours.test/{task_id}/0"],
        "binary_data_base64": None,
    }
    assert data_of(files)["image_urls"] is None
    assert data_of(files)["binary_data_base64"] == [base64.b64encode(PICTURE).decode()]


async def test_a_completed_task_is_queried_at_the_vendor_while_the_vendor_knows_it(relay: RelayFixture) -> None:
    """The record does not come before the vendor's own links."""
    task_id = await completed(relay)

    answer = await relay.asked(task_id)

    assert isinstance(answer, VendorResponse)
    assert json.loads(answer.body)["data"]["image_urls"] == [LINK]


async def test_a_deleted_file_is_not_found(relay: RelayFixture) -> None:
    """What is gone everywhere is unknown."""
    task_id = await completed(relay)
    relay.vendor.says[QUERY.action] = [GONE]
    relay.store.files.clear()

    assert await relay.asked(task_id) == NOT_FOUND


async def test_a_failure_outlives_the_vendors_memory(relay: RelayFixture) -> None:
    """The failure is still reported, with the vendor's code."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [envelope(50511, status=400)]
    await relay.play()
    relay.vendor.says[QUERY.action] = [GONE]

    answer = await relay.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50511, 400)


async def test_an_open_task_that_the_vendor_forgot_gets_the_vendors_response(relay: RelayFixture) -> None:
    """The record has nothing better yet."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [GONE]

    answer = await relay.asked(task.id)

    assert isinstance(answer, VendorResponse)
    assert answer.body == GONE.content


async def test_a_process_without_credentials_responds_with_the_stored_result(relay: RelayFixture) -> None:
    """It cannot sign; workers go on, and their record is good."""
    task, _ = await relay.submitted()
    blind = RelayFixture(disabled=True)
    relay.query = RelayQuery(tasks=relay.tasks, registry=blind.registry, store=relay.store)

    assert data_of(await relay.asked(task.id))["status"] == "generating"
    await blind.aclose()


async def test_a_stored_video_is_a_link(relay: RelayFixture) -> None:
    """Videos are never base64."""
    relay.links["https://cdn.test/a.mp4"] = lambda: httpx.Response(200, content=b"mp4")
    task, _ = await relay.submitted(b'{"req_key":"jimeng_t2v_v30","prompt":"cat"}')
    relay.vendor.says[QUERY.action] = [done(video_url="https://cdn.test/a.mp4")]
    await relay.play()
    relay.vendor.says[QUERY.action] = [GONE]

    assert data_of(await relay.asked(task.id)) == {"status": "done", "video_url": f"https://ours.test/{task.id}/0"}


async def test_what_is_neither_picture_nor_video_comes_back_as_it_was(relay: RelayFixture) -> None:
    """The `data` of such a capability is its result."""
    task_id = await completed(relay, resp_data="{}", status_code=1)
    relay.vendor.says[QUERY.action] = [GONE]

    assert data_of(await relay.asked(task_id)) == {"status": "done", "resp_data": "{}", "status_code": 1}


async def test_after_the_deadline_the_vendor_is_still_queried(relay: RelayFixture) -> None:
    """The caller sees the final state, also after our own timeout."""
    task, _ = await relay.submitted()
    relay.vendor.says[QUERY.action] = [envelope(data={"status": "generating"})]
    relay.now = task.deadline + timedelta(seconds=1)
    await relay.play()
    assert (await relay.task(task.id)).state is State.FAILED

    assert isinstance(await relay.asked(task.id), VendorResponse)
