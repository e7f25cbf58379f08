"""In-memory adapter of `Gates`, as plain as possible: what `RedisGates` is compared with."""

from collections.abc import Sequence
from math import ceil, inf

from core.clock import Clock, unix_ms, utc_now
from core.errors import QueueUnavailable
from core.gates import Admission, CircuitBreakerView, Gate, GateView, Refusal, Ticket, VendorStatus
from repositories.gate_rules import GateRules
from tests.fakes.circuit_breakers import MemoryAccount, in_ms, moment_of
from tests.fakes.gate_queues import KnownTask, MemoryWaitQueues, Operation, interval_queue_of


class MemoryGates:
    """
    Adapter of `Gates` for tests.

    Attributes:
        reachable: While it is False, every call raises `QueueUnavailable`.
    """

    def __init__(self, *, clock: Clock = utc_now, rules: GateRules | None = None) -> None:
        self.reachable = True
        self._clock = clock
        self._rules = rules or GateRules()
        self._queues = MemoryWaitQueues(self._rules)
        self._holders: dict[str, int] = {}
        self._accounts: dict[str, MemoryAccount] = {}

    async def enter(self, ticket: Ticket) -> Admission:
        """As `Gates.enter`."""
        operation = self._begin(awake=ticket.task_id)
        self._declare(ticket, operation)
        known = self._queues.tasks.get(ticket.task_id)
        if known is not None and not _is_same(known, ticket):
            self._release(known, operation)
        elif ticket.task_id in self._holders:
            self._hold(ticket)
            return Admission(wakes=self._queues.wakes_of_changed(operation))
        return (
            self._refuse_by_circuit_breaker(ticket, operation)
            or self._refuse_by_gate(ticket, operation)
            or self._refuse_by_submit_interval(ticket, operation)
            or self._grant(ticket, operation)
        )

    async def report(self, ticket: Ticket, vendor_status: VendorStatus) -> Sequence[str]:
        """As `Gates.report`."""
        operation = self._begin()
        self._apply_vendor_status(ticket, vendor_status, operation)
        return self._queues.wakes_of_changed(operation)

    def _apply_vendor_status(self, ticket: Ticket, vendor_status: VendorStatus, operation: Operation) -> None:
        self._declare(ticket, operation)
        account = self._accounts.setdefault(ticket.account, MemoryAccount())
        match vendor_status:
            case VendorStatus.AVAILABLE | VendorStatus.THROTTLED:
                for gate in _distinct(ticket):
                    self._learn(gate, ticket.task_id, vendor_status, operation)
                if account.open_until is not None:
                    operation.mark_changed(*(gate.name for gate in ticket.gates))
                self._accounts[ticket.account] = MemoryAccount(next_at=account.next_at)
            case VendorStatus.UNAVAILABLE:
                account.count_failure(now=operation.now, rules=self._rules)
            case VendorStatus.UNKNOWN:
                self._free_probe(ticket)

    async def leave(self, ticket: Ticket, vendor_status: VendorStatus | None = None) -> Sequence[str]:
        """As `Gates.leave`."""
        operation = self._begin()
        if vendor_status is not None:
            self._apply_vendor_status(ticket, vendor_status, operation)
        known = self._queues.tasks.get(ticket.task_id)
        if known is not None:
            self._release(known, operation)
        self._declare(ticket, None)
        self._release(KnownTask(ticket), operation)
        return self._queues.wakes_of_changed(operation)

    async def restore(self, tickets: Sequence[Ticket]) -> None:
        """As `Gates.restore`."""
        operation = self._begin()
        for ticket in tickets:
            known = self._queues.tasks.get(ticket.task_id)
            if known is not None and not _is_same(known, ticket):
                self._release(known, operation)
            self._declare(ticket, None)
            self._hold(ticket)

    async def holders(self) -> Sequence[str]:
        """As `Gates.holders`."""
        now = self._begin().now
        held = ((until, task_id) for task_id, until in self._holders.items() if until > now)
        return [task_id for _, task_id in sorted(held)]

    async def next_waiting(self) -> Sequence[str]:
        """As `Gates.next_waiting`."""
        operation = self._begin()
        operation.mark_changed(*(name for _, name in sorted((at, name) for name, at in self._queues.queued_at.items())))
        return self._queues.wakes_of_changed(operation)

    async def in_wait_queue(self, task_ids: Sequence[str]) -> Sequence[bool]:
        """As `Gates.in_wait_queue`."""
        now = self._begin().now
        known = [self._queues.tasks.get(task_id) for task_id in task_ids]
        return [each is not None and bool(each.queues) and each.expires_at > now for each in known]

    async def forget(self, task_id: str) -> Sequence[str]:
        """As `Gates.forget`."""
        operation = self._begin()
        if task_id in self._queues.tasks:
            self._release(self._queues.tasks[task_id], operation)
        return self._queues.wakes_of_changed(operation)

    async def views(self) -> tuple[Sequence[GateView], Sequence[CircuitBreakerView]]:
        """As `Gates.views`."""
        now = self._begin().now
        interval_queues = [name for name in self._queues.queued_at if name.startswith(interval_queue_of(""))]
        gates = [self._gate_view(name, now) for name in (*self._queues.declared, *interval_queues)]
        return gates, [account.view(name, now=now) for name, account in self._accounts.items()]

    def _begin(self, *, awake: str = "") -> Operation:
        if not self.reachable:
            raise QueueUnavailable("the in-memory gates were made unreachable by the test")
        return Operation(now=unix_ms(self._clock()), awake=awake)

    def _declare(self, ticket: Ticket, operation: Operation | None) -> None:
        for gate in _distinct(ticket):
            self._queues.declared[gate.name] = gate
            if operation is not None:
                self._queues.expire_holds(gate.name, operation)
        if operation is not None:
            self._holders = {each: until for each, until in self._holders.items() if until > operation.now}

    def _refuse_by_circuit_breaker(self, ticket: Ticket, operation: Operation) -> Admission | None:
        account = self._accounts.get(ticket.account, MemoryAccount())
        again_at = account.again_at(ticket.task_id, now=operation.now, rules=self._rules)
        if again_at is None:
            return None
        known = self._queues.tasks.get(ticket.task_id)
        if known is not None and known.queues:
            known.expires_at = again_at + in_ms(self._rules.wait_queue_late)
        return self._refusal(Refusal.CIRCUIT_BREAKER_OPEN, again_at, operation)

    def _refuse_by_gate(self, ticket: Ticket, operation: Operation) -> Admission | None:
        for gate in _distinct(ticket):
            if self._queues.free_slots(gate.name) > 0:
                self._queues.expire_waiting(gate.name, operation)
            if not self._queues.has_slot_for(gate.name, KnownTask(ticket)):
                again_at = operation.now + in_ms(self._rules.wait_queue_check)
                known = KnownTask(ticket, expires_at=again_at + in_ms(self._rules.wait_queue_late))
                self._wait_in(known, [gate.name], operation)
                return self._refusal(Refusal.FULL, again_at, operation, gate=gate.name)
        return None

    def _refuse_by_submit_interval(self, ticket: Ticket, operation: Operation) -> Admission | None:
        next_at = self._accounts.get(ticket.account, MemoryAccount()).next_at
        if not ticket.submit_interval_s or next_at is None:
            return None
        queue = interval_queue_of(ticket.account)
        self._queues.expire_waiting(queue, operation)
        due = next_at + _submit_interval(ticket) * self._queues.position_of(queue, KnownTask(ticket))
        if due <= operation.now:
            return None
        known = KnownTask(ticket, expires_at=due + in_ms(self._rules.submit_interval_late), interval_only=True)
        self._wait_in(known, self._counting_queues(ticket), operation)
        return self._refusal(Refusal.SUBMIT_INTERVAL, due, operation)

    def _grant(self, ticket: Ticket, operation: Operation) -> Admission:
        queues = self._counting_queues(ticket)
        known = self._queues.tasks.get(ticket.task_id, KnownTask(ticket))
        for name in queues:
            self._queues.count_turn(name, known)
        operation.mark_changed(*(name for name in known.queues if name not in queues))
        self._hold(ticket)
        account = self._accounts.setdefault(ticket.account, MemoryAccount())
        if ticket.submit_interval_s:
            account.next_at = operation.now + _submit_interval(ticket)
        account.submitted(ticket.task_id, now=operation.now, rules=self._rules)
        return Admission(wakes=self._queues.wakes_of_changed(operation))

    def _refusal(self, refusal: Refusal, again_at: int, operation: Operation, *, gate: str | None = None) -> Admission:
        wakes = self._queues.wakes_of_changed(operation)
        return Admission(refusal=refusal, gate=gate, again_at=moment_of(again_at), wakes=wakes)

    def _wait_in(self, known: KnownTask, queues: Sequence[str], operation: Operation) -> None:
        former = self._queues.tasks.get(known.ticket.task_id, known)
        operation.mark_changed(*(name for name in former.queues if name not in queues))
        self._queues.tasks[known.ticket.task_id] = known
        self._queues.enqueue(known, queues, operation.now)

    def _counting_queues(self, ticket: Ticket) -> list[str]:
        limited = (gate.name for gate in _distinct(ticket) if self._queues.limit_of(gate.name) is not None)
        return [interval_queue_of(ticket.account), *limited]

    def _hold(self, ticket: Ticket) -> None:
        until = unix_ms(ticket.held_until)
        for held in (self._queues.held.setdefault(gate.name, {}) for gate in ticket.gates):
            held[ticket.task_id] = max(until, held.get(ticket.task_id, 0))
        self._holders[ticket.task_id] = max(until, self._holders.get(ticket.task_id, 0))
        self._queues.tasks[ticket.task_id] = KnownTask(ticket)

    def _release(self, known: KnownTask, operation: Operation) -> None:
        task_id = known.ticket.task_id
        for name in known.names:
            self._queues.held.get(name, {}).pop(task_id, None)
        operation.mark_changed(*known.names, *known.queues)
        self._queues.tasks.pop(task_id, None)
        self._holders.pop(task_id, None)
        self._free_probe(known.ticket)

    def _free_probe(self, ticket: Ticket) -> None:
        account = self._accounts.get(ticket.account)
        if account is not None:
            account.free_probe(ticket.task_id)

    def _learn(self, gate: Gate, task_id: str, vendor_status: VendorStatus, operation: Operation) -> None:
        if gate.limit is not None or not gate.learns:
            return
        held = self._queues.held.get(gate.name, {})
        learned = self._queues.learned.get(gate.name, inf)
        if vendor_status is VendorStatus.THROTTLED:
            self._queues.learned[gate.name] = max(1.0, min(learned, len(held.keys() - {task_id})))
        elif learned != inf:
            operation.mark_changed(gate.name)
            self._queues.learned[gate.name] = learned = learned + 1 / learned
            if learned > self._rules.unlearned_above and learned > self._rules.unlearned_times * len(held):
                del self._queues.learned[gate.name]

    def _gate_view(self, name: str, now: int) -> GateView:
        held = sum(until > now for until in self._queues.held.get(name, {}).values())
        return GateView(name=name, held=held, queued=len(self._queues.waiting(name)), limit=self._queues.limit_of(name))


def _is_same(known: KnownTask, ticket: Ticket) -> bool:
    return (known.ticket.account, known.names) == (ticket.account, tuple(gate.name for gate in ticket.gates))


def _distinct(ticket: Ticket) -> Sequence[Gate]:
    return list({gate.name: gate for gate in ticket.gates}.values())


def _submit_interval(ticket: Ticket) -> int:
    return ceil(ticket.submit_interval_s * 1000)
