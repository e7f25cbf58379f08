"""Task routes: create, read, list, cancel, retry, delete."""

from collections.abc import Callable
from typing import Final

import structlog
from litestar import Controller, delete, get, post
from litestar.types import ASGIApp

from api.context import Call, context_of, use_cases_of
from api.requests import ListQuery, read_query, task_id_of
from api.route_policy import RoutePolicy, SignatureReuse, guarded_by
from api.routes.task_create import RESULT_PATH, Create, CreateRoute
from api.views.task_actions import (
    CancelledTask,
    RemovedTask,
    RetriedTask,
    cancel_message,
    cancelled_task,
    deleted_task,
    retried_task,
    retry_message,
)
from api.views.tasks import MESSAGES, Envelope, TaskList, TaskView, summary_view, task_view
from core.audit import Action
from core.callers import Role
from core.errors import TaskNotFound
from core.tasks import Task
from polyrelay import TaskType

_CREATE_POLICY: Final = guarded_by(
    RoutePolicy(access=Role.APP, audit=Action.TASK_CREATE, signature_reuse=SignatureReuse.REFUSED_WITH_TASK)
)
_READ_POLICY: Final = guarded_by(RoutePolicy(access=Role.APP, audit=None))
_CREATE: Final = {task_type: Create(task_type) for task_type in TaskType}


class Tasks(Controller):
    """The routes of tasks."""

    path = "/api/v1/ai"

    @CreateRoute("/image/task", http_method="POST", opt=_CREATE_POLICY)
    async def create_image(self) -> ASGIApp:
        """Create an image task."""
        return _CREATE[TaskType.IMAGE]

    @CreateRoute("/video/task", http_method="POST", opt=_CREATE_POLICY)
    async def create_video(self) -> ASGIApp:
        """Create a video task."""
        return _CREATE[TaskType.VIDEO]

    @CreateRoute("/text/task", http_method="POST", opt=_CREATE_POLICY)
    async def create_text(self) -> ASGIApp:
        """Create a text task."""
        return _CREATE[TaskType.TEXT]

    @get("/task/result/{task_id:str}", opt=_READ_POLICY)
    async def result(self, request: Call) -> Envelope[TaskView]:
        """A task with its results."""
        task = await named_task(request)
        return Envelope(data=task_view(task, file_urls(request, task.id)), message=MESSAGES[task.status])

    @get("/tasks", opt=_READ_POLICY)
    async def listed(self, request: Call) -> Envelope[TaskList]:
        """One page of tasks, newest first."""
        query = read_query(request, ListQuery)
        page = await use_cases_of(request).adapters.tasks.page(query.query(context_of(request).caller))
        tasks = [summary_view(task, file_urls(request, task.id)) for task in page.tasks]
        listed = TaskList(
            tasks=tasks,
            total=page.total,
            total_is_exact=page.total_is_exact,
            limit=query.limit,
            offset=query.offset,
            next_after=tasks[-1].task_id if len(tasks) == query.limit else None,
        )
        return Envelope(data=listed)

    @post(
        "/task/{task_id:str}/cancel",
        status_code=200,
        opt=guarded_by(RoutePolicy(access=Role.APP, audit=Action.TASK_CANCEL, signature_reuse=SignatureReuse.ALLOWED)),
    )
    async def cancelled(self, request: Call) -> Envelope[CancelledTask]:
        """Cancel an open task."""
        cancelled = cancelled_task(await use_cases_of(request).cancel(await _own_task_id(request)))
        return Envelope(data=cancelled, message=cancel_message(cancelled))

    @post(
        "/task/{task_id:str}/retry",
        status_code=200,
        opt=guarded_by(RoutePolicy(access=Role.APP, audit=Action.TASK_RETRY)),
    )
    async def retried(self, request: Call) -> Envelope[RetriedTask]:
        """Retry a failed task."""
        task = await use_cases_of(request).retry(await _own_task_id(request), context_of(request).caller)
        retried = retried_task(task)
        return Envelope(data=retried, message=retry_message(retried))

    @delete(
        "/task/{task_id:str}",
        status_code=200,
        opt=guarded_by(RoutePolicy(access=Role.APP, audit=Action.TASK_DELETE)),
    )
    async def deleted(self, request: Call) -> Envelope[RemovedTask]:
        """Delete a task and its files; an open task is cancelled first."""
        deleted = deleted_task(await use_cases_of(request).delete(await _own_task_id(request)))
        billed = " The vendor may bill what was submitted." if deleted.cancelled and deleted.may_be_billed else ""
        return Envelope(data=deleted, message=f"The task was deleted.{billed}")


def file_urls(request: Call, task_id: str) -> Callable[[int], str]:
    """The links to a task's stored files, by index of the result; anybody can use such a link for a day."""
    use_cases = use_cases_of(request)
    base = use_cases.public_url or str(request.base_url).rstrip("/")
    now = use_cases.adapters.clock()

    def link(index: int) -> str:
        path = f"{RESULT_PATH}/{task_id}/files/{index}"
        return f"{base}{path}{use_cases.links.query(path, now=now)}"

    return link


async def named_task(request: Call) -> Task:
    """
    The task that the path names.

    Raises:
        TaskNotFound: There is no task of that id that the caller may see.
    """
    task = await use_cases_of(request).adapters.tasks.get(task_id_of(request))
    if not context_of(request).caller.sees(task.owner):
        raise TaskNotFound(task.id)
    return task


async def _own_task_id(request: Call) -> str:
    """
    The task id in the path, which is bound to the log. The owner of a task never changes, so it is checked once.

    Raises:
        TaskNotFound: There is no task of that id that the caller may see.
    """
    task_id = task_id_of(request)
    structlog.contextvars.bind_contextvars(task_id=task_id)
    if context_of(request).caller.confined_to is not None:
        await named_task(request)
    return task_id
