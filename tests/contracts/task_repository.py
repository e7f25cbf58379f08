"""What every `TaskRepository` does. A test class inherits this and gives the fixture `repository`."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from core.errors import DuplicateTask, IdempotencyKeyTaken, ReplayedRequest, Stale, TaskNotFound
from core.task_repository import QuotaTask, TaskQuery, TaskRepository
from core.task_states import FINAL, OPEN, PHASES, State, Status
from core.tasks import Idempotency, Lease, Result, Task
from polyrelay import TaskType
from tests.contracts.tasks import NOW, a_full_task, a_task

SMALL: dict[str, Any] = {"prompt": "a cat", "big": 2**70, "keys": {"$ref": 1, "a.b": None, "\0": "…"}}
LARGE: dict[str, Any] = {"images": ["A" * (9 * 2**20), "B" * (10 * 2**20)]}
"""As large as a caller's body may be, and larger than a MongoDB document."""


async def stored(repository: TaskRepository, **fields: Any) -> Task:
    """A stored task."""
    task = a_task(**fields)
    await repository.add(task, {"prompt": "a cat"})
    return task


def same(key: str, number: int = 0) -> Idempotency:
    """What makes a request the same; kept until now."""
    return Idempotency(key=key, body_hash=f"{number:064x}", until=NOW)


async def outcome_of(work: Any) -> type[Exception] | None:
    """The class of error that it ends in."""
    try:
        await work
    except Exception as error:
        return type(error)
    return None


class TaskRepositoryContract:
    """The rules of `core.task_repository.TaskRepository`."""

    @pytest.mark.parametrize("task", [a_task(), a_full_task()], ids=["small", "full"])
    async def test_a_task_comes_back_as_it_was_added(self, repository: TaskRepository, task: Task) -> None:
        """What `get` answers equals what was added, in each field."""
        await repository.add(task, SMALL)

        assert await repository.get(task.id) == task

    async def test_of_many_with_one_key_and_one_signature_one_is_stored(self, repository: TaskRepository) -> None:
        """The others are refused for either; by the key the one that is stored is found at once."""
        same = Idempotency(key="owner-1 image k", body_hash="00", until=NOW)
        tasks = [a_task(idempotency=same, replay="signature") for _ in range(6)]

        async def added(task: Task) -> str:
            try:
                await repository.add(task, {"prompt": "x"})
            except (IdempotencyKeyTaken, ReplayedRequest):
                return (await repository.created_with(same.key)).id
            return task.id

        assert len(set(await asyncio.gather(*map(added, tasks)))) == 1

    async def test_a_signature_creates_one_task(self, repository: TaskRepository) -> None:
        """Of many that come with the same one at once, one is stored; tasks without a signature are not concerned."""
        done = await asyncio.gather(
            *(repository.add(a_task(replay="same"), {"prompt": "x"}) for _ in range(6)), return_exceptions=True
        )
        await stored(repository, replay="other")
        await stored(repository)
        await stored(repository)

        assert done.count(None) == 1
        assert sum(isinstance(error, ReplayedRequest) for error in done) == 5
        assert (await repository.page(TaskQuery())).total == 4

    async def test_no_save_changes_what_makes_a_request_the_same(self, repository: TaskRepository) -> None:
        """Fields with unique indexes are written with the task only, so no save of a paid outcome can fail by them."""
        once = Idempotency(key="owner-1 /task k", body_hash="00", until=NOW)
        task = await stored(repository, idempotency=once, replay="signature")
        await repository.save(structs.replace(task, version=2, idempotency=None, replay="another"))

        kept = await repository.get(task.id)
        assert (kept.idempotency, kept.replay, kept.version) == (once, "signature", 2)

    @pytest.mark.parametrize("task_input", [{}, SMALL, LARGE], ids=["empty", "small", "large"])
    async def test_an_input_comes_back_as_it_was_added(
        self, repository: TaskRepository, task_input: dict[str, Any]
    ) -> None:
        """Inputs of every size that a caller may send come back complete."""
        task = a_task()
        await repository.add(task, task_input)

        assert await repository.get_input(task.id) == task_input

    @pytest.mark.parametrize(
        ("task_input", "apart"), [({}, False), (SMALL, False), (LARGE, True)], ids=["empty", "small", "large"]
    )
    async def test_a_task_is_read_with_an_input_that_is_not_large(
        self, repository: TaskRepository, task_input: dict[str, Any], apart: bool
    ) -> None:
        """In one read; a large input is read separately."""
        task = a_full_task()
        await repository.add(task, task_input)

        found = await repository.get_with_input(task.id)

        assert (found.task, found.input) == (task, None if apart else task_input)

    async def test_an_unknown_task_is_not_found(self, repository: TaskRepository) -> None:
        """Neither a task nor an input is returned."""
        with pytest.raises(TaskNotFound):
            await repository.get("task_none")
        with pytest.raises(TaskNotFound):
            await repository.get_input("task_none")
        with pytest.raises(TaskNotFound):
            await repository.get_with_input("task_none")

    @pytest.mark.parametrize("second_input", [SMALL, LARGE], ids=["small", "large"])
    async def test_a_second_task_of_one_id_is_refused(
        self, repository: TaskRepository, second_input: dict[str, Any]
    ) -> None:
        """The first one stays, with its input."""
        task = a_task()
        await repository.add(task, LARGE)

        with pytest.raises(DuplicateTask):
            await repository.add(structs.replace(task, user_id="another"), second_input)

        assert await repository.get(task.id) == task
        assert await repository.get_input(task.id) == LARGE

    @pytest.mark.parametrize("task_input", [SMALL, {"image": "A" * 2**20}], ids=["small", "large"])
    async def test_of_two_adds_at_once_one_wins(self, repository: TaskRepository, task_input: dict[str, Any]) -> None:
        """One is stored completely, the other one is refused."""
        task = a_task()

        outcomes = await asyncio.gather(*(outcome_of(repository.add(task, task_input)) for _ in range(2)))

        assert sorted(outcomes, key=str) == sorted([None, DuplicateTask], key=str)
        assert await repository.get(task.id) == task
        assert await repository.get_input(task.id) == task_input

    @pytest.mark.parametrize("task_input", [SMALL, {"image": "A" * 2**20}], ids=["small", "large"])
    async def test_of_many_adds_with_one_key_one_wins(
        self, repository: TaskRepository, task_input: dict[str, Any]
    ) -> None:
        """The others are refused, and find the stored task at once by the key."""
        tasks = [a_task(idempotency=same("k-1", number)) for number in range(5)]

        outcomes = await asyncio.gather(*(outcome_of(repository.add(task, task_input)) for task in tasks))

        assert sorted(outcomes, key=str) == sorted([None] + [IdempotencyKeyTaken] * 4, key=str)
        winner = tasks[outcomes.index(None)]
        assert await repository.created_with("k-1") == winner
        assert (await repository.page(TaskQuery())).total == 1

    async def test_tasks_with_other_keys_or_none_do_not_conflict(self, repository: TaskRepository) -> None:
        """A key means its own task only."""
        keyed = [a_task(idempotency=same(key)) for key in ("k-1", "k-2")]
        for task in (*keyed, a_task(), a_task()):
            await repository.add(task, SMALL)

        assert [await repository.created_with(key) for key in ("k-1", "k-2")] == keyed
        with pytest.raises(TaskNotFound):
            await repository.created_with("k-3")

    async def test_the_same_task_twice_is_a_duplicate_whatever_its_key(self, repository: TaskRepository) -> None:
        """Its id is stored already."""
        task = a_task(idempotency=same("k-1"))
        await repository.add(task, SMALL)

        with pytest.raises(DuplicateTask):
            await repository.add(task, SMALL)

    async def test_no_save_changes_an_idempotency_key(self, repository: TaskRepository) -> None:
        """Neither a save with another key nor one with none: what a vendor did can always be stored."""
        first, other = a_task(idempotency=same("k-1")), a_task(idempotency=same("k-2"))
        for task in (first, other):
            await repository.add(task, SMALL)
        saved = structs.replace(other.to(State.SUBMITTING, now=NOW), idempotency=same("k-1"))
        await repository.save(saved)
        failed = structs.replace(saved.to(State.FAILED, now=NOW), idempotency=None)
        await repository.save(failed)
        await repository.reopen(structs.replace(failed.to(State.PENDING, now=NOW), idempotency=None))

        assert (await repository.created_with("k-2")).id == other.id
        assert (await repository.created_with("k-1")).id == first.id

    async def test_a_key_is_dropped_once_its_time_has_come(self, repository: TaskRepository) -> None:
        """Not before; then another task may have it, and a save of the first does not set it again."""
        first, second = a_task(idempotency=same("k-1")), a_task(idempotency=same("k-1"))
        await repository.add(first, SMALL)

        await repository.free_key("k-1", before=NOW - timedelta(milliseconds=1))
        assert await repository.created_with("k-1") == first
        await repository.free_key("k-1", before=NOW)
        await repository.add(second, SMALL)
        await repository.save(first.to(State.SUBMITTING, now=NOW))

        assert await repository.created_with("k-1") == second
        assert (await repository.get(first.id)).idempotency is None

    async def test_a_deleted_task_leaves_no_idempotency_key(self, repository: TaskRepository) -> None:
        """The same request creates a new task then."""
        first = a_task(idempotency=same("k-1"))
        await repository.add(first, SMALL)
        await repository.delete(first)

        await repository.add(a_task(idempotency=same("k-1")), SMALL)

    @pytest.mark.parametrize("task_input", [SMALL, LARGE], ids=["small", "large"])
    async def test_a_save_replaces_the_task_and_keeps_the_input(
        self, repository: TaskRepository, task_input: dict[str, Any]
    ) -> None:
        """Every field is the new version's, and the input is what it was."""
        task = a_task()
        await repository.add(task, task_input)
        full = structs.replace(a_full_task(), id=task.id, version=2)

        await repository.save(full)

        assert await repository.get(task.id) == full
        assert await repository.get_input(task.id) == task_input

    async def test_a_save_removes_what_the_new_version_lacks(self, repository: TaskRepository) -> None:
        """A field that became None or empty is None or empty afterwards."""
        full = a_full_task()
        await repository.add(full, SMALL)
        bare = structs.replace(a_task(), id=full.id, version=2, wake_at=None)

        await repository.save(bare)

        assert await repository.get(full.id) == bare

    async def test_a_stale_save_is_refused(self, repository: TaskRepository) -> None:
        """Of two writers that read the same version, the second is refused and the first stays."""
        task = await stored(repository, state=State.SUBMITTING)
        await repository.save(task.to(State.COMPLETED, now=NOW))

        with pytest.raises(Stale):
            await repository.save(task.to(State.FAILED, now=NOW))

        assert (await repository.get(task.id)).state is State.COMPLETED

    @pytest.mark.parametrize("version", [1, 3])
    async def test_only_the_next_version_is_saved(self, repository: TaskRepository, version: int) -> None:
        """Neither the stored version again nor one that skips a version is taken."""
        task = await stored(repository)

        with pytest.raises(Stale):
            await repository.save(structs.replace(task, version=version, user_id="another"))

        assert await repository.get(task.id) == task

    async def test_saving_a_task_that_was_never_added_is_stale(self, repository: TaskRepository) -> None:
        """A save creates nothing."""
        task = a_task(version=2)

        with pytest.raises(Stale):
            await repository.save(task)
        with pytest.raises(TaskNotFound):
            await repository.get(task.id)

    async def test_of_many_saves_of_one_version_one_wins(self, repository: TaskRepository) -> None:
        """Exactly one of ten racing writers is not stale, and its version is stored."""
        task = await stored(repository)
        versions = [
            task.to(State.SUBMITTING, now=NOW, lease=Lease(owner=f"worker-{number}", until=NOW)) for number in range(10)
        ]

        outcomes = await asyncio.gather(*(outcome_of(repository.save(version)) for version in versions))

        winners = [version for version, outcome in zip(versions, outcomes, strict=True) if outcome is None]
        assert outcomes.count(Stale) == 9
        assert winners == [await repository.get(task.id)]

    @pytest.mark.parametrize("state", sorted(OPEN))
    async def test_a_cancellation_request_is_stored_without_a_new_version(
        self, repository: TaskRepository, state: State
    ) -> None:
        """An open task takes it without a new version, so that the running step of a worker can still save."""
        task = await stored(repository, state=state)

        answered = await repository.request_cancel(task.id, at=NOW)

        assert answered == await repository.get(task.id) == structs.replace(task, cancel_requested=NOW)

    async def test_the_first_cancellation_request_counts(self, repository: TaskRepository) -> None:
        """A second request changes nothing."""
        task = await stored(repository, state=State.WAITING)
        await repository.request_cancel(task.id, at=NOW)

        answered = await repository.request_cancel(task.id, at=NOW + timedelta(seconds=1))

        assert answered.cancel_requested == NOW

    async def test_a_cancellation_request_survives_a_save_of_an_older_read(self, repository: TaskRepository) -> None:
        """A worker that read the task before saves its step; the next reader finds the step and the request."""
        task = await stored(repository, state=State.SUBMITTING)
        await repository.request_cancel(task.id, at=NOW)

        await repository.save(task.to(State.WAITING, now=NOW))

        found = await repository.get(task.id)
        assert (found.state, found.cancel_requested) == (State.WAITING, NOW)

    @pytest.mark.parametrize("state", sorted(FINAL))
    async def test_a_task_that_ended_takes_no_cancellation_request(
        self, repository: TaskRepository, state: State
    ) -> None:
        """The task is returned as it is stored."""
        task = await stored(repository, state=state, wake_at=None)

        assert await repository.request_cancel(task.id, at=NOW) == task == await repository.get(task.id)

    async def test_a_cancellation_request_for_an_unknown_task_is_not_found(self, repository: TaskRepository) -> None:
        """And none is created."""
        with pytest.raises(TaskNotFound):
            await repository.request_cancel("task_none", at=NOW)
        assert (await repository.page(TaskQuery())).total == 0

    @pytest.mark.parametrize("task_input", [SMALL, LARGE], ids=["small", "large"])
    async def test_reopening_deletes_the_cancellation_request_and_keeps_the_input(
        self, repository: TaskRepository, task_input: dict[str, Any]
    ) -> None:
        """A retried task is not cancelled by a request from before it failed."""
        task = a_task(state=State.WAITING)
        await repository.add(task, task_input)
        await repository.request_cancel(task.id, at=NOW)
        failed = task.to(State.FAILED, now=NOW)
        await repository.save(failed)
        again = failed.to(State.PENDING, now=NOW, wake_at=NOW)

        await repository.reopen(again)

        assert await repository.get(task.id) == again
        assert await repository.get_input(task.id) == task_input
        assert (await repository.request_cancel(task.id, at=NOW)).cancel_requested == NOW

    async def test_of_two_reopenings_at_once_one_wins(self, repository: TaskRepository) -> None:
        """The other one is stale."""
        task = await stored(repository, state=State.FAILED, wake_at=None)
        again = [task.to(State.PENDING, now=NOW, choice=choice) for choice in (1, 2)]

        outcomes = await asyncio.gather(*(outcome_of(repository.reopen(version)) for version in again))

        assert sorted(outcomes, key=str) == sorted([None, Stale], key=str)
        assert await repository.get(task.id) == again[outcomes.index(None)]

    async def test_tasks_in_a_quota_are_counted_up_to_a_limit(self, repository: TaskRepository) -> None:
        """Open ones in the states that are asked for; tasks of other quotas, or of none, do not count."""
        for state in State:
            await stored(repository, state=state, quotas=("open:a", "open:b"), wake_at=None if state.final else NOW)
        for _ in range(4):
            await stored(repository, quotas=("open:c",))
            await stored(repository)

        assert await repository.count_in("open:a", list(State), limit=10) == len(OPEN)
        assert await repository.count_in("open:b", [State.PENDING], limit=10) == 1
        assert await repository.count_in("open:c", [State.PENDING], limit=3) == 3
        assert await repository.count_in("open:d", [State.PENDING], limit=3) == 0

    async def test_open_tasks_in_quotas_come_in_pages_by_id(self, repository: TaskRepository) -> None:
        """Each once, whatever their states' order; what has ended, or counts nowhere, is left out."""
        tasks = [
            await stored(
                repository,
                created=NOW + timedelta(seconds=number),
                state=state,
                quotas=("open:a", "waiting:b")[: number % 3],
                wake_at=None if state.final else NOW,
            )
            for number, state in enumerate([*State, *State])
        ]
        met: list[QuotaTask] = []
        while page := await repository.in_quotas(after=met[-1].id if met else "", limit=3):
            assert len(page) <= 3
            met += page

        assert met == [
            QuotaTask(id=task.id, state=task.state, quotas=task.quotas, deadline=task.deadline)
            for task in tasks
            if task.quotas and not task.state.final
        ]

    async def test_submitted_tasks_come_in_pages_by_id(self, repository: TaskRepository) -> None:
        """Those that a vendor has, complete, each once, whatever the order of their states."""
        tasks = [
            await stored(repository, created=NOW + timedelta(seconds=number), state=state)
            for number, state in enumerate([*State, *State])
        ]
        met: list[Task] = []
        while page := await repository.submitted(after=met[-1].id if met else "", limit=3):
            assert len(page) <= 3
            met += page

        assert met == [task for task in tasks if task.state in {State.SUBMITTING, State.WAITING}]

    @pytest.mark.parametrize("task_input", [SMALL, LARGE], ids=["small", "large"])
    async def test_a_deleted_task_is_gone_with_its_input(
        self, repository: TaskRepository, task_input: dict[str, Any]
    ) -> None:
        """Nothing of it can be read, saved or deleted again, and its id may be used again."""
        task = a_task()
        await repository.add(task, task_input)

        await repository.delete(task)

        for read in (repository.get(task.id), repository.get_input(task.id)):
            assert await outcome_of(read) is TaskNotFound
        for write in (repository.save(task.to(State.FAILED, now=NOW)), repository.delete(task)):
            assert await outcome_of(write) is Stale
        await repository.add(task, SMALL)
        assert await repository.get_input(task.id) == SMALL

    async def test_a_stale_delete_is_refused(self, repository: TaskRepository) -> None:
        """A task that changed since it was read is not deleted."""
        task = await stored(repository)
        newer = task.to(State.SUBMITTING, now=NOW)
        await repository.save(newer)

        with pytest.raises(Stale):
            await repository.delete(task)

        assert await repository.get(task.id) == newer

    async def test_a_save_and_a_delete_at_once_do_not_both_happen(self, repository: TaskRepository) -> None:
        """One of them is stale, and the result is that of the other one."""
        task = await stored(repository)

        saved, deleted = await asyncio.gather(
            outcome_of(repository.save(task.to(State.SUBMITTING, now=NOW))), outcome_of(repository.delete(task))
        )

        assert {saved, deleted} == {None, Stale}
        assert await outcome_of(repository.get(task.id)) is (TaskNotFound if deleted is None else None)

    async def test_a_page_is_newest_first(self, repository: TaskRepository) -> None:
        """Limit and offset cut a window out of all tasks, newest first; the total counts all."""
        tasks = [await stored(repository, created=NOW + timedelta(seconds=second)) for second in range(5)]

        page = await repository.page(TaskQuery(limit=2, offset=1))

        assert [shown.id for shown in page.tasks] == [tasks[3].id, tasks[2].id]
        assert page.total == 5

    async def test_pages_by_cursor_show_each_task_once(self, repository: TaskRepository) -> None:
        """Going on after the last id shows all tasks in order; the total does not shrink; new tasks do not disturb."""
        ids = [(await stored(repository, created=NOW + timedelta(seconds=second))).id for second in range(5)]
        seen: list[str] = []
        after: str | None = None
        while (page := await repository.page(TaskQuery(limit=2, after=after, user_id="user-1"))).tasks:
            await stored(repository, created=NOW + timedelta(days=1), user_id="another")
            assert page.total == 5
            seen += [shown.id for shown in page.tasks]
            after = seen[-1]

        assert seen == ids[::-1]

    async def test_an_empty_page_has_the_total(self, repository: TaskRepository) -> None:
        """Beyond the end there are no tasks, and the total is still right."""
        await stored(repository)

        page = await repository.page(TaskQuery(offset=10))

        assert page.tasks == ()
        assert page.total == 1

    @pytest.mark.parametrize("query", [TaskQuery(count_limit=3), TaskQuery(count_limit=3, user_id="user-1")], ids=str)
    async def test_a_total_is_counted_up_to_a_limit(self, repository: TaskRepository, query: TaskQuery) -> None:
        """Up to the limit the total is exact; above it the total is the limit, and marked as not exact."""
        totals = []
        for _ in range(5):
            page = await repository.page(query)
            totals.append((page.total, page.total_is_exact))
            await stored(repository)

        assert totals == [(0, True), (1, True), (2, True), (3, True), (3, False)]

    async def test_a_list_counts_a_thousand_by_itself(self, repository: TaskRepository) -> None:
        """A query that does not say how far to count gets an exact total of 1000, and no further one."""
        await asyncio.gather(*(stored(repository) for _ in range(1000)))
        full = await repository.page(TaskQuery())
        await stored(repository)
        more = await repository.page(TaskQuery())

        assert (full.total, full.total_is_exact) == (1000, True)
        assert (more.total, more.total_is_exact) == (1000, False)

    async def test_a_page_shows_the_fields_of_summaries_without_texts(self, repository: TaskRepository) -> None:
        """A summary has the task's values; its results come without the text, which may be long."""
        task = a_full_task()
        await repository.add(task, SMALL)

        (shown,) = (await repository.page(TaskQuery())).tasks

        for field in structs.fields(shown):
            if field.name != "results":
                assert getattr(shown, field.name) == getattr(task, field.name)
        assert shown.results == (Result(type=TaskType.TEXT, finish_reason="stop"), task.results[1])

    @pytest.mark.parametrize(
        "query",
        [
            TaskQuery(user_id="user-1"),
            TaskQuery(type=TaskType.VIDEO),
            TaskQuery(provider="openai"),
            TaskQuery(owner="owner-1"),
            TaskQuery(status=Status.PENDING),
            TaskQuery(user_id="user-1", type=TaskType.VIDEO),
            TaskQuery(user_id="user-1", status=Status.PROCESSING, type=TaskType.IMAGE, provider="openai"),
            TaskQuery(user_id="nobody"),
        ],
        ids=str,
    )
    async def test_a_page_shows_what_every_filter_lets_through(
        self, repository: TaskRepository, query: TaskQuery
    ) -> None:
        """Exactly those tasks are shown and counted that have each wanted value."""
        tasks = [
            await stored(repository, user_id=user_id, owner=owner, type=task_type, provider=provider, state=state)
            for owner in ("owner-1", None)
            for user_id in ("user-1", "user-2")
            for task_type in (TaskType.IMAGE, TaskType.VIDEO)
            for provider in ("volcengine", "openai")
            for state in (State.PENDING, State.WAITING)
        ]

        page = await repository.page(query)

        wanted = {
            task.id
            for task in tasks
            if query.user_id in {None, task.user_id}
            and query.type in {None, task.type}
            and query.provider in {None, task.provider}
            and query.owner in {None, task.owner}
            and query.status in {None, task.status}
        }
        assert {shown.id for shown in page.tasks} == wanted
        assert (page.total, page.total_is_exact) == (len(wanted), True)

    @pytest.mark.parametrize("status", Status)
    async def test_a_status_means_all_its_states(self, repository: TaskRepository, status: Status) -> None:
        """`processing` is each of its phases; every other status is the state of its name."""
        for state in State:
            await stored(repository, state=state)

        page = await repository.page(TaskQuery(status=status))

        assert {shown.state for shown in page.tasks} == (PHASES if status is Status.PROCESSING else {State(status)})

    async def test_overdue_are_the_open_tasks_that_were_to_be_woken_before(self, repository: TaskRepository) -> None:
        """Strictly before; a task without a wake is never overdue."""
        late = await stored(repository, wake_at=NOW - timedelta(milliseconds=1))
        await stored(repository, wake_at=NOW)
        await stored(repository, wake_at=None, state=State.COMPLETED)

        assert [task.id for task in await repository.overdue(before=NOW)] == [late.id]

    async def test_a_task_that_ended_is_no_longer_overdue(self, repository: TaskRepository) -> None:
        """A final task has no wake."""
        task = await stored(repository, wake_at=NOW - timedelta(hours=1))
        await repository.save(task.to(State.FAILED, now=NOW))

        assert list(await repository.overdue(before=NOW)) == []

    async def test_pages_of_overdue_tasks_starve_none(self, repository: TaskRepository) -> None:
        """By id, above `after`, whatever their wakes: each task is returned once, though none is requeued."""
        wakes = [5, 1, 4, 2, 3]
        ids = [
            (
                await stored(
                    repository, created=NOW + timedelta(seconds=place), wake_at=NOW - timedelta(seconds=seconds)
                )
            ).id
            for place, seconds in enumerate(wakes)
        ]
        met: list[str] = []
        while page := await repository.overdue(before=NOW, after=met[-1] if met else "", limit=2):
            assert len(page) <= 2
            met += [task.id for task in page]

        assert met == ids

    async def test_a_repository_that_is_there_answers_a_ping(self, repository: TaskRepository) -> None:
        """No error means that it can be used."""
        await repository.ping()
