"""Use case: a query for a task returns the vendor's response, or the stored result where the vendor has none."""

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
from services.relay.bodies import Inquiry, is_forgotten, read_inquiry
from services.relay.failures import NEVER_TAKEN, query_failure
from services.relay.responses import INTERNAL_ERROR, NOT_FOUND, Business, RelayAnswer
from services.relay.stored_answers import Links, done_answer, open_answer, passed_on, passed_on_again, stored_answer
from services.vendors.jimeng.calls import read_operation

QUERY_TIMEOUT_S: Final = 25.0
"""The official client gives up after 30 seconds."""
TRY_AGAIN: Final = "the vendor is unavailable, and works on the task; query it again"

_NOT_SUBMITTED: Final = frozenset({State.PENDING, State.SUBMITTING})

log = structlog.get_logger(__name__)


class RelayQuery:
    """
    Responds to calls that query a task.

    Args:
        tasks: The stored tasks.
        registry: The services that can query the vendor.
        store: The result store.
    """

    def __init__(self, *, tasks: TaskRepository, registry: Registry, store: ResultStore) -> None:
        self._tasks = tasks
        self._registry = registry
        self._store = store

    async def __call__(self, call: RelayCall, body: bytes, caller: Caller, links: Links) -> RelayAnswer:
        """
        The state of the task: the vendor's own response where there is one.

        Raises:
            RelayCallRefused: The body is not a valid query.
            StoreUnavailable: The task or a file cannot be read.
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
            return await self._from_vendor(task, operation, call, inquiry, links)
        return await self._from_store(task, inquiry, links)

    async def _from_vendor(
        self, task: Task, operation: str, call: RelayCall, inquiry: Inquiry, links: Links
    ) -> RelayAnswer:
        """The vendor's response, or the stored result if the vendor does not respond or has forgotten the task."""
        service = self._service(task)
        if service is None:
            return await self._from_store(task, inquiry, links)
        vendor_id = read_operation(operation).task_id
        answer = await _query(service, call, inquiry.for_vendor(vendor_id))
        if answer is None and not task.state.final:
            return Business(code=INTERNAL_ERROR, message=TRY_AGAIN)
        if answer is None or (task.state.final and is_forgotten(answer.body)):
            return await self._from_store(task, inquiry, links)
        return passed_on(answer, vendor_id=vendor_id, task_id=task.id)

    def _service(self, task: Task) -> RelayService | None:
        """The service that can query the vendor, or None where this process has no credentials."""
        try:
            service = self._registry.relay_route(task.provider, task.model).service
        except InvalidRequest:
            return None
        return service if isinstance(service, RelayService) else None

    async def _from_store(self, task: Task, inquiry: Inquiry, links: Links) -> RelayAnswer:
        if task.state is State.COMPLETED:
            try:
                return await done_answer(task, self._store, links, return_url=inquiry.return_url)
            except FileNotFound:
                return NOT_FOUND  # it was deleted
        if task.failure is None:
            return open_answer(task, "in_queue" if task.state in _NOT_SUBMITTED else "generating")
        stored = stored_answer(task)
        if stored is not None and task.attempt.operation is None and task.failure.code not in NEVER_TAKEN:
            return await passed_on_again(task, stored, self._store)
        return query_failure(task.failure)


async def _query(service: RelayService, call: RelayCall, body: bytes) -> Answer | None:
    """The vendor's response, or None where there is none."""
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            return await service.ask(call, body)
    except (ProviderError, TimeoutError) as error:
        log.warning("vendor_query_failed", reason=str(error) or "no response in time")
        return None
