"""Load of text tasks at a steady rate, and the end of each task."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from msgspec import Struct

_FINAL = frozenset({"completed", "failed", "cancelled"})
_LONGEST_S = 90.0
OPENAI: Mapping[str, Any] = {"provider": "openai", "model": "gpt-4"}


class Created(Struct, frozen=True, kw_only=True):
    """A create and its response; `began` and `ended` are `time.monotonic` before and after the call."""

    body: Mapping[str, Any]
    status: int
    code: str | None
    task_id: str
    began: float
    ended: float


class TaskLoad:
    """
    Creates tasks.

    Args:
        http: A client whose base URL is the API's.

    Attributes:
        created: The creates and their responses until now.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.created: list[Created] = []

    async def run(self, body_of: Callable[[int], Mapping[str, Any]], *, rate: float, done: asyncio.Event) -> None:
        """Create `rate` tasks a second until `done` is set; `body_of` makes the body from the task's number."""
        started, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as callers:
            while not done.is_set():
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                callers.create_task(self.create(body_of(number)))
                number += 1

    async def create(self, body: Mapping[str, Any]) -> Created:
        """Create one task; fields of `body` override the defaults."""
        began = time.monotonic()
        fields = {"user_id": "load", "prompt": "hello", **body}
        response = await self._http.post("/api/v1/ai/text/task", json=fields)
        answer = response.json()
        created = Created(
            body=body,
            status=response.status_code,
            code=(answer.get("error") or {}).get("code"),
            task_id=(answer.get("data") or {}).get("task_id", ""),
            began=began,
            ended=time.monotonic(),
        )
        self.created.append(created)
        return created

    async def ended(self, task_id: str) -> dict[str, Any]:
        """The task, once it has ended."""
        async with asyncio.timeout(_LONGEST_S):
            while True:
                answer = await self._http.get(f"/api/v1/ai/task/result/{task_id}")
                task: dict[str, Any] = answer.json()["data"]
                if task["status"] in _FINAL:
                    return task
                await asyncio.sleep(0.2)

    async def all_ended(self) -> list[tuple[Created, dict[str, Any]]]:
        """Every create that was answered with 201, with its task once it has ended."""
        answered_201 = [created for created in self.created if created.status == 201]
        tasks = [await self.ended(created.task_id) for created in answered_201]
        return list(zip(answered_201, tasks, strict=True))
