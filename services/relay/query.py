"""Use case: a call that asks for a task is answered by the vendor, and by the record where the vendor cannot."""

import asyncio
from typing import Final

import structlog

from core.callers import Caller
from core.errors import FileNotFound, InvalidRequest, TaskNotFound
from core.registry import Registry
from core.relay_contract import RelayService
from core.result_store import ResultStore
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import RelayCall, Task
from polyrelay import Answer, ProviderError
from services.relay.bodies import Inquiry, forgotten, read_inquiry
from services.relay.failures import NEVER_TAKEN, query_failure
from services.relay.responses import INTERNAL_ERROR, NOT_FOUND, Business, RelayAnswer
from services.relay.stored_answers import Links, done_answer, handed, handed_again, kept_answer, open_answer
from services.vendors.jimeng.calls import read_operation

LONGEST_ASK_S: Final = 25.0
"""The official client gives up after 30 seconds."""
TRY_AGAIN: Final = "the vendor cannot be reached just now, and works on the task; ask again"

_NOT_SUBMITTED: Final = frozenset({State.PENDING, State.SUBMITTING})

log = structlog.get_logger(__name__)


class RelayQuery:
    """
    Answers calls that ask for a task.

    Args:
        tasks: The record.
        registry: Where calls go.
        store: Files of results.
    """

    def __init__(self, *, tasks: TaskRepository, registry: Registry, store: ResultStore) -> None:
        self._tasks = tasks
        self._registry = registry
        self._store = store

    async def __call__(self, call: RelayCall, body: bytes, caller: Caller, links: Links) -> RelayAnswer:
        """
        How the task stands, in the vendor's words where the vendor has one.

        Raises:
            NotTaken: The body cannot be a query.
            StoreUnavailable: The record or a file cannot be read.
        """
        inquiry = read_inquiry(body)
        try:
            task = await self._tasks.get(inquiry.task_id)
        except TaskNotFound:
            return NOT_FOUND
        if task.relay is None or not caller.sees(task.owner) or task.state is State.CANCELLED:
            return NOT_FOUND
        operation = task.attempts[-1].operation if task.attempts else None
        if operation is not None:
            return await self._of_vendor(task, operation, call, inquiry, links)
        return await self._of_record(task, inquiry, links)

    async def _of_vendor(
        self, task: Task, operation: str, call: RelayCall, inquiry: Inquiry, links: Links
    ) -> RelayAnswer:
        """The vendor's answer, unless it has none, or no longer knows what the record knows."""
        service = self._service(task)
        if service is None:
            return await self._of_record(task, inquiry, links)
        vendor_id = read_operation(operation).task_id
        answer = await _asked(service, call, inquiry.for_vendor(vendor_id))
        if answer is None and not task.state.final:
            return Business(code=INTERNAL_ERROR, message=TRY_AGAIN)
        if answer is None or (task.state.final and forgotten(answer.body)):
            return await self._of_record(task, inquiry, links)
        return handed(answer, vendor_id=vendor_id, task_id=task.id)

    def _service(self, task: Task) -> RelayService | None:
        """What can ask the vendor, or None where this process has no credentials."""
        try:
            service = self._registry.relay_route(task.provider, task.model).service
        except InvalidRequest:
            return None
        return service if isinstance(service, RelayService) else None

    async def _of_record(self, task: Task, inquiry: Inquiry, links: Links) -> RelayAnswer:
        if task.state is State.COMPLETED:
            try:
                return await done_answer(task, self._store, links, return_url=inquiry.return_url)
            except FileNotFound:
                return NOT_FOUND  # it was removed
        if task.failure is None:
            return open_answer(task, "in_queue" if task.state in _NOT_SUBMITTED else "generating")
        kept = kept_answer(task)
        if kept is not None and task.attempt.operation is None and task.failure.code not in NEVER_TAKEN:
            return await handed_again(task, kept, self._store)
        return query_failure(task.failure)


async def _asked(service: RelayService, call: RelayCall, body: bytes) -> Answer | None:
    """What the vendor says, or None where it says nothing."""
    try:
        async with asyncio.timeout(LONGEST_ASK_S):
            return await service.ask(call, body)
    except (ProviderError, TimeoutError) as error:
        log.warning("vendor_query_failed", reason=str(error) or "no answer in time")
        return None
