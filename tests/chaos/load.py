"""The load of a run: a client that creates tasks at a steady rate, and cancels, retries and deletes some of them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import httpx

from core.clock import utc_now
from tests.chaos.evidence import ClientCall, CreatedTask
from tests.chaos.plan import FollowUp, PlannedTask

_ROOT: Final = "/api/v1/ai"
_FINAL: Final = frozenset({"completed", "failed", "cancelled"})
_LOOK_S: Final = 0.5
_TRIES: Final = 40


class Load:
    """
    Creates planned tasks and records the responses.

    Args:
        http: A client whose base URL is the API's.
        planned_tasks: In order of time.

    Attributes:
        created: Creates answered with 201.
        client_calls: Cancels, retries and deletes that were sent.
        answers: How many creates were answered with each status, or not at all.
    """

    def __init__(self, http: httpx.AsyncClient, planned_tasks: Sequence[PlannedTask]) -> None:
        self._http = http
        self._planned_tasks = planned_tasks
        self.created: list[CreatedTask] = []
        self.client_calls: list[ClientCall] = []
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        """Create each task at its time and do its follow-up; returns when all are done."""
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as clients:
            for planned in self._planned_tasks:
                await asyncio.sleep(started + planned.at_s - asyncio.get_running_loop().time())
                clients.create_task(self._create_and_follow_up(planned))

    async def _create_and_follow_up(self, planned: PlannedTask) -> None:
        status, data = await self._create(planned)
        self.answers[str(status) if status else "no answer"] += 1
        if status == 422:
            raise AssertionError(f"the API refused a planned task as invalid: {planned.body}: {data}")
        if status != 201:
            return
        task_id = str(data["task_id"])
        self.created.append(CreatedTask(task_id=task_id, prompt=planned.prompt, at=utc_now()))
        await asyncio.sleep(planned.after_s)
        match planned.follow_up:
            case FollowUp.CANCEL:
                await self._call_once(task_id, "cancel", "POST", f"{_ROOT}/task/{task_id}/cancel")
            case FollowUp.DELETE:
                await self._call_once(task_id, "delete", "DELETE", f"{_ROOT}/task/{task_id}")
            case FollowUp.RETRY:
                if await self._ended(task_id) == "failed":
                    await self._call_once(task_id, "retry", "POST", f"{_ROOT}/task/{task_id}/retry")

    async def _create(self, planned: PlannedTask) -> tuple[int, dict[str, Any]]:
        """The response to a create; repeats only if the connection was refused, when certainly nothing was created."""
        for _ in range(_TRIES):
            try:
                return await self._call("POST", f"{_ROOT}/{planned.type}/task", planned.body)
            except httpx.ConnectError:
                self.answers["connection refused, sent again"] += 1
                await asyncio.sleep(_LOOK_S)
        return 0, {}

    async def _call_once(self, task_id: str, call: str, method: str, path: str) -> None:
        """Send a call once: a call whose response is lost is not repeated, so that a run has lost responses as well."""
        at = utc_now()
        try:
            status, data = await self._call(method, path)
        except httpx.ConnectError:
            return
        answer = str(data.get("cancel", "")) if status == 200 else ""
        at = utc_now() if answer == "cancelled" else at
        self.client_calls.append(ClientCall(task_id=task_id, call=call, status=status, answer=answer, at=at))

    async def _ended(self, task_id: str) -> str:
        """The final status of the task, or "" if it did not end in time."""
        for _ in range(2 * _TRIES):
            with suppress(httpx.ConnectError):
                status, data = await self._call("GET", f"{_ROOT}/task/result/{task_id}")
                if status == 200 and data["status"] in _FINAL:
                    return str(data["status"])
            await asyncio.sleep(_LOOK_S)
        return ""

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """
        Status and data of the response; status 0 without a response.

        Raises:
            httpx.ConnectError: The call was not sent.
        """
        try:
            response = await self._http.request(method, path, json=body, timeout=30.0)
            answer = response.json()
        except httpx.ConnectError:
            raise
        except (httpx.TransportError, ValueError):
            return 0, {}
        return response.status_code, answer.get("data") or answer
