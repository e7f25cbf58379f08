"""Steps of relayed tasks: the vendor's responses are stored, and callers decide about further submits."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from core.task_states import State
from core.tasks import RelayCall, Task
from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    ImageOutput,
    Model,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProviderError,
    Rejected,
)
from services.execution.result_copies import INLINE_BYTES
from tests.unit.services.execution_fixture import ExecutionFixture, ScriptedService

CALL = RelayCall(action="Draw", version="1")
ANSWER = Answer(status=200, headers={"content-type": "application/json"}, body=b'{"code": 10000}')
PICTURE = Done(outputs=(ImageOutput(data=b"picture", media_type="image/png"),))


class Relaying(ScriptedService):
    """A scripted service that relays its vendor's own API."""

    def relay_of(self, model: str) -> tuple[Model, Any]:
        """Itself, for any model."""
        return structs.replace(self.models[0], name=model), self

    async def ask(self, call: RelayCall, body: bytes) -> Answer:
        """Nobody asks here."""
        raise NotImplementedError


def refusal(kind: type[ProviderError], status: int, **fields: Any) -> ProviderError:
    """An error with the vendor's response."""
    error = kind("no", http_status=status, **fields)
    error.answer = Answer(status=status, headers={}, body=b"no")
    return error


async def relayed(execution_fixture: ExecutionFixture, **fields: Any) -> str:
    """A relayed task for a model that only the relay serves."""
    return await execution_fixture.new_task(model="unheard-of", relay=CALL, **fields)


async def after_one_step(service: Relaying) -> tuple[ExecutionFixture, Task]:
    """The fixture, and the task after its submit."""
    execution_fixture = ExecutionFixture(service)
    task_id = await relayed(execution_fixture)
    await execution_fixture.play_due()
    return execution_fixture, await execution_fixture.task(task_id)


async def test_the_response_to_an_accepted_submit_is_stored() -> None:
    """The response is stored together with the operation."""
    _, task = await after_one_step(Relaying(submit=[Pending(operation="op-1", answer=ANSWER)]))

    assert task.state is State.WAITING
    assert task.attempt.answer is not None
    assert task.attempt.answer.status == 200
    assert task.attempt.answer.media_type == "application/json"
    assert task.attempt.answer.body == ANSWER.body
    assert task.attempt.answer.file is None


async def test_a_long_response_is_a_file() -> None:
    """A response longer than `INLINE_BYTES` is a file of the result store."""
    long = structs.replace(ANSWER, body=b"x" * (INLINE_BYTES + 1))
    execution_fixture, task = await after_one_step(Relaying(submit=[structs.replace(PICTURE, answer=long)]))

    assert task.state is State.COMPLETED
    assert task.attempt.answer is not None
    assert task.attempt.answer.body is None
    assert execution_fixture.store.files[task.attempt.answer.file or ""] == long.body


async def test_a_paid_response_is_kept_until_the_store_accepts_it() -> None:
    """While the result store is unavailable, no version is saved that names the missing file."""
    long = structs.replace(ANSWER, body=b"x" * (INLINE_BYTES + 1))
    answered = asyncio.Event()

    def answer_while_unavailable() -> Done:
        execution_fixture.store.reachable = False
        answered.set()
        return structs.replace(PICTURE, answer=long)

    execution_fixture = ExecutionFixture(Relaying(submit=[answer_while_unavailable]))
    task_id = await relayed(execution_fixture)
    step = asyncio.create_task(execution_fixture.play_due())
    await answered.wait()
    assert (await execution_fixture.task(task_id)).state is State.SUBMITTING
    execution_fixture.store.reachable = True
    await step

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_the_response_to_a_rejected_submit_is_stored() -> None:
    """A failed task has the vendor's response, byte by byte."""
    _, task = await after_one_step(Relaying(submit=[refusal(Rejected, 400)]))

    assert task.state is State.FAILED
    assert task.attempt.answer is not None
    assert (task.attempt.answer.status, task.attempt.answer.body) == (400, b"no")


async def test_an_overloaded_vendor_is_asked_again() -> None:
    """An overloaded vendor is asked again before the deadline; each attempt has its own response."""
    service = Relaying(submit=[refusal(Overloaded, 429), structs.replace(PICTURE, answer=ANSWER)])
    execution_fixture = ExecutionFixture(service)
    task_id = await relayed(execution_fixture)
    await execution_fixture.play()
    task = await execution_fixture.task(task_id)

    assert task.state is State.COMPLETED
    assert [attempt.answer.status for attempt in task.attempts if attempt.answer] == [429, 200]


@pytest.mark.parametrize(
    "error",
    [refusal(GenerationFailed, 400, retryable=True), refusal(OutcomeUnknown, 500)],
    ids=["failed generation", "unknown outcome"],
)
async def test_what_the_vendor_may_have_billed_is_never_submitted_again(error: ProviderError) -> None:
    """The caller of a relayed task reads the vendor's failure and may submit again; ours would be a second bill."""
    service = Relaying(submit=[error])
    execution_fixture = ExecutionFixture(service)
    task_id = await relayed(execution_fixture)
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.FAILED
    assert len(service.submits) == 1


async def test_a_failed_poll_starts_no_new_submission() -> None:
    """A generation that fails in a later poll is not submitted again either."""
    service = Relaying(submit=[Pending(operation="op-1", answer=ANSWER)], poll=[GenerationFailed("no", retryable=True)])
    execution_fixture = ExecutionFixture(service)
    task_id = await relayed(execution_fixture)
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.FAILED
    assert len(service.submits) == 1


async def test_other_tasks_store_no_response() -> None:
    """A task of the unified API stores no response, whatever its service returns."""
    service = Relaying(submit=[Pending(operation="op-1", answer=ANSWER)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).attempt.answer is None


async def test_a_relayed_task_shares_the_gate_of_its_model() -> None:
    """A model with one slot is full for a relayed task while another task holds it."""
    service = Relaying(submit=[Pending(operation="op-1", answer=ANSWER)], poll=[Pending(operation="op-1")])
    service.models = (structs.replace(service.models[0], max_open=1),)
    execution_fixture = ExecutionFixture(service)
    await execution_fixture.new_task()
    await execution_fixture.play_due()
    second = await execution_fixture.new_task(relay=CALL)
    await execution_fixture.play_due()

    assert (await execution_fixture.task(second)).state is State.PENDING
    assert len(service.submits) == 1
