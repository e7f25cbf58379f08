"""
Use case: a submit through the relay becomes a task, and its caller waits for the vendor's response.

The task is stored durably first, as every task; whatever happens to this process or its caller's connection afterwards,
a worker submits it once.
"""

import asyncio
from typing import Final

import structlog
from msgspec import Struct

from core.announcements import Announcements
from core.audit import AuditDraft
from core.callers import Caller
from core.errors import NotPossible, Stale, StoreUnavailable
from core.registry import Registry
from core.result_store import ResultStore
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Idempotency, RelayCall, Task
from services.relay.bodies import read_submission
from services.relay.failures import submit_failure
from services.relay.responses import INTERNAL_ERROR, TOO_MANY_OPEN, Business, RelayAnswer
from services.relay.stored_answers import passed_on_again, stored_answer
from services.tasks.cancel import CancelOutcome, CancelTask
from services.tasks.create import CreateTask
from services.tasks.create_fields import CommonFields, TaskOrder, refuse_closed
from services.tasks.idempotency import CreateOutcome
from services.vendors.jimeng.relays import PROVIDER, QUERY_OF

LOOK_S: Final = 1.0
"""How often the task is read without a notification, in seconds: a notification may be lost."""
RETRY_AFTER_S: Final = 5
USER_WITHOUT_KEY: Final = "relay"
"""The `user_id` of a task whose caller has no API key."""

MAY_BE_BILLED: Final = "the vendor did not respond in time; it may have accepted and billed the request"
BUSY: Final = "nothing was submitted: the vendor had no free slot in time"

log = structlog.get_logger(__name__)


class RelayTimeouts(Struct, frozen=True, kw_only=True):
    """
    How long callers wait for the vendor.

    Attributes:
        submit_s: For the vendor's response to a submit, in seconds. The official client gives up after 30.
        answer_s: After the submit, for the result of a call whose response is the result, in seconds.
    """

    submit_s: float = 25.0
    answer_s: float = 300.0


class RelaySubmit:
    """
    Creates tasks from submits, and responds to them.

    Args:
        tasks: The stored tasks.
        create: Stores a task and wakes a worker.
        registry: The services that relay.
        announcements: Notifications about changed tasks.
        cancel: Cancels a task whose caller no longer waits.
        store: The result store, for long responses.
        timeouts: How long callers wait.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        create: CreateTask,
        registry: Registry,
        announcements: Announcements,
        cancel: CancelTask,
        store: ResultStore,
        timeouts: RelayTimeouts,
    ) -> None:
        self._tasks = tasks
        self._create = create
        self._registry = registry
        self._announcements = announcements
        self._cancel = cancel
        self._store = store
        self._timeouts = timeouts

    async def create(
        self,
        call: RelayCall,
        body: bytes,
        caller: Caller,
        *,
        audit: AuditDraft | None = None,
        idempotency: Idempotency | None = None,
    ) -> CreateOutcome:
        """
        Store a task for the call and wake a worker.

        Raises:
            RelayCallRefused: The body is not a valid submit.
            UnknownModel, UnknownProvider, ProviderUnavailable: The vendor's API is not relayed here, or not now.
            Others: As `CreateTask`.
        """

        async def create() -> Task:
            order = self._order(call, body, caller)
            return await self._create.store(order, caller, audit=audit, idempotency=idempotency)

        return await self._create.once(idempotency, create)

    async def answer(self, task: Task) -> RelayAnswer:
        """
        The vendor's response to the submit, or our own once the caller has waited long enough.

        A task that is still in the wait queue then stays, if the caller can query it. If the response would have been
        the result, the task is cancelled, so that nothing is billed that nobody receives.
        """
        task = await self._wait_for_response(task, until_s=self._timeouts.submit_s)
        with_result = _responds_with_result(task)
        if with_result and task.state is State.PENDING and await self._is_cancelled(task):
            return await self._last_refusal(task)
        if with_result and not _settled(task):
            task = await self._wait_for_response(task, until_s=self._timeouts.answer_s)
        response = await self._response(task)
        if response is not None:
            return response
        if with_result:
            return Business(code=INTERNAL_ERROR, message=MAY_BE_BILLED)
        return Business(data={"task_id": task.id})

    def _order(self, call: RelayCall, body: bytes, caller: Caller) -> TaskOrder:
        submission = read_submission(body)
        route = self._registry.relay_route(PROVIDER, submission.req_key)
        refuse_closed([route])
        return TaskOrder(
            type=route.model.type,
            common=CommonFields(provider=PROVIDER, model=submission.req_key, user_id=caller.owner or USER_WITHOUT_KEY),
            task_input={"action": call.action, "version": call.version, "body": submission.text},
            longest_s=route.model.timeout_s,
            prompt=submission.prompt,
            relay=call,
        )

    async def _wait_for_response(self, task: Task, *, until_s: float) -> Task:
        """The task as it is once the vendor's response is stored, or after that time."""
        ends = asyncio.get_running_loop().time() + until_s
        with self._announcements.listening(task.id) as notified:
            while True:
                notified.clear()
                task = await self._read(task)
                left_s = ends - asyncio.get_running_loop().time()
                if _settled(task) or left_s <= 0:
                    return task
                await _wait(notified, min(left_s, LOOK_S))

    async def _read(self, task: Task) -> Task:
        try:
            return await self._tasks.get(task.id)
        except StoreUnavailable as error:  # the task is stored, so its caller keeps waiting
            log.warning("task_read_failed", task_id=task.id, reason=str(error))
            return task

    async def _response(self, task: Task) -> RelayAnswer | None:
        """The vendor's response, or the failure; None as long as there is neither."""
        stored = stored_answer(task)
        if stored is not None:
            return await passed_on_again(task, stored, self._store)
        if task.failure is not None:
            return submit_failure(task.failure)
        return None

    async def _last_refusal(self, task: Task) -> RelayAnswer:
        """Why nothing was accepted: the vendor's refusal of the last attempt, or our own if nothing was submitted."""
        stored = task.attempts[-1].answer if task.attempts else None
        if stored is not None:
            return await passed_on_again(task, stored, self._store)
        return Business(code=TOO_MANY_OPEN, message=BUSY, retry_after_s=RETRY_AFTER_S)

    async def _is_cancelled(self, task: Task) -> bool:
        """Cancel the task; whether it ended without a submit."""
        try:
            return (await self._cancel(task.id)).outcome is CancelOutcome.CANCELLED
        except (NotPossible, Stale):  # it was submitted meanwhile
            return False


def _responds_with_result(task: Task) -> bool:
    return task.relay is not None and QUERY_OF.get(task.relay.action) is None


def _settled(task: Task) -> bool:
    """Whether the vendor's response to the submit is stored, or never will be."""
    return task.state not in {State.PENDING, State.SUBMITTING}


async def _wait(event: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return
