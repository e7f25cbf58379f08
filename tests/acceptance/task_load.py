"""Text tasks at a steady rate, and how each of them ended."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from msgspec import Struct

_FINAL = frozenset({"completed", "failed", "cancelled"})
_LONGEST_S = 90.0
OPENAI: Mapping[str, Any] = {"provider": "openai", "model": "gpt-4"}


class Placed(Struct, frozen=True, kw_only=True):
    """A create and its answer; times are of `time.monotonic`, before and after the call."""

    body: Mapping[str, Any]
    status: int
    code: str | None
    task_id: str
    began: float
    ended: float


class TaskLoad:
    """
    Places tasks.

    Args:
        http: With the API's address as its base.

    Attributes:
        placed: What was answered up to now.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.placed: list[Placed] = []

    async def run(self, body_of: Callable[[int], Mapping[str, Any]], *, rate: float, done: asyncio.Event) -> None:
        """Place task after task, each at its time, until that is done."""
        started, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as callers:
            while not done.is_set():
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                callers.create_task(self.place(body_of(number)))
                number += 1

    async def place(self, body: Mapping[str, Any]) -> Placed:
        """Create one task."""
        began = time.monotonic()
        whole = {"user_id": "load", "prompt": "hello", **body}
        response = await self._http.post("/api/v1/ai/text/task", json=whole)
        answer = response.json()
        placed = Placed(
            body=body,
            status=response.status_code,
            code=(answer.get("error") or {}).get("code"),
            task_id=(answer.get("data") or {}).get("task_id", ""),
            began=began,
            ended=time.monotonic(),
        )
        self.placed.append(placed)
        return placed

    async def ended(self, task_id: str) -> dict[str, Any]:
        """The task, once it has ended."""
        async with asyncio.timeout(_LONGEST_S):
            while True:
                answer = await self._http.get(f"/api/v1/ai/task/result/{task_id}")
                task: dict[str, Any] = answer.json()["data"]
                if task["status"] in _FINAL:
                    return task
                await asyncio.sleep(0.2)

    async def all_ended(self) -> list[tuple[Placed, dict[str, Any]]]:
        """Every task that was accepted, with how it ended."""
        accepted = [placed for placed in self.placed if placed.status == 201]
        tasks = [await self.ended(placed.task_id) for placed in accepted]
        return list(zip(accepted, tasks, strict=True))
