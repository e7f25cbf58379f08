"""What `MemoryGates` knows about its gates and lines, in the plainest form; times are milliseconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, inf

from core.gates import Gate, Ticket
from repositories.gate_rules import CLASSES, GateRules, interval_queue_of
from repositories.valkey.connection import milliseconds


@dataclass
class Known:
    """A task that holds its gates or stands in lines; `paced` where it waits for the spacing only."""

    ticket: Ticket
    lines: tuple[str, ...] = ()
    stale_at: int = 0
    paced: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Its gates."""
        return tuple(gate.name for gate in self.ticket.gates)

    @property
    def rank(self) -> int:
        """Of its class, 0 first."""
        return CLASSES.index(self.ticket.priority)

    @property
    def place(self) -> tuple[int, str]:
        """Within its class."""
        return milliseconds(self.ticket.since), self.ticket.task_id


@dataclass
class Round:
    """One operation: the gates that may have room for others now, and who is woken."""

    now: int
    awake: str = ""
    dirty: list[str] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)

    def mark(self, *names: str) -> None:
        """These gates may have room for others now."""
        self.dirty += [name for name in dict.fromkeys(names) if name not in self.dirty]

    def wake(self, task_id: str) -> None:
        """Once, and not the one that asks."""
        if task_id not in self.wakes and task_id != self.awake:
            self.wakes.append(task_id)


@dataclass
class MemoryWaitQueues:
    """Gates, holds and wait queues."""

    rules: GateRules
    tasks: dict[str, Known] = field(default_factory=dict)
    reported: dict[str, Gate] = field(default_factory=dict)
    learned: dict[str, float] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    turns: dict[str, list[int]] = field(default_factory=dict)
    stood_at: dict[str, int] = field(default_factory=dict)

    def limit_of(self, name: str) -> float | None:
        """The limit in force."""
        gate = self.reported.get(name)
        if gate is None:
            return None
        if gate.limit is not None:
            return gate.limit
        return self.learned.get(name) if gate.learns else None

    def room_in(self, name: str) -> float:
        """How many more may hold it."""
        limit = self.limit_of(name)
        return inf if limit is None else floor(limit) - len(self.held.get(name, {}))

    def line(self, name: str) -> list[Known]:
        """Who stands there, in no order."""
        return [known for known in self.tasks.values() if name in known.lines]

    def in_turn(self, name: str, *, with_: Known | None = None) -> Iterator[Known]:
        """Who stands there, with that one, in the order in which they have their turns."""
        members = {known.ticket.task_id: known for known in self.line(name)}
        if with_ is not None:
            members[with_.ticket.task_id] = with_
        classes = [
            sorted((known for known in members.values() if known.rank == rank), key=lambda known: known.place)
            for rank in range(len(CLASSES))
        ]
        turns = list(self.turns.get(name, [0, 0, 0]))
        while any(classes):
            present = [rank for rank in range(len(CLASSES)) if classes[rank]]
            total = self._credit(turns, present)
            chosen = max(present, key=lambda rank: (turns[rank], -rank))
            turns[chosen] -= total
            yield classes[chosen].pop(0)

    def before(self, name: str, known: Known) -> int:
        """How many have their turn before that one, whether or not it stands there."""
        order = [each.ticket.task_id for each in self.in_turn(name, with_=known)]
        return order.index(known.ticket.task_id)

    def has_room_for(self, name: str, known: Known) -> bool:
        """Room for it, and for all who have their turn before."""
        task_quotas = self.room_in(name)
        return task_quotas == inf or (task_quotas > 0 and self.before(name, known) < task_quotas)

    def take_turn(self, name: str, known: Known) -> None:
        """It had its turn."""
        present = sorted({each.rank for each in self.line(name)} | {known.rank})
        if len(present) > 1:
            turns = self.turns.setdefault(name, [0, 0, 0])
            total = self._credit(turns, present)
            turns[known.rank] -= total

    def stand(self, known: Known, lines: Sequence[str], now: int) -> None:
        """In these lines, and no others."""
        known.lines = tuple(lines)
        self.stood_at |= dict.fromkeys(lines, now)

    def sweep(self, name: str, round_: Round) -> None:
        """Drop the holds that nobody ended in time."""
        late = [task_id for task_id, until in self.held.get(name, {}).items() if until <= round_.now]
        for task_id in late:
            del self.held[name][task_id]
            round_.mark(name)

    def drop_stale(self, name: str, round_: Round) -> None:
        """Who did not ask again in time gives up the place and is woken; a few at a time."""
        for rank in range(len(CLASSES)):
            of_class = sorted((known for known in self.line(name) if known.rank == rank), key=lambda each: each.place)
            for known in of_class[: self.rules.most_expired]:
                if known.stale_at > round_.now:
                    break
                del self.tasks[known.ticket.task_id]
                round_.mark(*known.names)
                round_.wake(known.ticket.task_id)

    def wakes_of(self, round_: Round) -> tuple[str, ...]:
        """Look at each gate that may have room, also at those that come to be by that."""
        for name in round_.dirty:
            if not name.startswith(interval_queue_of("")) and self.line(name):
                self._invite(name, round_)
        return tuple(round_.wakes)

    def _invite(self, name: str, round_: Round) -> None:
        self.sweep(name, round_)
        self.drop_stale(name, round_)
        task_quotas = min(self.room_in(name), self.rules.most_wakes)
        if task_quotas <= 0:
            return
        moves = 0
        while moves < self.rules.most_moves and self._move_one(name, int(task_quotas), round_):
            moves += 1
        for known in list(self.in_turn(name))[: int(task_quotas)]:
            if not known.paced and (moves < self.rules.most_moves or self._other_full(name, known, round_) is None):
                round_.wake(known.ticket.task_id)

    def _move_one(self, name: str, task_quotas: int, round_: Round) -> bool:
        for known in list(self.in_turn(name))[:task_quotas]:
            other = None if known.paced else self._other_full(name, known, round_)
            if other is not None:
                self.stand(known, [other], round_.now)
                return True
        return False

    def _other_full(self, name: str, known: Known, round_: Round) -> str | None:
        for other in known.names:
            if other != name:
                self.sweep(other, round_)
                if not self.has_room_for(other, known):
                    return other
        return None

    def _credit(self, turns: list[int], present: Sequence[int]) -> int:
        """Give each class its weight and answer the sum."""
        for rank in present:
            turns[rank] += self.rules.weights[rank]
        return sum(self.rules.weights[rank] for rank in present)
