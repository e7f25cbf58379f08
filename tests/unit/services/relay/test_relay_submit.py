"""Submits through the relay: what is stored, what the vendor gets, and the response."""

import asyncio
import json

import httpx
import pytest

from core.callers import Caller, KeyLimits, Role
from core.errors import ProviderUnavailable
from core.switches import Mode, Switch
from core.task_states import State
from services.execution.result_copies import INLINE_BYTES
from services.relay.responses import Business, RelayCallRefused, VendorResponse
from services.relay.stored_answers import REFUSED_UPSTREAM
from services.relay.submit import BUSY
from tests.unit.services.relay.relay_fixture import AT_ONCE, BODY, KEY, SUBMIT, VENDOR_ID, RelayFixture, envelope


async def test_an_accepted_submit_is_reported_with_our_id(relay: RelayFixture) -> None:
    """Status, type and body are the vendor's; only the id is ours."""
    task, answer = await relay.submitted()

    assert isinstance(answer, VendorResponse)
    assert (answer.status, answer.media_type) == (200, "application/json")
    theirs = json.loads(relay.vendor.says[SUBMIT.action][0].content)  # type: ignore[union-attr]
    assert json.loads(answer.body) == {**theirs, "data": {"task_id": task.id}}
    assert task.state is State.WAITING
    assert task.attempt.operation == f"{KEY}/{VENDOR_ID}"


async def test_a_submit_is_stored_as_a_task(relay: RelayFixture) -> None:
    """With its caller's owner, its prompt and its call; the body is its input, to the byte."""
    caller = Caller(role=Role.APP, owner="ada", key_id="key_1", limits=KeyLimits(max_concurrent=3))
    body = b'{ "req_key":"jimeng_t2i_v40" , "prompt": "cat", "n": 1.50 }'

    task = await relay.taken(body, caller=caller)

    assert (task.provider, task.model, task.type) == ("volcengine", KEY, "image")
    assert (task.owner, task.key_id, task.user_id, task.prompt) == ("ada", "key_1", "ada", "cat")
    assert task.relay == SUBMIT
    assert (await relay.tasks.get_input(task.id))["body"] == body.decode()
    await relay.play_due()
    assert relay.vendor.requests[0].content == body


async def test_a_submit_outlives_its_caller(relay: RelayFixture) -> None:
    """Who hangs up while it waits changes nothing: a worker submits it, once."""
    task = await relay.taken()
    answering = asyncio.create_task(relay.submit.answer(task))
    await asyncio.sleep(0)
    answering.cancel()
    await relay.play_due()

    assert (await relay.task(task.id)).state is State.WAITING
    assert len(relay.vendor.bodies(SUBMIT.action)) == 1


@pytest.mark.parametrize(("code", "status"), [(50411, 400), (50200, 400), (50400, 403), (50500, 500), (77777, 418)])
async def test_a_refusal_is_handed_on(relay: RelayFixture, code: int, status: int) -> None:
    """The vendor's status and body, to the byte, whatever its code means here."""
    relay.vendor.says[SUBMIT.action] = [envelope(code, status=status)]

    task, answer = await relay.submitted()

    assert isinstance(answer, VendorResponse)
    assert (answer.status, answer.body) == (status, envelope(code, status=status).content)
    assert task.state is State.FAILED


async def test_an_overloaded_vendor_is_waited_for(relay: RelayFixture) -> None:
    """The caller waits in the queue instead of getting 50430, and gets the success."""
    relay.vendor.says[SUBMIT.action] = [envelope(50430, status=429), envelope(data={"task_id": VENDOR_ID})]
    task = await relay.taken()
    answering = asyncio.create_task(relay.submit.answer(task))
    await relay.play_due()
    assert (await relay.task(task.id)).state is State.PENDING
    assert not answering.done()
    relay.later(60)
    await relay.play_due()
    await relay.announcements.announce(task.id)

    answer = await answering

    assert isinstance(answer, VendorResponse)
    assert answer.status == 200


async def test_a_queued_submit_is_accepted_after_the_wait(hasty: RelayFixture) -> None:
    """The task is stored and will be submitted: the caller gets the id and queries later."""
    task = await hasty.taken()

    answer = await hasty.submit.answer(task)

    assert answer == Business(data={"task_id": task.id})
    await hasty.play_due()
    assert (await hasty.task(task.id)).state is State.WAITING


async def test_a_cut_connection_is_an_error_that_warns_of_billing(relay: RelayFixture) -> None:
    """The outcome is unknown, and nothing is submitted again."""
    relay.vendor.says[SUBMIT.action] = [httpx.ReadError("cut")]

    task, answer = await relay.submitted()

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50500, 500)
    assert "may have accepted and billed" in answer.text
    assert task.state is State.FAILED
    await relay.play()
    assert len(relay.vendor.requests) == 1


async def test_a_worker_that_crashes_during_the_submit_leaves_an_unknown_outcome(relay: RelayFixture) -> None:
    """The lease expires, and the caller gets the failure; there is no second submit."""
    task = await relay.taken()
    relay.vendor.says[SUBMIT.action] = [httpx.ReadTimeout("never")]
    answering = asyncio.create_task(relay.submit.answer(task))
    relay.tasks.faults = [None, "lost"]  # the answer is never recorded
    step = asyncio.create_task(relay.play_due())
    await relay.tasks.on_refusal.wait()
    step.cancel()
    relay.later(60)
    await relay.worker()(task.id)
    await relay.announcements.announce(task.id)

    answer = await answering

    assert isinstance(answer, Business)
    assert "may have accepted and billed" in answer.text
    assert len(relay.vendor.requests) == 1


async def test_a_damaged_acceptance_is_handed_on(relay: RelayFixture) -> None:
    """The vendor's response is passed on."""
    relay.vendor.says[SUBMIT.action] = [httpx.Response(200, text="<html>", headers={"content-type": "text/html"})]

    task, answer = await relay.submitted()

    assert answer == VendorResponse(status=200, media_type="text/html", body=b"<html>")
    assert task.failure is not None
    assert task.failure.code == "outcome_unknown"


async def test_a_refusal_of_our_own_key_is_not_handed_on(relay: RelayFixture) -> None:
    """The caller's key is good; the vendor's words about ours would mislead, and show it."""
    error = {"CodeN": 100009, "Code": "InvalidAccessKey", "Message": "AKLT-our-public-key"}
    relay.vendor.says[SUBMIT.action] = [httpx.Response(401, json={"ResponseMetadata": {"Error": error}})]

    task, answer = await relay.submitted()

    assert answer == REFUSED_UPSTREAM
    assert task.attempt.answer is not None
    assert b"AKLT-our-public-key" not in (task.attempt.answer.body or b"")


async def test_a_synchronous_call_is_answered_with_the_result(relay: RelayFixture) -> None:
    """To the byte, however long; the pictures are stored, too."""
    big = "A" * INLINE_BYTES
    result = envelope(data={"binary_data_base64": [big], "image_urls": None, "infer_ctx": {"x": 1.50}})
    relay.vendor.says[AT_ONCE.action] = [result]

    task, answer = await relay.submitted(call=AT_ONCE)

    assert answer == VendorResponse(status=200, media_type="application/json", body=result.content)
    assert task.state is State.COMPLETED
    assert task.attempt.answer is not None
    assert task.attempt.answer.file is not None


async def test_a_synchronous_call_without_a_slot_is_cancelled(hasty: RelayFixture) -> None:
    """Nobody would receive the result: it is not submitted any more, and the caller may try again."""
    task = await hasty.taken(call=AT_ONCE)

    answer = await hasty.submit.answer(task)

    assert isinstance(answer, Business)
    assert (answer.code, answer.http_status) == (50430, 429)
    assert BUSY in answer.text
    assert answer.retry_after_s
    assert (await hasty.task(task.id)).state is State.CANCELLED
    await hasty.play()
    assert hasty.vendor.requests == []


async def test_a_synchronous_call_that_the_vendor_held_back_gets_its_refusal(hasty: RelayFixture) -> None:
    """The vendor's own 50429, once the wait in the queue has ended without a slot."""
    hasty.vendor.says[AT_ONCE.action] = [envelope(50429, status=429)]
    task = await hasty.taken(call=AT_ONCE)
    await hasty.play_due()

    answer = await hasty.submit.answer(task)

    assert isinstance(answer, VendorResponse)
    assert (answer.status, json.loads(answer.body)["code"]) == (429, 50429)
    assert (await hasty.task(task.id)).state is State.CANCELLED


async def test_a_lost_announcement_costs_a_second_at_most(relay: RelayFixture) -> None:
    """The record is read now and then."""
    relay.announcements.deaf = True

    _, answer = await relay.submitted()

    assert isinstance(answer, VendorResponse)


async def test_a_store_that_becomes_unavailable_while_the_caller_waits_is_waited_for(relay: RelayFixture) -> None:
    """The task is stored; the caller does not get a failure."""
    task = await relay.taken()
    relay.tasks.reachable = False
    answering = asyncio.create_task(relay.submit.answer(task))
    await asyncio.sleep(0)
    relay.tasks.reachable = True
    await relay.play_due()
    await relay.announcements.announce(task.id)

    assert isinstance(await answering, VendorResponse)


async def test_an_unknown_capability_is_relayed(relay: RelayFixture) -> None:
    """A key that is newer than the catalogue is the vendor's matter."""
    task, answer = await relay.submitted(b'{"req_key":"jimeng_video_v99","prompt":"cat"}')

    assert isinstance(answer, VendorResponse)
    assert (task.model, task.type) == ("jimeng_video_v99", "video")


async def test_a_process_without_credentials_stores_nothing() -> None:
    """The reason names the setting."""
    relay = RelayFixture(disabled=True)
    with pytest.raises(ProviderUnavailable, match="VOLCENGINE_ACCESS_KEY"):
        await relay.taken()


async def test_a_drained_provider_takes_nothing(relay: RelayFixture) -> None:
    """The operator's switch holds for the relay, too."""
    relay.registry.switches = {"volcengine": Switch(mode=Mode.DRAINING, reason="maintenance", since=relay.now)}
    with pytest.raises(ProviderUnavailable, match="maintenance"):
        await relay.taken()


async def test_a_body_that_is_no_submit_stores_nothing(relay: RelayFixture) -> None:
    """It is refused before anything happens."""
    with pytest.raises(RelayCallRefused):
        await relay.taken(b"{}")

    assert relay.queue.history == []


async def test_a_cancelled_submit_is_reported_as_such(relay: RelayFixture) -> None:
    """The task was cancelled through the unified API while its caller waited."""
    task = await relay.taken(BODY)
    answering = asyncio.create_task(relay.submit.answer(task))
    await relay.tasks.request_cancel(task.id, at=relay.now)
    await relay.play_due()
    await relay.announcements.announce(task.id)

    answer = await answering

    assert isinstance(answer, Business)
    assert (answer.code, "cancelled" in answer.text) == (50500, True)
    assert relay.vendor.requests == []
