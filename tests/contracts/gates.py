"""
What every `Gates` does.

A test class inherits the suites and gives the fixture `gates`, an empty one that goes by `RULES` and the fixture
`clock`.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.gates import CircuitBreakerView, Gate, Gates, GateView, Refusal, Ticket, VendorStatus
from core.priorities import Priority
from repositories.gate_rules import GateRules

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
RULES = GateRules()

TWO = Gate(name="provider:volcengine", limit=2)
ONE = Gate(name="model:volcengine/jimeng", limit=1)
OTHER = Gate(name="model:volcengine/seedream", limit=1)
LEARNS = Gate(name="provider:openai", learns=True)
HOLD_S = 600


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The current time of the clock."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(seconds=seconds)


def a_ticket(number: int, *gates: Gate, **values: Any) -> Ticket:
    """The ticket of the task of that number, created `number` milliseconds after `NOW`."""
    fields = {
        "task_id": f"task_{number}",
        "account": "volcengine",
        "gates": gates,
        "priority": Priority.DEFAULT,
        "since": NOW + timedelta(milliseconds=number),
        "held_until": NOW + timedelta(seconds=HOLD_S),
    }
    return Ticket(**{**fields, **values})


async def granted(gates: Gates, tickets: Sequence[Ticket]) -> list[str]:
    """Enter with each ticket in turn. Returns the ids of the granted tasks."""
    return [ticket.task_id for ticket in tickets if (await gates.enter(ticket)).granted]


async def gate_view(gates: Gates, name: str) -> GateView:
    """The view of one gate."""
    (view,) = [view for view in (await gates.views())[0] if view.name == name]
    return view


async def queued_at(gates: Gates, name: str) -> int:
    """How many tasks wait in the wait queue of a gate; "spacing:<account>" is that of the submit interval alone."""
    return (await gate_view(gates, name)).queued


async def circuit_breaker(gates: Gates) -> CircuitBreakerView:
    """The view of the one account."""
    (view,) = (await gates.views())[1]
    return view


async def leave_in_turn(gates: Gates, tickets: Sequence[Ticket], holder: Ticket) -> list[str]:
    """Let the holder of a gate of one leave, then each woken task. Returns the order in which they were admitted."""
    by_id = {ticket.task_id: ticket for ticket in tickets}
    order = []
    while woken := await gates.leave(holder):
        (task_id,) = woken
        holder = by_id[task_id]
        assert (await gates.enter(holder)).granted
        order.append(task_id)
    return order


class HoldContract:
    """Holds: admission up to the limit, and leaving."""

    @pytest.fixture
    def clock(self) -> MovableClock:
        """Stands at `NOW`."""
        return MovableClock()

    async def test_as_many_as_the_limit_are_let_in(self, gates: Gates) -> None:
        """The next one is refused, with the full gate and when to ask again."""
        tickets = [a_ticket(number, TWO) for number in range(3)]

        assert await granted(gates, tickets[:2]) == ["task_0", "task_1"]
        refused = await gates.enter(tickets[2])

        assert (refused.refusal, refused.gate) == (Refusal.FULL, TWO.name)
        assert refused.again_at == NOW + RULES.wait_queue_check

    async def test_a_gate_without_a_limit_lets_all_in(self, gates: Gates) -> None:
        """Nothing set means no fixed limit."""
        tickets = [a_ticket(number, Gate(name="provider:x")) for number in range(50)]

        assert len(await granted(gates, tickets)) == 50

    async def test_a_gate_with_limit_zero_admits_no_task(self, gates: Gates) -> None:
        """And no task is woken for it."""
        closed = Gate(name="provider:x", limit=0)

        assert await granted(gates, [a_ticket(1, closed)]) == []
        assert list(await gates.next_waiting()) == []

    async def test_all_gates_are_held_or_none(self, gates: Gates) -> None:
        """A task that one gate refuses takes no slot of the others."""
        await gates.enter(a_ticket(1, TWO, ONE))
        await gates.enter(a_ticket(2, TWO, ONE))

        assert (await gate_view(gates, TWO.name)).held == 1
        assert (await gates.enter(a_ticket(3, TWO))).granted

    async def test_a_holder_that_asks_again_is_granted_and_holds_longer(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """It holds its gates once."""
        await gates.enter(a_ticket(1, ONE))
        longer = a_ticket(1, ONE, held_until=NOW + timedelta(seconds=2 * HOLD_S))
        assert (await gates.enter(longer)).granted
        assert (await gate_view(gates, ONE.name)).held == 1

        clock.forward(HOLD_S + 1)
        assert not (await gates.enter(a_ticket(2, ONE))).granted

    async def test_a_hold_expires_at_its_end(self, gates: Gates, clock: MovableClock) -> None:
        """To the millisecond: the slot of a crashed worker is free then."""
        await gates.enter(a_ticket(1, ONE))
        clock.forward(HOLD_S - 0.001)
        assert not (await gates.enter(a_ticket(2, ONE))).granted
        assert list(await gates.holders()) == ["task_1"]

        clock.forward(0.001)
        assert list(await gates.holders()) == []
        assert (await gates.enter(a_ticket(2, ONE))).granted

    async def test_leaving_twice_is_leaving_once(self, gates: Gates) -> None:
        """The second call ends no other task's hold."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO)])
        await gates.leave(a_ticket(1, TWO))
        await gates.leave(a_ticket(1, TWO))

        assert list(await gates.holders()) == ["task_2"]

    async def test_of_many_that_ask_at_once_exactly_as_many_as_the_limit_are_let_in(self, gates: Gates) -> None:
        """A hundred at a gate of two."""
        answers = await asyncio.gather(*(gates.enter(a_ticket(number, TWO)) for number in range(100)))

        assert sum(answer.granted for answer in answers) == 2
        assert await queued_at(gates, TWO.name) == 98

    async def test_stored_submissions_are_held_whatever_the_limit(self, gates: Gates) -> None:
        """After the state was lost; tasks that ask then wait until fewer than the limit hold."""
        await gates.restore([a_ticket(number, ONE, TWO) for number in range(3)])

        assert sorted(await gates.holders()) == ["task_0", "task_1", "task_2"]
        assert not (await gates.enter(a_ticket(9, ONE))).granted
        assert [list(await gates.leave(a_ticket(number, ONE, TWO))) for number in range(3)] == [[], [], ["task_9"]]

    async def test_asking_for_other_gates_gives_up_the_former_ones(self, gates: Gates) -> None:
        """As for a fallback to another vendor; a task that waits for a former gate is woken."""
        await gates.enter(a_ticket(1, ONE))
        await gates.enter(a_ticket(2, ONE))

        admission = await gates.enter(a_ticket(1, OTHER))

        assert admission.granted
        assert list(admission.wakes) == ["task_2"]

    async def test_a_task_is_forgotten_by_its_id(self, gates: Gates) -> None:
        """Its hold or place ends, and the next task is woken."""
        await granted(gates, [a_ticket(1, ONE), a_ticket(2, ONE), a_ticket(3, ONE)])

        assert list(await gates.forget("task_2")) == []
        assert list(await gates.forget("task_1")) == ["task_3"]
        assert list(await gates.forget("task_unknown")) == []

    async def test_a_task_without_gates_is_let_in(self, gates: Gates) -> None:
        """It is among the holders, which are compared with the stored tasks."""
        assert (await gates.enter(a_ticket(1))).granted
        assert list(await gates.holders()) == ["task_1"]


class WaitQueueContract:
    """Wait queues of full gates."""

    async def test_waiting_tasks_are_admitted_by_creation_time(self, gates: Gates) -> None:
        """In whatever order they asked; those of the same millisecond by id."""
        same = NOW + timedelta(milliseconds=3)
        tickets = [a_ticket(number, ONE) for number in (5, 1, 4)]
        tickets += [a_ticket(number, ONE, since=same) for number in (9, 7)]
        await gates.enter(holder := a_ticket(0, ONE))
        await granted(gates, tickets)

        assert await leave_in_turn(gates, tickets, holder) == ["task_1", "task_7", "task_9", "task_4", "task_5"]

    async def test_the_priorities_of_a_wait_queue_take_turns_by_weight(self, gates: Gates) -> None:
        """Of ten turns critical has six, default three, low one; within a priority the oldest task is first."""
        tickets = [a_ticket(100 * rank + n, ONE, priority=p) for rank, p in enumerate(Priority) for n in range(1, 21)]
        await gates.enter(holder := a_ticket(0, ONE))
        await granted(gates, tickets)

        order = await leave_in_turn(gates, tickets, holder)
        ranks = [int(task_id.removeprefix("task_")) // 100 for task_id in order]

        assert [[ranks[start : start + 10].count(rank) for rank in range(3)] for start in (0, 10)] == [[6, 3, 1]] * 2
        for rank in range(3):
            assert [each for each in order if int(each[5:]) // 100 == rank] == [
                f"task_{100 * rank + n}" for n in range(1, 21)
            ]

    async def test_low_has_its_turns_although_critical_never_ends(self, gates: Gates) -> None:
        """No priority starves: one turn in ten is low's while the others always have waiting tasks."""
        await gates.enter(holder := a_ticket(0, ONE))
        low = [a_ticket(number, ONE, priority=Priority.LOW) for number in range(1, 4)]
        tickets = {ticket.task_id: ticket for ticket in low}
        await granted(gates, low)
        order = []
        for number in range(100, 130):
            fresh = a_ticket(number, ONE, priority=Priority.CRITICAL)
            tickets[fresh.task_id] = fresh
            await gates.enter(fresh)
            (woken,) = await gates.leave(holder)
            holder = tickets[woken]
            assert (await gates.enter(holder)).granted
            order.append(woken)

        assert {ticket.task_id for ticket in low} <= set(order)

    async def test_a_new_task_does_not_overtake_waiting_tasks(self, gates: Gates) -> None:
        """Also while a slot is free and the woken task has not entered yet."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO), a_ticket(3, TWO)])
        assert list(await gates.leave(a_ticket(1, TWO))) == ["task_3"]

        assert (await gates.enter(a_ticket(4, TWO))).refusal is Refusal.FULL
        assert (await gates.enter(a_ticket(3, TWO))).granted

    async def test_a_new_task_is_admitted_if_there_are_slots_for_the_waiting_ones_too(self, gates: Gates) -> None:
        """A slot that no waiting task needs does not stay free."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO), a_ticket(3, TWO)])
        await gates.leave(a_ticket(1, TWO))
        await gates.leave(a_ticket(2, TWO))

        assert (await gates.enter(a_ticket(4, TWO))).granted
        assert (await gates.enter(a_ticket(3, TWO))).granted

    async def test_asking_again_keeps_the_place(self, gates: Gates) -> None:
        """The task keeps its one place."""
        tickets = [a_ticket(number, ONE) for number in range(1, 4)]
        await gates.enter(holder := a_ticket(0, ONE))
        await granted(gates, [*tickets, tickets[0], tickets[0]])

        assert await queued_at(gates, ONE.name) == 3
        assert await leave_in_turn(gates, tickets, holder) == ["task_1", "task_2", "task_3"]

    async def test_a_task_that_leaves_the_wait_queue_and_returns_has_its_place_again(self, gates: Gates) -> None:
        """Its place follows from its creation time, not from when it asked."""
        tickets = [a_ticket(number, ONE) for number in range(1, 3)]
        await gates.enter(holder := a_ticket(0, ONE))
        await granted(gates, tickets)
        await gates.leave(tickets[0])
        assert list(await gates.in_wait_queue(["task_1", "task_2"])) == [False, True]
        await gates.enter(tickets[0])

        assert await leave_in_turn(gates, tickets, holder) == ["task_1", "task_2"]

    async def test_only_waiting_tasks_are_in_the_wait_queue(self, gates: Gates) -> None:
        """Neither holders nor unknown tasks are."""
        await granted(gates, [a_ticket(1, ONE), a_ticket(2, ONE)])

        assert list(await gates.in_wait_queue(["task_2", "task_1", "task_3"])) == [True, False, False]
        assert list(await gates.in_wait_queue([])) == []

    async def test_leaving_wakes_as_many_tasks_as_there_are_free_slots(self, gates: Gates) -> None:
        """One leaves, one is woken, however many wait."""
        await granted(gates, [a_ticket(number, TWO) for number in range(100)])

        assert list(await gates.leave(a_ticket(0, TWO))) == ["task_2"]
        assert list(await gates.leave(a_ticket(1, TWO))) == ["task_2", "task_3"]

    async def test_a_lost_wake_is_found_again(self, gates: Gates) -> None:
        """The first tasks of wait queues with free slots are returned until they enter; others are not."""
        await granted(gates, [a_ticket(1, ONE), a_ticket(2, ONE), a_ticket(3, ONE)])
        assert list(await gates.next_waiting()) == []
        await gates.leave(a_ticket(1, ONE))

        assert list(await gates.next_waiting()) == ["task_2"]
        assert list(await gates.next_waiting()) == ["task_2"]
        await gates.enter(a_ticket(2, ONE))
        assert list(await gates.next_waiting()) == []

    async def test_an_expired_hold_frees_a_slot_for_the_first_waiting_task(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """It is found by the reconciler, and by a new task that has to wait behind it."""
        await granted(gates, [a_ticket(1, ONE)])
        clock.forward(HOLD_S - 1)
        later = clock() + timedelta(seconds=HOLD_S)
        await granted(gates, [a_ticket(2, ONE, held_until=later)])
        clock.forward(1)

        newcomer = await gates.enter(a_ticket(3, ONE, held_until=later))

        assert not newcomer.granted
        assert list(newcomer.wakes) == ["task_2"]
        assert list(await gates.next_waiting()) == ["task_2"]

    async def test_an_expired_first_task_does_not_block_its_wait_queue(self, gates: Gates, clock: MovableClock) -> None:
        """A task that did not ask again in time is removed and woken once; the next one is woken as well."""
        await gates.enter(a_ticket(1, ONE))
        await gates.enter(a_ticket(2, ONE))
        clock.forward((RULES.wait_queue_check + RULES.wait_queue_late).total_seconds() - 300)
        await gates.enter(a_ticket(3, ONE))
        clock.forward(300)

        assert list(await gates.leave(a_ticket(1, ONE))) == ["task_2", "task_3"]
        assert list(await gates.in_wait_queue(["task_2", "task_3"])) == [False, True]
        assert (await gates.enter(a_ticket(3, ONE))).granted

    async def test_a_task_that_waits_for_another_gate_now_lets_the_next_one_go(self, gates: Gates) -> None:
        """The first task finds another gate full: it moves to that wait queue, and the next is woken instead."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO, ONE)])
        await granted(gates, [a_ticket(3, TWO, ONE), a_ticket(4, TWO, OTHER)])
        assert await queued_at(gates, TWO.name) == 2

        assert list(await gates.leave(a_ticket(1, TWO))) == ["task_4"]
        assert (await queued_at(gates, TWO.name), await queued_at(gates, ONE.name)) == (1, 1)
        assert (await gates.enter(a_ticket(4, TWO, OTHER))).granted
        assert list(await gates.leave(a_ticket(2, TWO, ONE))) == ["task_3"]

    async def test_a_place_given_up_for_another_gate_wakes_the_next(self, gates: Gates) -> None:
        """The slot of the other gate was taken meanwhile: the answer names the task to wake instead."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO)])
        await granted(gates, [a_ticket(3, TWO, ONE), a_ticket(4, TWO)])
        assert list(await gates.leave(a_ticket(1, TWO))) == ["task_3"]
        await gates.enter(a_ticket(5, ONE))

        moved = await gates.enter(a_ticket(3, TWO, ONE))

        assert (moved.gate, list(moved.wakes)) == (ONE.name, ["task_4"])


class LearningContract:
    """Learned limits."""

    async def enter_all(self, gates: Gates, count: int) -> list[Ticket]:
        """Enter with `count` tasks at the gate that learns."""
        tickets = [a_ticket(number, LEARNS) for number in range(count)]
        assert len(await granted(gates, tickets)) == count
        return tickets

    async def test_nothing_is_limited_until_the_vendor_says_so(self, gates: Gates) -> None:
        """A success alone sets no limit."""
        tickets = await self.enter_all(gates, 20)
        await gates.report(tickets[0], VendorStatus.AVAILABLE)

        assert (await gate_view(gates, LEARNS.name)).limit is None

    async def test_too_many_at_once_lowers_the_limit_to_what_was_open_beside(self, gates: Gates) -> None:
        """Each further one lowers it again."""
        tickets = await self.enter_all(gates, 5)
        await gates.report(tickets[4], VendorStatus.THROTTLED)
        assert (await gate_view(gates, LEARNS.name)).limit == 4
        await gates.leave(tickets[4])
        await gates.report(tickets[3], VendorStatus.THROTTLED)

        assert (await gate_view(gates, LEARNS.name)).limit == 3
        assert not (await gates.enter(a_ticket(9, LEARNS))).granted

    async def test_a_learned_limit_is_never_below_one_nor_raised_by_too_many(self, gates: Gates) -> None:
        """At least one task is always tried."""
        (alone,) = await self.enter_all(gates, 1)
        await gates.report(alone, VendorStatus.THROTTLED)
        assert (await gate_view(gates, LEARNS.name)).limit == 1
        await gates.restore([a_ticket(number, LEARNS) for number in range(5)])
        await gates.report(alone, VendorStatus.THROTTLED)

        assert (await gate_view(gates, LEARNS.name)).limit == 1

    async def test_success_raises_a_learned_limit_by_one_in_a_round(self, gates: Gates) -> None:
        """Each success adds a fraction of it; a task that has a slot by that is woken."""
        tickets = await self.enter_all(gates, 3)
        await gates.report(tickets[2], VendorStatus.THROTTLED)
        await gates.leave(tickets[2])
        await gates.enter(tickets[2])

        assert list(await gates.report(tickets[0], VendorStatus.AVAILABLE)) == []
        assert (await gate_view(gates, LEARNS.name)).limit == 2.5
        await gates.report(tickets[0], VendorStatus.AVAILABLE)
        assert list(await gates.report(tickets[1], VendorStatus.AVAILABLE)) == ["task_2"]
        assert (await gates.enter(tickets[2])).granted

    async def test_a_limit_far_above_use_is_forgotten(self, gates: Gates) -> None:
        """Above 64, and above ten times the open submissions."""
        tickets = await self.enter_all(gates, 66)
        await gates.report(tickets[0], VendorStatus.THROTTLED)
        for ticket in tickets[5:]:
            await gates.leave(ticket)
        await gates.report(tickets[1], VendorStatus.AVAILABLE)

        assert (await gate_view(gates, LEARNS.name)).limit is None

    async def test_a_set_limit_is_not_learned(self, gates: Gates) -> None:
        """A limit set by an operator stays."""
        await gates.enter(a_ticket(1, TWO))
        await gates.report(a_ticket(1, TWO), VendorStatus.THROTTLED)

        assert (await gate_view(gates, TWO.name)).limit == 2


class SubmitIntervalContract:
    """Submit interval of an account."""

    async def test_two_submits_are_never_closer_than_the_submit_interval(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """The second task is admitted at the time that it was given, and not a millisecond before."""
        assert (await gates.enter(a_ticket(1, submit_interval_s=2))).granted
        second = a_ticket(2, submit_interval_s=2)

        refused = await gates.enter(second)
        assert (refused.refusal, refused.again_at) == (Refusal.SUBMIT_INTERVAL, NOW + timedelta(seconds=2))
        clock.forward(1.999)
        assert not (await gates.enter(second)).granted
        clock.forward(0.001)
        assert (await gates.enter(second)).granted

    async def test_tasks_that_wait_for_the_submit_interval_have_different_times(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """They are one submit interval apart, in the order of the wait queue; each is admitted at its own time."""
        tickets = [a_ticket(number, submit_interval_s=2) for number in range(4)]
        answers = [await gates.enter(ticket) for ticket in tickets]

        assert [answer.again_at for answer in answers[1:]] == [NOW + timedelta(seconds=2 * n) for n in (1, 2, 3)]
        for ticket in tickets[1:]:
            clock.forward(2)
            assert (await gates.enter(ticket)).granted

    async def test_an_expired_task_costs_its_own_interval_only(self, gates: Gates, clock: MovableClock) -> None:
        """The next task is admitted at the time that it was given; the expired task is removed later."""
        tickets = [a_ticket(number, submit_interval_s=2) for number in range(4)]
        await granted(gates, tickets)
        clock.forward(4)
        assert (await gates.enter(tickets[2])).granted

        clock.forward(RULES.submit_interval_late.total_seconds())
        assert (await gates.enter(a_ticket(9, submit_interval_s=2))).granted
        assert list(await gates.in_wait_queue(["task_1"])) == [False]

    async def test_a_task_that_waits_for_the_submit_interval_only_is_not_overtaken_at_a_gate(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """A later task of another account does not take the slot that is kept free for it."""
        await gates.enter(a_ticket(1, submit_interval_s=2))
        waiting = a_ticket(2, ONE, submit_interval_s=2)
        assert (await gates.enter(waiting)).refusal is Refusal.SUBMIT_INTERVAL

        later = await gates.enter(a_ticket(3, ONE, account="other"))
        assert (later.refusal, later.gate) == (Refusal.FULL, ONE.name)
        assert list(await gates.next_waiting()) == []
        clock.forward(2)
        assert (await gates.enter(waiting)).granted
        assert list(await gates.leave(waiting)) == ["task_3"]

    async def test_a_task_that_stops_waiting_for_the_submit_interval_lets_the_next_one_go(self, gates: Gates) -> None:
        """Its slot at the gate is free again."""
        await gates.enter(a_ticket(1, submit_interval_s=2))
        await gates.enter(a_ticket(2, ONE, submit_interval_s=2))
        await gates.enter(a_ticket(3, ONE, account="other"))

        assert list(await gates.leave(a_ticket(2, ONE, submit_interval_s=2))) == ["task_3"]

    async def test_priority_counts_among_tasks_that_wait_for_the_submit_interval(self, gates: Gates) -> None:
        """A new critical task gets an earlier time than many older tasks."""
        await granted(gates, [a_ticket(number, submit_interval_s=2) for number in range(21)])

        critical = await gates.enter(a_ticket(99, submit_interval_s=2, priority=Priority.CRITICAL))

        assert critical.again_at == NOW + timedelta(seconds=2)
        assert await queued_at(gates, "spacing:volcengine") == 21

    async def test_each_account_has_its_own_submit_interval(self, gates: Gates) -> None:
        """And a task without a submit interval does not wait."""
        await gates.enter(a_ticket(1, submit_interval_s=2))

        assert (await gates.enter(a_ticket(2, submit_interval_s=2, account="other"))).granted
        assert (await gates.enter(a_ticket(3))).granted


class CircuitBreakerContract:
    """Circuit breakers."""

    async def open(self, gates: Gates, *, failures: int = RULES.open_after) -> None:
        """Report that many successive failures to reach the vendor."""
        for _ in range(failures):
            await gates.report(a_ticket(0), VendorStatus.UNAVAILABLE)

    async def test_a_circuit_breaker_opens_after_some_failures_in_a_row(self, gates: Gates) -> None:
        """Then no task is admitted, and each gets a time to ask again."""
        await self.open(gates, failures=4)
        assert (await gates.enter(a_ticket(1))).granted
        await self.open(gates, failures=1)

        refused = await gates.enter(a_ticket(2, ONE))
        assert (refused.refusal, refused.again_at) == (Refusal.CIRCUIT_BREAKER_OPEN, NOW + RULES.open_for)
        assert (await circuit_breaker(gates)).state == "open"
        assert (await circuit_breaker(gates)).open_until == NOW + RULES.open_for

    @pytest.mark.parametrize("vendor_status", [VendorStatus.AVAILABLE, VendorStatus.THROTTLED])
    async def test_a_vendor_that_answers_breaks_the_row(self, gates: Gates, vendor_status: VendorStatus) -> None:
        """ "Too many at once" shows that the vendor is available, too."""
        await self.open(gates, failures=4)
        await gates.report(a_ticket(0), vendor_status)
        await self.open(gates, failures=4)

        assert (await circuit_breaker(gates)).state == "closed"
        assert (await circuit_breaker(gates)).failures == 4

    async def test_leaving_with_a_vendor_status_reports_it_and_leaves(self, gates: Gates) -> None:
        """In one step: the failures are reset, the hold ends, and the next waiting task is woken."""
        await self.open(gates, failures=4)
        assert (await gates.enter(a_ticket(1, ONE))).granted
        assert not (await gates.enter(a_ticket(2, ONE))).granted

        assert list(await gates.leave(a_ticket(1, ONE), VendorStatus.AVAILABLE)) == ["task_2"]

        assert (await circuit_breaker(gates)).failures == 0
        assert (await gates.enter(a_ticket(2, ONE))).granted

    async def test_what_teaches_nothing_leaves_the_row(self, gates: Gates) -> None:
        """It is neither a failure nor a success."""
        await self.open(gates, failures=4)
        await gates.report(a_ticket(0), VendorStatus.UNKNOWN)
        await self.open(gates, failures=1)

        assert (await circuit_breaker(gates)).state == "open"

    async def test_a_holder_is_not_stopped_by_an_open_circuit_breaker(self, gates: Gates) -> None:
        """It was admitted before."""
        await gates.enter(a_ticket(1, ONE))
        await self.open(gates)

        assert (await gates.enter(a_ticket(1, ONE))).granted

    async def test_after_the_cool_down_one_probe_at_a_time_is_let_through(
        self, gates: Gates, clock: MovableClock
    ) -> None:
        """Of many that ask at once, one is granted; the others ask again soon."""
        await self.open(gates)
        clock.forward(RULES.open_for.total_seconds())
        assert (await circuit_breaker(gates)).state == "half_open"

        answers = await asyncio.gather(*(gates.enter(a_ticket(number)) for number in range(1, 30)))

        assert sum(answer.granted for answer in answers) == 1
        assert {answer.again_at for answer in answers if not answer.granted} == {clock() + RULES.probe_check}

    async def test_a_probe_that_goes_well_closes_the_circuit_breaker(self, gates: Gates, clock: MovableClock) -> None:
        """All tasks are admitted again, and those that kept their place in a wait queue are woken."""
        await granted(gates, [a_ticket(1, TWO), a_ticket(2, TWO), a_ticket(3, TWO)])
        await self.open(gates)
        await gates.leave(a_ticket(1, TWO))
        assert (await gates.enter(a_ticket(3, TWO))).refusal is Refusal.CIRCUIT_BREAKER_OPEN
        await gates.leave(a_ticket(2, TWO))
        clock.forward(RULES.open_for.total_seconds())
        assert (await gates.enter(a_ticket(4, TWO))).granted

        assert list(await gates.report(a_ticket(4, TWO), VendorStatus.AVAILABLE)) == ["task_3"]
        assert (await circuit_breaker(gates)).state == "closed"

    async def test_a_probe_that_fails_opens_it_for_twice_as_long(self, gates: Gates, clock: MovableClock) -> None:
        """Up to the maximum; failures of earlier submits do not prolong it."""
        await self.open(gates)
        waits = []
        for number in range(1, 7):
            view = await circuit_breaker(gates)
            assert view.open_until is not None
            waits.append((view.open_until - clock()).total_seconds())
            await gates.report(a_ticket(0), VendorStatus.UNAVAILABLE)
            assert (await circuit_breaker(gates)).open_until == view.open_until
            clock.forward(waits[-1])
            assert (await gates.enter(a_ticket(number))).granted
            await gates.report(a_ticket(number), VendorStatus.UNAVAILABLE)
            await gates.leave(a_ticket(number))

        assert waits == [30, 60, 120, 240, 300, 300]

    async def test_a_probe_that_dies_is_followed_by_another(self, gates: Gates, clock: MovableClock) -> None:
        """Once its time has passed."""
        await self.open(gates)
        clock.forward(30)
        assert (await gates.enter(a_ticket(1))).granted
        clock.forward(RULES.probe_for.total_seconds() - 0.001)
        assert not (await gates.enter(a_ticket(2))).granted
        clock.forward(0.001)

        assert (await gates.enter(a_ticket(2))).granted

    @pytest.mark.parametrize("ending", ["nothing", "leave"])
    async def test_a_probe_that_taught_nothing_is_followed_by_another_at_once(
        self, gates: Gates, clock: MovableClock, ending: str
    ) -> None:
        """The circuit breaker stays half open."""
        await self.open(gates)
        clock.forward(30)
        await gates.enter(a_ticket(1))
        if ending == "leave":
            await gates.leave(a_ticket(1))
        else:
            await gates.report(a_ticket(1), VendorStatus.UNKNOWN)

        assert (await gates.enter(a_ticket(2))).granted
        assert (await circuit_breaker(gates)).state == "half_open"

    async def test_an_open_circuit_breaker_gives_no_place_and_takes_none(self, gates: Gates) -> None:
        """A refused task may try a fallback; a task in a wait queue keeps its place."""
        await granted(gates, [a_ticket(1, ONE), a_ticket(2, ONE)])
        await self.open(gates)
        await granted(gates, [a_ticket(2, ONE), a_ticket(3, ONE)])

        assert list(await gates.in_wait_queue(["task_2", "task_3"])) == [True, False]

    async def test_each_account_has_its_own_circuit_breaker(self, gates: Gates) -> None:
        """An unavailable vendor does not stop another."""
        await self.open(gates)

        assert (await gates.enter(a_ticket(1, account="openai"))).granted


class GatesContract(HoldContract, WaitQueueContract, LearningContract, SubmitIntervalContract, CircuitBreakerContract):
    """The rules of `core.gates.Gates`."""
