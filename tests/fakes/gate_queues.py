"""Wait queues of `MemoryGates`: holds, limits, turns by weight, and which tasks to wake. Times are milliseconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, inf

from core.clock import unix_ms
from core.gates import Gate, Ticket
from repositories.gate_rules import CLASSES, GateRules


def interval_queue_of(account: str) -> str:
    """The wait queue, named like a gate, of tasks that wait for an account's submit interval only."""
    return f"spacing:{account}"


@dataclass
class KnownTask:
    """A task that holds its gates or waits in queues; `interval_only` if it waits for the submit interval only."""

    ticket: Ticket
    queues: tuple[str, ...] = ()
    expires_at: int = 0
    interval_only: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its gates."""
        return tuple(gate.name for gate in self.ticket.gates)

    @property
    def rank(self) -> int:
        """The number of its priority class; 0 is the first."""
        return CLASSES.index(self.ticket.priority)

    @property
    def order(self) -> tuple[int, str]:
        """Its sort key within its class."""
        return unix_ms(self.ticket.since), self.ticket.task_id


@dataclass
class Operation:
    """One operation: the gates that changed by it, and the tasks to wake."""

    now: int
    awake: str = ""
    changed: list[str] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)

    def mark_changed(self, *names: str) -> None:
        """Add gates that may have slots for waiting tasks now."""
        self.changed += [name for name in dict.fromkeys(names) if name not in self.changed]

    def wake(self, task_id: str) -> None:
        """Wake a task, once; the task that asks (`awake`) is not woken."""
        if task_id not in self.wakes and task_id != self.awake:
            self.wakes.append(task_id)


@dataclass
class MemoryWaitQueues:
    """The state of gates, holds and wait queues."""

    rules: GateRules
    tasks: dict[str, KnownTask] = field(default_factory=dict)
    declared: dict[str, Gate] = field(default_factory=dict)
    learned: dict[str, float] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    turns: dict[str, list[int]] = field(default_factory=dict)
    queued_at: dict[str, int] = field(default_factory=dict)

    def limit_of(self, name: str) -> float | None:
        """The limit in force."""
        gate = self.declared.get(name)
        if gate is None:
            return None
        if gate.limit is not None:
            return gate.limit
        return self.learned.get(name) if gate.learns else None

    def free_slots(self, name: str) -> float:
        """How many more tasks may hold the gate."""
        limit = self.limit_of(name)
        return inf if limit is None else floor(limit) - len(self.held.get(name, {}))

    def waiting(self, name: str) -> list[KnownTask]:
        """The tasks in the wait queue, in no order."""
        return [known for known in self.tasks.values() if name in known.queues]

    def in_turn(self, name: str, *, with_: KnownTask | None = None) -> Iterator[KnownTask]:
        """The tasks in the wait queue, with `with_`, in the order of their turns."""
        members = {known.ticket.task_id: known for known in self.waiting(name)}
        if with_ is not None:
            members[with_.ticket.task_id] = with_
        classes = [
            sorted((known for known in members.values() if known.rank == rank), key=lambda known: known.order)
            for rank in range(len(CLASSES))
        ]
        turns = list(self.turns.get(name, [0, 0, 0]))
        while any(classes):
            present = [rank for rank in range(len(CLASSES)) if classes[rank]]
            total = self._credit(turns, present)
            chosen = max(present, key=lambda rank: (turns[rank], -rank))
            turns[chosen] -= total
            yield classes[chosen].pop(0)

    def position_of(self, name: str, known: KnownTask) -> int:
        """How many tasks have their turn before that one, whether or not it is in the queue."""
        order = [each.ticket.task_id for each in self.in_turn(name, with_=known)]
        return order.index(known.ticket.task_id)

    def has_slot_for(self, name: str, known: KnownTask) -> bool:
        """Whether there is a slot for the task and for all that have their turn before it."""
        free = self.free_slots(name)
        return free == inf or (free > 0 and self.position_of(name, known) < free)

    def count_turn(self, name: str, known: KnownTask) -> None:
        """Count that the task had its turn."""
        present = sorted({each.rank for each in self.waiting(name)} | {known.rank})
        if len(present) > 1:
            turns = self.turns.setdefault(name, [0, 0, 0])
            total = self._credit(turns, present)
            turns[known.rank] -= total

    def enqueue(self, known: KnownTask, queues: Sequence[str], now: int) -> None:
        """Put the task in these queues, and no others."""
        known.queues = tuple(queues)
        self.queued_at |= dict.fromkeys(queues, now)

    def expire_holds(self, name: str, operation: Operation) -> None:
        """End the holds whose time has passed."""
        late = [task_id for task_id, until in self.held.get(name, {}).items() if until <= operation.now]
        for task_id in late:
            del self.held[name][task_id]
            operation.mark_changed(name)

    def expire_waiting(self, name: str, operation: Operation) -> None:
        """Remove and wake the tasks that did not ask again in time; at most `most_expired` of a class."""
        for rank in range(len(CLASSES)):
            of_class = sorted(
                (known for known in self.waiting(name) if known.rank == rank), key=lambda each: each.order
            )
            for known in of_class[: self.rules.most_expired]:
                if known.expires_at > operation.now:
                    break
                del self.tasks[known.ticket.task_id]
                operation.mark_changed(*known.names)
                operation.wake(known.ticket.task_id)

    def wakes_of_changed(self, operation: Operation) -> tuple[str, ...]:
        """The tasks to wake: of each changed gate, also of those that change meanwhile."""
        for name in operation.changed:
            if not name.startswith(interval_queue_of("")) and self.waiting(name):
                self._wake_waiting(name, operation)
        return tuple(operation.wakes)

    def _wake_waiting(self, name: str, operation: Operation) -> None:
        self.expire_holds(name, operation)
        self.expire_waiting(name, operation)
        free = min(self.free_slots(name), self.rules.most_wakes)
        if free <= 0:
            return
        moves = 0
        while moves < self.rules.most_moves and self._move_one(name, int(free), operation):
            moves += 1
        for known in list(self.in_turn(name))[: int(free)]:
            if not known.interval_only and (
                moves < self.rules.most_moves or self._other_full(name, known, operation) is None
            ):
                operation.wake(known.ticket.task_id)

    def _move_one(self, name: str, free: int, operation: Operation) -> bool:
        for known in list(self.in_turn(name))[:free]:
            other = None if known.interval_only else self._other_full(name, known, operation)
            if other is not None:
                self.enqueue(known, [other], operation.now)
                return True
        return False

    def _other_full(self, name: str, known: KnownTask, operation: Operation) -> str | None:
        for other in known.names:
            if other != name:
                self.expire_holds(other, operation)
                if not self.has_slot_for(other, known):
                    return other
        return None

    def _credit(self, turns: list[int], present: Sequence[int]) -> int:
        """Add the weight of each class to its turns, and return their sum."""
        for rank in present:
            turns[rank] += self.rules.weights[rank]
        return sum(self.rules.weights[rank] for rank in present)
