"""
Use case: a call that starts something becomes a task, and its caller waits for the vendor's word.

Stored durably first, as every task; whatever happens to this process or its caller's connection afterwards, a worker
submits it once.
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
from services.relay.stored_answers import handed_again, kept_answer
from services.tasks.cancel import CancelOutcome, CancelTask
from services.tasks.create import CreateTask
from services.tasks.create_fields import CommonFields, TaskOrder, refuse_closed
from services.tasks.idempotency import CreateOutcome
from services.vendors.jimeng.relays import PROVIDER, QUERY_OF

LOOK_S: Final = 1.0
"""How often the record is read while nothing is announced, in seconds: an announcement may be lost."""
COME_BACK_S: Final = 5
NOBODY: Final = "relay"
"""The `user_id` of a task whose caller has no key."""

MAY_BE_BILLED: Final = "the vendor did not answer in time; it may have accepted and billed the request"
BUSY: Final = "nothing was submitted: there was no room at the vendor in time"

log = structlog.get_logger(__name__)


class Patience(Struct, frozen=True, kw_only=True):
    """
    How long callers are held.

    Attributes:
        submit_s: For the vendor to take a submit, in seconds. The official client gives up after 30.
        answer_s: For the result of a call that answers with it, once it was submitted, in seconds.
    """

    submit_s: float = 25.0
    answer_s: float = 300.0


class RelaySubmit:
    """
    Takes calls that start something.

    Args:
        tasks: Where they are stored.
        create: Stores a task and wakes a worker.
        registry: Where calls go.
        announcements: Tell when to look at the record.
        cancel: Ends what nobody waits for any more.
        store: For long answers.
        patience: How long callers are held.
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
        patience: Patience,
    ) -> None:
        self._tasks = tasks
        self._create = create
        self._registry = registry
        self._announcements = announcements
        self._cancel = cancel
        self._store = store
        self._patience = patience

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
            NotTaken: The body cannot be a submit.
            UnknownModel, UnknownProvider, ProviderUnavailable: The vendor's API is not relayed here, or not now.
            Others: As `CreateTask`.
        """

        async def create() -> Task:
            order = self._order(call, body, caller)
            return await self._create.store(order, caller, audit=audit, idempotency=idempotency)

        return await self._create.once(idempotency, create)

    async def answer(self, task: Task) -> RelayAnswer:
        """
        The vendor's word on the submit, or what is true of the task when patience ends.

        A task that waits in line then is accepted all the same, where the caller can ask for it; where the answer would
        have been the result, it is ended, so that nothing is billed for nobody.
        """
        task = await self._watched(task, until_s=self._patience.submit_s)
        at_once = _answers_at_once(task)
        if at_once and task.state is State.PENDING and await self._given_up(task):
            return await self._last_refusal(task)
        if at_once and not _settled(task):
            task = await self._watched(task, until_s=self._patience.answer_s)
        said = await self._said(task)
        if said is not None:
            return said
        if at_once:
            return Business(code=INTERNAL_ERROR, message=MAY_BE_BILLED)
        return Business(data={"task_id": task.id})

    def _order(self, call: RelayCall, body: bytes, caller: Caller) -> TaskOrder:
        submission = read_submission(body)
        route = self._registry.relay_route(PROVIDER, submission.req_key)
        refuse_closed([route])
        return TaskOrder(
            type=route.model.type,
            common=CommonFields(provider=PROVIDER, model=submission.req_key, user_id=caller.owner or NOBODY),
            task_input={"action": call.action, "version": call.version, "body": submission.text},
            longest_s=route.model.timeout_s,
            prompt=submission.prompt,
            relay=call,
        )

    async def _watched(self, task: Task, *, until_s: float) -> Task:
        """The task as it is once the vendor's word is on record, or after that time."""
        ends = asyncio.get_running_loop().time() + until_s
        with self._announcements.listening(task.id) as heard:
            while True:
                heard.clear()
                task = await self._read(task)
                left_s = ends - asyncio.get_running_loop().time()
                if _settled(task) or left_s <= 0:
                    return task
                await _wait(heard, min(left_s, LOOK_S))

    async def _read(self, task: Task) -> Task:
        try:
            return await self._tasks.get(task.id)
        except StoreUnavailable as error:  # the task is stored, so its caller may wait a little longer
            log.warning("task_read_failed", task_id=task.id, reason=str(error))
            return task

    async def _said(self, task: Task) -> RelayAnswer | None:
        """The vendor's answer, or why there is none; None where it is still to come."""
        kept = kept_answer(task)
        if kept is not None:
            return await handed_again(task, kept, self._store)
        if task.failure is not None:
            return submit_failure(task.failure)
        return None

    async def _last_refusal(self, task: Task) -> RelayAnswer:
        """Why nothing was submitted: the vendor's refusal of the last try, or ours where there was none."""
        kept = task.attempts[-1].answer if task.attempts else None
        if kept is not None:
            return await handed_again(task, kept, self._store)
        return Business(code=TOO_MANY_OPEN, message=BUSY, retry_after_s=COME_BACK_S)

    async def _given_up(self, task: Task) -> bool:
        """Whether the task ended without a submit."""
        try:
            return (await self._cancel(task.id)).outcome is CancelOutcome.CANCELLED
        except (NotPossible, Stale):  # it was submitted in this moment
            return False


def _answers_at_once(task: Task) -> bool:
    return task.relay is not None and QUERY_OF.get(task.relay.action) is None


def _settled(task: Task) -> bool:
    """Whether the vendor's word on the submit is on record, or never will be."""
    return task.state not in {State.PENDING, State.SUBMITTING}


async def _wait(event: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return
