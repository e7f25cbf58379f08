"""The client: creates tasks at a steady rate, and cancels, retries and deletes some."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import httpx

from core.clock import utc_now
from tests.chaos.evidence import Receipt, Wish
from tests.chaos.plan import Order, Then

_ROOT: Final = "/api/v1/ai"
_FINAL: Final = frozenset({"completed", "failed", "cancelled"})
_LOOK_S: Final = 0.5
_TRIES: Final = 40


class Load:
    """
    Places orders and keeps what was answered.

    Args:
        http: With the API's address as its base.
        orders: In order of time.
    """

    def __init__(self, http: httpx.AsyncClient, orders: Sequence[Order]) -> None:
        self._http = http
        self._orders = orders
        self.receipts: list[Receipt] = []
        self.wishes: list[Wish] = []
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        """Place all orders at their times, and do with each what is to be done; ends when that is over."""
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as clients:
            for order in self._orders:
                await asyncio.sleep(started + order.at_s - asyncio.get_running_loop().time())
                clients.create_task(self._place(order))

    async def _place(self, order: Order) -> None:
        status, data = await self._create(order)
        self.answers[str(status) if status else "no answer"] += 1
        if status == 422:
            raise AssertionError(f"the order is wrong: {order.body}: {data}")
        if status != 201:
            return
        task_id = str(data["task_id"])
        self.receipts.append(Receipt(task_id=task_id, prompt=order.prompt, at=utc_now()))
        await asyncio.sleep(order.after_s)
        match order.then:
            case Then.CANCEL:
                await self._wish(task_id, "cancel", "POST", f"{_ROOT}/task/{task_id}/cancel")
            case Then.DELETE:
                await self._wish(task_id, "delete", "DELETE", f"{_ROOT}/task/{task_id}")
            case Then.RETRY:
                if await self._ended(task_id) == "failed":
                    await self._wish(task_id, "retry", "POST", f"{_ROOT}/task/{task_id}/retry")

    async def _create(self, order: Order) -> tuple[int, dict[str, Any]]:
        """Again where nobody took the connection: only then it is certain that nothing was created."""
        for _ in range(_TRIES):
            try:
                return await self._call("POST", f"{_ROOT}/{order.type}/task", order.body)
            except httpx.ConnectError:
                self.answers["no connection, sent again"] += 1
                await asyncio.sleep(_LOOK_S)
        return 0, {}

    async def _wish(self, task_id: str, call: str, method: str, path: str) -> None:
        """Once: a call whose answer was lost is not repeated, so that lost answers are met as well."""
        at = utc_now()
        try:
            status, data = await self._call(method, path)
        except httpx.ConnectError:
            return
        answer = str(data.get("cancel", "")) if status == 200 else ""
        at = utc_now() if answer == "cancelled" else at
        self.wishes.append(Wish(task_id=task_id, call=call, status=status, answer=answer, at=at))

    async def _ended(self, task_id: str) -> str:
        """How the task ended, or "" where that took too long."""
        for _ in range(2 * _TRIES):
            with suppress(httpx.ConnectError):
                status, data = await self._call("GET", f"{_ROOT}/task/result/{task_id}")
                if status == 200 and data["status"] in _FINAL:
                    return str(data["status"])
            await asyncio.sleep(_LOOK_S)
        return ""

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """
        Status and data; 0 where there was no answer.

        Raises:
            httpx.ConnectError: It was not sent.
        """
        try:
            response = await self._http.request(method, path, json=body, timeout=30.0)
            answer = response.json()
        except httpx.ConnectError:
            raise
        except (httpx.TransportError, ValueError):
            return 0, {}
        return response.status_code, answer.get("data") or answer
