"""Calls that ask for a task: the vendor's word where it has one, else the record's."""

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
from services.relay.responses import NOT_FOUND, Business, Handed
from services.relay.stored_answers import REFUSED_UPSTREAM
from tests.unit.services.relay.relay_fixture import (
    KEY,
    PICTURE,
    QUERY,
    SUBMIT,
    VENDOR_ID,
    RelayLab,
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


async def completed(lab: RelayLab, **results: Any) -> str:
    """A task whose results are on record; its id."""
    lab.links[LINK] = lambda: httpx.Response(200, content=PICTURE, headers={"content-type": "image/png"})
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [done(**(results or {"image_urls": [LINK]}))]
    await lab.play()
    assert (await lab.task(task.id)).state is State.COMPLETED
    return task.id


async def test_a_waiting_task_is_asked_for_at_the_vendor(lab: RelayLab) -> None:
    """With the vendor's id, and every field of the caller's; the answer comes to the byte."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [envelope(data={"status": "generating", "image_urls": None})]

    answer = await lab.asked(task.id, req_json=LINKS, x_new=[1])

    assert lab.vendor.bodies(QUERY.action) == [{"req_key": KEY, "task_id": VENDOR_ID, "req_json": LINKS, "x_new": [1]}]
    assert isinstance(answer, Handed)
    assert answer.body == envelope(data={"status": "generating", "image_urls": None}).content


async def test_an_id_in_the_answer_is_ours(lab: RelayLab) -> None:
    """Some services repeat it."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [envelope(data={"status": "in_queue", "task_id": VENDOR_ID})]

    answer = await lab.asked(task.id)

    assert isinstance(answer, Handed)
    assert json.loads(answer.body)["data"]["task_id"] == task.id


@pytest.mark.parametrize(("code", "status"), [(50511, 400), (50429, 429), (50500, 500)])
async def test_the_vendors_errors_are_handed_on(lab: RelayLab, code: int, status: int) -> None:
    """With status, body and Retry-After."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [envelope(code, status=status)]

    answer = await lab.asked(task.id)

    assert answer == Handed(
        status=status,
        media_type="application/json",
        body=envelope(code, status=status).content,
        retry_after="3" if status == 429 else None,
    )


async def test_a_task_in_queue_is_in_queue(lab: RelayLab) -> None:
    """The vendor does not know it yet."""
    task = await lab.taken()

    answer = await lab.asked(task.id)

    assert data_of(answer) == {"status": "in_queue", "image_urls": None, "binary_data_base64": None}
    assert lab.vendor.requests == []


async def test_another_owners_task_is_not_found(lab: RelayLab) -> None:
    """As an id that was never given out; the owner and an operator see it."""
    task = await lab.taken(caller=ADA)

    assert await lab.asked(task.id, BOB) == NOT_FOUND
    assert await lab.asked("task_unknown", BOB) == NOT_FOUND
    assert data_of(await lab.asked(task.id, ADA))["status"] == "in_queue"
    assert data_of(await lab.asked(task.id, Caller(role=Role.OPERATOR, owner="eve")))["status"] == "in_queue"


async def test_a_task_of_the_unified_api_is_not_found(lab: RelayLab) -> None:
    """Its caller never got that id from here."""
    task_id = await lab.new_task()

    assert await lab.asked(task_id) == NOT_FOUND


async def test_a_cancelled_task_is_not_found(lab: RelayLab) -> None:
    """As at the vendor after its own cancel."""
    task = await lab.taken()
    await lab.tasks.request_cancel(task.id, at=lab.now)
    await lab.play_due()

    assert await lab.asked(task.id) == NOT_FOUND


async def test_a_refused_submit_is_reported_again(lab: RelayLab) -> None:
    """Who lost the answer to the submit reads it here, to the byte."""
    lab.vendor.says[SUBMIT.action] = [envelope(50411, status=400)]
    task, answer = await lab.submitted()

    assert await lab.asked(task.id) == answer


async def test_an_unknown_outcome_is_reported(lab: RelayLab) -> None:
    """It is no reason to submit again."""
    lab.vendor.says[SUBMIT.action] = [httpx.ReadError("cut")]
    task, _ = await lab.submitted()

    answer = await lab.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, "may have accepted" in answer.words) == (50500, True)


async def test_what_was_never_taken_is_expired(lab: RelayLab) -> None:
    """The vendor held it back until the deadline: nothing was billed, and a new submit is safe."""
    lab.vendor.says[SUBMIT.action] = [envelope(50430, status=429)]
    task = await lab.taken()
    await lab.play(steps=2000)
    assert (await lab.task(task.id)).state is State.FAILED

    assert await lab.asked(task.id) == EXPIRED


async def test_a_vendor_that_is_unavailable_is_asked_again_later(lab: RelayLab) -> None:
    """The task goes on; the error is one that clients repeat."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [httpx.ConnectError("away")]

    answer = await lab.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50500, 500)
    assert TRY_AGAIN in answer.words


async def test_a_refusal_of_our_own_key_is_not_handed_on(lab: RelayLab) -> None:
    """The caller's key is good."""
    task, _ = await lab.submitted()
    error = {"Code": "SignatureDoesNotMatch"}
    lab.vendor.says[QUERY.action] = [httpx.Response(401, json={"ResponseMetadata": {"Error": error}})]

    assert await lab.asked(task.id) == REFUSED_UPSTREAM


@pytest.mark.parametrize("said", [GONE, httpx.ConnectError("away")], ids=["forgotten", "away"])
async def test_results_outlive_the_vendors_memory(lab: RelayLab, said: Any) -> None:
    """Done is done: our own links, or the files as base64, as the query wants them."""
    task_id = await completed(lab)
    lab.vendor.says[QUERY.action] = [said]

    links, files = await lab.asked(task_id, req_json=LINKS), await lab.asked(task_id)

    assert data_of(links) == {
        "status": "done",
        "image_urls": [f"https://ours.test/{task_id}/0"],
        "binary_data_base64": None,
    }
    assert data_of(files)["image_urls"] is None
    assert data_of(files)["binary_data_base64"] == [base64.b64encode(PICTURE).decode()]


async def test_a_completed_task_is_the_vendors_to_tell_while_it_can(lab: RelayLab) -> None:
    """The record does not come before the vendor's own links."""
    task_id = await completed(lab)

    answer = await lab.asked(task_id)

    assert isinstance(answer, Handed)
    assert json.loads(answer.body)["data"]["image_urls"] == [LINK]


async def test_a_removed_file_is_not_found(lab: RelayLab) -> None:
    """What is gone everywhere is unknown."""
    task_id = await completed(lab)
    lab.vendor.says[QUERY.action] = [GONE]
    lab.store.files.clear()

    assert await lab.asked(task_id) == NOT_FOUND


async def test_a_failure_outlives_the_vendors_memory(lab: RelayLab) -> None:
    """Why it failed is still told, with the vendor's code."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [envelope(50511, status=400)]
    await lab.play()
    lab.vendor.says[QUERY.action] = [GONE]

    answer = await lab.asked(task.id)

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50511, 400)


async def test_a_task_that_the_vendor_forgot_while_it_was_open_is_the_vendors_to_tell(lab: RelayLab) -> None:
    """The record has nothing better yet."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [GONE]

    answer = await lab.asked(task.id)

    assert isinstance(answer, Handed)
    assert answer.body == GONE.content


async def test_a_process_without_credentials_answers_from_the_record(lab: RelayLab) -> None:
    """It cannot sign; workers go on, and their record is good."""
    task, _ = await lab.submitted()
    blind = RelayLab(disabled=True)
    lab.query = RelayQuery(tasks=lab.tasks, registry=blind.registry, store=lab.store)

    assert data_of(await lab.asked(task.id))["status"] == "generating"
    await blind.aclose()


async def test_a_video_from_the_record_is_a_link(lab: RelayLab) -> None:
    """Videos are never base64."""
    lab.links["https://cdn.test/a.mp4"] = lambda: httpx.Response(200, content=b"mp4")
    task, _ = await lab.submitted(b'{"req_key":"jimeng_t2v_v30","prompt":"cat"}')
    lab.vendor.says[QUERY.action] = [done(video_url="https://cdn.test/a.mp4")]
    await lab.play()
    lab.vendor.says[QUERY.action] = [GONE]

    assert data_of(await lab.asked(task.id)) == {"status": "done", "video_url": f"https://ours.test/{task.id}/0"}


async def test_what_is_neither_picture_nor_video_comes_back_as_it_was(lab: RelayLab) -> None:
    """The `data` of such a capability is its result."""
    task_id = await completed(lab, resp_data="{}", status_code=1)
    lab.vendor.says[QUERY.action] = [GONE]

    assert data_of(await lab.asked(task_id)) == {"status": "done", "resp_data": "{}", "status_code": 1}


async def test_a_deadline_that_passed_while_the_vendor_works_is_the_vendors_to_tell(lab: RelayLab) -> None:
    """The caller sees the truth, also after our own patience."""
    task, _ = await lab.submitted()
    lab.vendor.says[QUERY.action] = [envelope(data={"status": "generating"})]
    lab.now = task.deadline + timedelta(seconds=1)
    await lab.play()
    assert (await lab.task(task.id)).state is State.FAILED

    assert isinstance(await lab.asked(task.id), Handed)
