"""
Gates in Redis: one Lua script for each operation, so that all workers share one state.

Keys, all with a time to live:

    polyrelay:gate:of:<gate>           hash: limit and learns of the last ticket, learned limit, turns of the priorities
    polyrelay:gate:held:<gate>         sorted set: task by the end of its hold
    polyrelay:gate:line:<1-3>:<gate>   wait queue, sorted set for each priority: task by creation; ties break by id
    polyrelay:gate:task:<task>         JSON: the gates and wait queues of a task that holds or waits
    polyrelay:gate:account:<account>   hash: circuit breaker, its probe, and when the submit interval ends
    polyrelay:gate:names, lines, accounts, holders    sorted sets: all gates, wait queues, accounts and holding tasks

All times are those of the caller's clock, so that tests can move it. Between workers whose clocks differ, holds,
circuit breakers and submit intervals are shifted by the difference. The scripts build their keys, so Redis must be one
node, not a cluster.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
from msgspec.structs import asdict

from core.clock import Clock, unix_ms, utc_now
from core.gates import Admission, CircuitBreakerView, GateView, Refusal, Ticket, VendorStatus
from repositories.gate_rules import CLASSES, GateRules
from repositories.valkey.lua_scripts import lua_script
from repositories.valkey.script_batch import Scripts

_SCRIPTS: Final = (
    "enter", "forget", "holders", "in_wait_queue", "leave", "next_waiting", "report", "restore", "views",
)  # fmt: skip

_AT_ONCE: Final = 200
"""Maximum number of tasks in one call of a script, so that it does not block Redis for long."""


class RedisGates:
    """Adapter of `Gates`, shared by all workers of one Redis (7 or later) or Valkey."""

    def __init__(self, redis: ArqRedis, *, clock: Clock = utc_now, rules: GateRules | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._rules = _rules_in_ms(rules or GateRules())
        self._scripts = Scripts(redis, {name: lua_script("gates", name) for name in _SCRIPTS})

    async def enter(self, ticket: Ticket) -> Admission:
        """As `Gates.enter`."""
        refusal, gate, again_at, wakes = await self._run("enter", ticket=_request_of(ticket))
        return Admission(
            refusal=Refusal(refusal.decode()) if refusal else None,
            gate=gate.decode() or None,
            again_at=_moment(again_at),
            wakes=_texts(wakes),
        )

    async def report(self, ticket: Ticket, vendor_status: VendorStatus) -> Sequence[str]:
        """As `Gates.report`."""
        return _texts(await self._run("report", ticket=_request_of(ticket), status=vendor_status.value))

    async def leave(self, ticket: Ticket, vendor_status: VendorStatus | None = None) -> Sequence[str]:
        """As `Gates.leave`."""
        status = {} if vendor_status is None else {"status": vendor_status.value}
        return _texts(await self._run("leave", ticket=_request_of(ticket), **status))

    async def restore(self, tickets: Sequence[Ticket]) -> None:
        """As `Gates.restore`; atomic for 200 tickets at a time."""
        for start in range(0, len(tickets), _AT_ONCE):
            some = tickets[start : start + _AT_ONCE]
            await self._run("restore", tickets=[_request_of(ticket) for ticket in some])

    async def holders(self) -> Sequence[str]:
        """As `Gates.holders`."""
        return _texts(await self._run("holders"))

    async def next_waiting(self) -> Sequence[str]:
        """As `Gates.next_waiting`."""
        return _texts(await self._run("next_waiting"))

    async def in_wait_queue(self, task_ids: Sequence[str]) -> Sequence[bool]:
        """As `Gates.in_wait_queue`; one round trip for each 200 tasks."""
        answers: list[bool] = []
        for start in range(0, len(task_ids), _AT_ONCE):
            some = list(task_ids[start : start + _AT_ONCE])
            answers += map(bool, await self._run("in_wait_queue", task_ids=some))
        return answers

    async def forget(self, task_id: str) -> Sequence[str]:
        """As `Gates.forget`."""
        return _texts(await self._run("forget", task_id=task_id))

    async def views(self) -> tuple[Sequence[GateView], Sequence[CircuitBreakerView]]:
        """As `Gates.views`."""
        gates, circuit_breakers = await self._run("views")
        now = unix_ms(self._clock())
        return [_gate_view(*row) for row in gates], [_circuit_breaker_view(*row, now=now) for row in circuit_breakers]

    async def _run(self, script: str, **request: Any) -> Any:
        request |= {"now": unix_ms(self._clock()), "rules": self._rules}
        return await self._scripts.run(script, msgspec.json.encode(request).decode())


def _rules_in_ms(rules: GateRules) -> Mapping[str, Any]:
    values = asdict(rules)
    durations = {f"{name}_ms": _length(value) for name, value in values.items() if isinstance(value, timedelta)}
    return {**{name: value for name, value in values.items() if not isinstance(value, timedelta)}, **durations}


def _request_of(ticket: Ticket) -> Mapping[str, Any]:
    gates = {gate.name: gate for gate in ticket.gates}.values()
    return {
        "id": ticket.task_id,
        "account": ticket.account,
        "gates": [
            {"name": gate.name, "limit": -1 if gate.limit is None else gate.limit, "learns": int(gate.learns)}
            for gate in gates
        ],
        "class": CLASSES.index(ticket.priority) + 1,
        "since": unix_ms(ticket.since),
        "submit_interval": ceil(ticket.submit_interval_s * 1000),
        "held_until": unix_ms(ticket.held_until),
    }


def _gate_view(name: bytes, held: int, queued: int, limit: bytes) -> GateView:
    return GateView(name=name.decode(), held=held, queued=queued, limit=float(limit) if limit else None)


def _circuit_breaker_view(account: bytes, failures: int, open_until: int, *, now: int) -> CircuitBreakerView:
    if not open_until:
        return CircuitBreakerView(account=account.decode(), state="closed", failures=failures)
    if open_until <= now:
        return CircuitBreakerView(account=account.decode(), state="half_open", failures=failures)
    return CircuitBreakerView(account=account.decode(), state="open", failures=failures, open_until=_moment(open_until))


def _moment(ms: int) -> datetime | None:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms) if ms else None


def _length(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _texts(values: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(value.decode() for value in values)
