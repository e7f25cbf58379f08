"""Taking tasks with fallbacks and priorities, and bounding how many wait."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.errors import InvalidRequest, ProviderUnavailable, QueueFull
from core.priorities import Priority
from core.task_repository import TaskQuery
from core.task_states import State
from core.tasks import Choice, input_for
from polyrelay import TaskType
from services.limits.task_quotas import QuotaLimits
from tests.unit.services.use_case_fixture import BODY, START, Mark, Narrow, UseCaseFixture

NARROW = {"provider": "two", "model": "narrow", "params": {"size": "512x512"}}


async def problems_of(use_case_fixture: UseCaseFixture, **fields: Any) -> dict[str, str]:
    """What is wrong with the body that these fields make, by field; nothing is stored."""
    with pytest.raises(InvalidRequest) as caught:
        await use_case_fixture.create(TaskType.IMAGE, {**BODY, **fields})
    assert (await use_case_fixture.tasks.page(TaskQuery())).total == 0
    return {problem.field: problem.message for problem in caught.value.details}


async def test_fallbacks_are_stored_in_order_beside_the_first_choice() -> None:
    """The stored input is the first choice's; each fallback keeps only what differs."""
    use_case_fixture = UseCaseFixture()
    more = {"provider": "shut", "model": "closed"}

    task = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "fallbacks": [NARROW, more]})

    stored = await use_case_fixture.tasks.get(task.id)
    assert stored == task
    assert stored.fallbacks == (
        Choice(provider="two", model="narrow", params={"size": "512x512"}),
        Choice(provider="shut", model="closed"),
    )
    assert stored.choice == 0
    assert await use_case_fixture.tasks.get_input(task.id) == {"prompt": "a fox", "size": "2K"}


def test_an_input_is_the_tasks_own_with_the_choices_params_laid_over_it() -> None:
    """A param that the choice names is the choice's; null leaves one out; the first choice changes nothing."""
    own = {"prompt": "a fox", "size": "2K", "seed": 7}

    laid = input_for(
        own, Choice(provider="two", model="narrow", params={"size": "512x512", "seed": None, "quality": "x"})
    )

    assert laid == {"prompt": "a fox", "size": "512x512", "quality": "x"}
    assert input_for(own, Choice(provider="one", model="wide")) == own


async def test_null_leaves_a_field_out_that_the_fallback_does_not_know() -> None:
    """Without it the problem says so; with it the fallback's input is good."""
    use_case_fixture = UseCaseFixture()
    blind = {**NARROW, "params": {"size": "512x512"}}

    problems = await problems_of(use_case_fixture, seed=7, fallbacks=[blind])
    assert set(problems) == {"fallbacks[0].seed"}
    assert "null in this fallback's `params`" in problems["fallbacks[0].seed"]

    seeing = {**NARROW, "params": {"size": "512x512", "seed": None}}
    task = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "seed": 7, "fallbacks": [seeing]})
    assert input_for(await use_case_fixture.tasks.get_input(task.id), task.fallbacks[0]) == {
        "prompt": "a fox",
        "size": "512x512",
    }


async def test_a_fallbacks_params_are_stored_as_its_model_reads_them() -> None:
    """A null inside of a param is left out there, as in the task's own params; a default is kept as it came."""
    use_case_fixture = UseCaseFixture()
    given = {"size": "512x512", "quality": "plain", "marks": [{"name": "a", "note": None}]}

    task = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "fallbacks": [{**NARROW, "params": given}]})

    (fallback,) = (await use_case_fixture.tasks.get(task.id)).fallbacks
    assert fallback.params == {"size": "512x512", "quality": "plain", "marks": [{"name": "a"}]}
    job_params = msgspec.convert(input_for(await use_case_fixture.tasks.get_input(task.id), fallback), Narrow)
    assert job_params.marks == (Mark("a"),)


@pytest.mark.parametrize(
    ("fallback", "field"),
    [
        ({**NARROW, "params": {"size": "2K"}}, "fallbacks[0].size"),
        ({"provider": "two", "model": "narrow"}, "fallbacks[0].size"),
        ({**NARROW, "params": {"size": "1x1", "colour": "red"}}, "fallbacks[0].colour"),
        ({**NARROW, "params": {"size": "1x1", "prompt": None}}, "fallbacks[0].prompt"),
        ({**NARROW, "params": {"size": "1x1", "quality": 2**70}}, "fallbacks[0].quality"),
        ({**NARROW, "params": {"size": "1x1", "a\0": 1}}, "fallbacks[0].a\0"),
        ({**NARROW, "params": {"size": "1x1", "extra": {"a": 2**70}}}, "fallbacks[0].extra.a"),
        ({**NARROW, "params": {"size": "1x1", "extra": {"a\0": 1}}}, "fallbacks[0].extra.a\0"),
        ({"provider": "three", "model": "narrow"}, "fallbacks[0].provider"),
        ({"provider": "two", "model": "wide"}, "fallbacks[0].model"),
        ({"provider": "one", "model": "film"}, "fallbacks[0].model"),
        ({"provider": "one", "model": "wide"}, "fallbacks[0]"),
        ({"provider": "two"}, "fallbacks[0].model"),
        ({**NARROW, "colour": "red"}, "fallbacks[0].colour"),
        ({**NARROW, "params": ["size"]}, "fallbacks[0].params"),
        ("two/narrow", "fallbacks[0]"),
    ],
    ids=str,
)
async def test_a_wrong_fallback_is_named_by_its_place(fallback: Any, field: str) -> None:
    """Unknown, of another type, the same twice, or with an input that its model does not take."""
    assert field in await problems_of(UseCaseFixture(), fallbacks=[fallback])


async def test_every_wrong_field_is_reported_at_once() -> None:
    """Those of the task and those of each fallback, in one answer."""
    problems = await problems_of(
        UseCaseFixture(),
        seed="seven",
        priority="urgent",
        fallbacks=[],
    )
    assert set(problems) == {"seed", "priority"}

    problems = await problems_of(
        UseCaseFixture(), fallbacks=[{"provider": "three", "model": "x"}, {**NARROW, "params": {"size": "big"}}, NARROW]
    )
    assert set(problems) == {"fallbacks[0].provider", "fallbacks[1].size", "fallbacks[2]"}


async def test_fallbacks_are_few_and_small() -> None:
    """At most five, together at most 64 KiB: they are read with every step."""
    many = [{"provider": "two", "model": f"m{number}"} for number in range(6)]
    large = {**NARROW, "params": {"size": "x" * 70_000}}

    assert "5" in (await problems_of(UseCaseFixture(), fallbacks=many))["fallbacks"]
    assert "65536" in (await problems_of(UseCaseFixture(), fallbacks=[large]))["fallbacks"]


async def test_a_task_is_refused_only_where_no_choice_is_available() -> None:
    """A task is created while one choice has credentials; otherwise the error has each reason."""
    use_case_fixture = UseCaseFixture()
    shut = {**BODY, "provider": "shut", "model": "closed"}

    task = await use_case_fixture.create(TaskType.IMAGE, {**shut, "fallbacks": [NARROW]})
    assert (task.provider, task.state) == ("shut", State.PENDING)
    with pytest.raises(ProviderUnavailable, match="no key"):
        await use_case_fixture.create(TaskType.IMAGE, shut)


async def test_the_deadline_leaves_time_for_every_choice() -> None:
    """By default the longest limit of the models named; what the caller says counts first."""
    use_case_fixture = UseCaseFixture()

    alone = await use_case_fixture.create(TaskType.IMAGE, BODY)
    backed = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "fallbacks": [NARROW]})
    said = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "fallbacks": [NARROW], "deadline_s": 5})

    assert [task.deadline - START for task in (alone, backed, said)] == [timedelta(seconds=s) for s in (60, 600, 5)]


@pytest.mark.parametrize("priority", [None, *Priority])
async def test_a_task_is_woken_in_the_queue_of_its_priority(priority: Priority | None) -> None:
    """Unset is `default`."""
    use_case_fixture = UseCaseFixture()

    task = await use_case_fixture.create(TaskType.IMAGE, {**BODY, "priority": priority})

    assert task.priority == (priority or Priority.DEFAULT)
    assert [wake.priority for wake in use_case_fixture.queue.history] == [task.priority]


async def test_a_wrong_body_is_reported_before_a_full_queue() -> None:
    """The caller first gets what it can correct; a limit of 0 refuses every valid body."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(queue=0))

    with pytest.raises(InvalidRequest):
        await use_case_fixture.create(TaskType.IMAGE, {**BODY, "size": "big"})
    with pytest.raises(QueueFull):
        await use_case_fixture.create(TaskType.IMAGE, BODY)
