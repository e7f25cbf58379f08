"""The twin of `RedisGates` that lives in this process's memory: for tests, and for nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, inf

from core.clock import Clock, utc_now
from core.errors import QueueUnavailable
from core.gates import Admission, CircuitBreakerView, Gate, GateView, Refusal, Ticket, VendorStatus
from repositories.gate_rules import GateRules, interval_queue_of
from repositories.valkey.connection import milliseconds
from tests.fakes.gate_queues import Known, MemoryWaitQueues, Round


@dataclass
class _Account:
    failures: int = 0
    opened: int = 0
    open_until: int | None = None
    probe: str | None = None
    probe_until: int = 0
    next_at: int | None = None


class MemoryGates:
    """
    Gates in dictionaries.

    Attributes:
        reachable: Set it to False, and every call raises `QueueUnavailable`.
    """

    def __init__(self, *, clock: Clock = utc_now, rules: GateRules | None = None) -> None:
        self.reachable = True
        self._clock = clock
        self._rules = rules or GateRules()
        self._lines = MemoryWaitQueues(self._rules)
        self._holders: dict[str, int] = {}
        self._accounts: dict[str, _Account] = {}

    async def enter(self, ticket: Ticket) -> Admission:
        """As `Gates.enter`."""
        round_ = self._begin(awake=ticket.task_id)
        self._declare(ticket, round_)
        known = self._lines.tasks.get(ticket.task_id)
        if known is not None and not _is_same(known, ticket):
            self._release(known, round_)
        elif ticket.task_id in self._holders:
            self._hold(ticket)
            return Admission(wakes=self._lines.wakes_of(round_))
        return (
            self._refuse_by_circuit_breaker(ticket, round_)
            or self._refuse_by_gate(ticket, round_)
            or self._refuse_by_submit_interval(ticket, round_)
            or self._grant(ticket, round_)
        )

    async def report(self, ticket: Ticket, vendor_status: VendorStatus) -> Sequence[str]:
        """As `Gates.report`."""
        round_ = self._begin()
        self._apply_vendor_status(ticket, vendor_status, round_)
        return self._lines.wakes_of(round_)

    def _apply_vendor_status(self, ticket: Ticket, vendor_status: VendorStatus, round_: Round) -> None:
        self._declare(ticket, round_)
        account = self._accounts.setdefault(ticket.account, _Account())
        match vendor_status:
            case VendorStatus.AVAILABLE | VendorStatus.THROTTLED:
                for gate in _distinct(ticket):
                    self._learn(gate, ticket.task_id, vendor_status, round_)
                if account.open_until is not None:
                    round_.mark(*(gate.name for gate in ticket.gates))
                self._accounts[ticket.account] = _Account(next_at=account.next_at)
            case VendorStatus.UNAVAILABLE:
                self._count_failure(account, round_.now)
            case VendorStatus.UNKNOWN:
                self._free_probe(ticket)

    async def leave(self, ticket: Ticket, vendor_status: VendorStatus | None = None) -> Sequence[str]:
        """As `Gates.leave`."""
        round_ = self._begin()
        if vendor_status is not None:
            self._apply_vendor_status(ticket, vendor_status, round_)
        known = self._lines.tasks.get(ticket.task_id)
        if known is not None:
            self._release(known, round_)
        self._declare(ticket, None)
        self._release(Known(ticket), round_)
        return self._lines.wakes_of(round_)

    async def restore(self, tickets: Sequence[Ticket]) -> None:
        """As `Gates.restore`."""
        round_ = self._begin()
        for ticket in tickets:
            known = self._lines.tasks.get(ticket.task_id)
            if known is not None and not _is_same(known, ticket):
                self._release(known, round_)
            self._declare(ticket, None)
            self._hold(ticket)

    async def holders(self) -> Sequence[str]:
        """As `Gates.holders`."""
        now = self._begin().now
        held = ((until, task_id) for task_id, until in self._holders.items() if until > now)
        return [task_id for _, task_id in sorted(held)]

    async def next_waiting(self) -> Sequence[str]:
        """As `Gates.next_waiting`."""
        round_ = self._begin()
        round_.mark(*(name for _, name in sorted((at, name) for name, at in self._lines.stood_at.items())))
        return self._lines.wakes_of(round_)

    async def in_wait_queue(self, task_ids: Sequence[str]) -> Sequence[bool]:
        """As `Gates.in_wait_queue`."""
        now = self._begin().now
        known = [self._lines.tasks.get(task_id) for task_id in task_ids]
        return [each is not None and bool(each.lines) and each.stale_at > now for each in known]

    async def forget(self, task_id: str) -> Sequence[str]:
        """As `Gates.forget`."""
        round_ = self._begin()
        if task_id in self._lines.tasks:
            self._release(self._lines.tasks[task_id], round_)
        return self._lines.wakes_of(round_)

    async def views(self) -> tuple[Sequence[GateView], Sequence[CircuitBreakerView]]:
        """As `Gates.views`."""
        now = self._begin().now
        pacers = [name for name in self._lines.stood_at if name.startswith(interval_queue_of(""))]
        gates = [self._gate_view(name, now) for name in (*self._lines.reported, *pacers)]
        return gates, [_circuit_breaker_view(name, account, now) for name, account in self._accounts.items()]

    def _begin(self, *, awake: str = "") -> Round:
        if not self.reachable:
            raise QueueUnavailable("the memory cannot be reached, as the test wanted it")
        return Round(now=milliseconds(self._clock()), awake=awake)

    def _declare(self, ticket: Ticket, round_: Round | None) -> None:
        for gate in _distinct(ticket):
            self._lines.reported[gate.name] = gate
            if round_ is not None:
                self._lines.sweep(gate.name, round_)
        if round_ is not None:
            self._holders = {each: until for each, until in self._holders.items() if until > round_.now}

    def _refuse_by_circuit_breaker(self, ticket: Ticket, round_: Round) -> Admission | None:
        again_at = self._circuit_breaker_again_at(ticket, round_.now)
        if again_at is None:
            return None
        known = self._lines.tasks.get(ticket.task_id)
        if known is not None and known.lines:
            known.stale_at = again_at + _ms(self._rules.wait_queue_late)
        return self._refusal(Refusal.CIRCUIT_BREAKER_OPEN, again_at, round_)

    def _circuit_breaker_again_at(self, ticket: Ticket, now: int) -> int | None:
        account = self._accounts.get(ticket.account, _Account())
        if account.open_until is None:
            return None
        if now < account.open_until:
            return account.open_until
        if account.probe not in {None, ticket.task_id} and now < account.probe_until:
            return min(account.probe_until, now + _ms(self._rules.probe_check))
        return None

    def _refuse_by_gate(self, ticket: Ticket, round_: Round) -> Admission | None:
        for gate in _distinct(ticket):
            if self._lines.room_in(gate.name) > 0:
                self._lines.drop_stale(gate.name, round_)
            if not self._lines.has_room_for(gate.name, Known(ticket)):
                again_at = round_.now + _ms(self._rules.wait_queue_check)
                known = Known(ticket, stale_at=again_at + _ms(self._rules.wait_queue_late))
                self._stand(known, [gate.name], round_)
                return self._refusal(Refusal.FULL, again_at, round_, gate=gate.name)
        return None

    def _refuse_by_submit_interval(self, ticket: Ticket, round_: Round) -> Admission | None:
        next_at = self._accounts.get(ticket.account, _Account()).next_at
        if not ticket.submit_interval_s or next_at is None:
            return None
        pacer = interval_queue_of(ticket.account)
        self._lines.drop_stale(pacer, round_)
        due = next_at + _submit_interval(ticket) * self._lines.before(pacer, Known(ticket))
        if due <= round_.now:
            return None
        known = Known(ticket, stale_at=due + _ms(self._rules.submit_interval_late), paced=True)
        self._stand(known, self._limited_lines(ticket), round_)
        return self._refusal(Refusal.SUBMIT_INTERVAL, due, round_)

    def _grant(self, ticket: Ticket, round_: Round) -> Admission:
        lines = self._limited_lines(ticket)
        known = self._lines.tasks.get(ticket.task_id, Known(ticket))
        for name in lines:
            self._lines.take_turn(name, known)
        round_.mark(*(name for name in known.lines if name not in lines))
        self._hold(ticket)
        account = self._accounts.setdefault(ticket.account, _Account())
        if ticket.submit_interval_s:
            account.next_at = round_.now + _submit_interval(ticket)
        if account.open_until is not None:
            account.probe, account.probe_until = ticket.task_id, round_.now + _ms(self._rules.probe_for)
        return Admission(wakes=self._lines.wakes_of(round_))

    def _refusal(self, refusal: Refusal, again_at: int, round_: Round, *, gate: str | None = None) -> Admission:
        wakes = self._lines.wakes_of(round_)
        return Admission(refusal=refusal, gate=gate, again_at=_moment(again_at), wakes=wakes)

    def _stand(self, known: Known, lines: Sequence[str], round_: Round) -> None:
        former = self._lines.tasks.get(known.ticket.task_id, known)
        round_.mark(*(name for name in former.lines if name not in lines))
        self._lines.tasks[known.ticket.task_id] = known
        self._lines.stand(known, lines, round_.now)

    def _limited_lines(self, ticket: Ticket) -> list[str]:
        limited = (gate.name for gate in _distinct(ticket) if self._lines.limit_of(gate.name) is not None)
        return [interval_queue_of(ticket.account), *limited]

    def _hold(self, ticket: Ticket) -> None:
        until = milliseconds(ticket.held_until)
        for held in (self._lines.held.setdefault(gate.name, {}) for gate in ticket.gates):
            held[ticket.task_id] = max(until, held.get(ticket.task_id, 0))
        self._holders[ticket.task_id] = max(until, self._holders.get(ticket.task_id, 0))
        self._lines.tasks[ticket.task_id] = Known(ticket)

    def _release(self, known: Known, round_: Round) -> None:
        task_id = known.ticket.task_id
        for name in known.names:
            self._lines.held.get(name, {}).pop(task_id, None)
        round_.mark(*known.names, *known.lines)
        self._lines.tasks.pop(task_id, None)
        self._holders.pop(task_id, None)
        self._free_probe(known.ticket)

    def _free_probe(self, ticket: Ticket) -> None:
        account = self._accounts.get(ticket.account)
        if account is not None and account.probe == ticket.task_id:
            account.probe = None

    def _learn(self, gate: Gate, task_id: str, vendor_status: VendorStatus, round_: Round) -> None:
        if gate.limit is not None or not gate.learns:
            return
        held = self._lines.held.get(gate.name, {})
        learned = self._lines.learned.get(gate.name, inf)
        if vendor_status is VendorStatus.THROTTLED:
            self._lines.learned[gate.name] = max(1.0, min(learned, len(held.keys() - {task_id})))
        elif learned != inf:
            round_.mark(gate.name)
            self._lines.learned[gate.name] = learned = learned + 1 / learned
            if learned > self._rules.unlearned_above and learned > self._rules.unlearned_times * len(held):
                del self._lines.learned[gate.name]

    def _count_failure(self, account: _Account, now: int) -> None:
        account.failures += 1
        fails_enough = account.open_until is None and account.failures >= self._rules.open_after
        if fails_enough or (account.open_until is not None and now >= account.open_until):
            account.opened += 1
            longest = _ms(self._rules.open_for_most)
            account.open_until = now + min(_ms(self._rules.open_for) * 2 ** (account.opened - 1), longest)
            account.probe = None

    def _gate_view(self, name: str, now: int) -> GateView:
        held = sum(until > now for until in self._lines.held.get(name, {}).values())
        return GateView(name=name, held=held, queued=len(self._lines.line(name)), limit=self._lines.limit_of(name))


def _is_same(known: Known, ticket: Ticket) -> bool:
    return (known.ticket.account, known.names) == (ticket.account, tuple(gate.name for gate in ticket.gates))


def _distinct(ticket: Ticket) -> Sequence[Gate]:
    return list({gate.name: gate for gate in ticket.gates}.values())


def _circuit_breaker_view(name: str, account: _Account, now: int) -> CircuitBreakerView:
    if account.open_until is None:
        return CircuitBreakerView(account=name, state="closed", failures=account.failures)
    if account.open_until <= now:
        return CircuitBreakerView(account=name, state="half_open", failures=account.failures)
    return CircuitBreakerView(
        account=name, state="open", failures=account.failures, open_until=_moment(account.open_until)
    )


def _submit_interval(ticket: Ticket) -> int:
    return ceil(ticket.submit_interval_s * 1000)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
