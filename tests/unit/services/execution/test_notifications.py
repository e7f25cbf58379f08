"""Notifications of changed tasks."""

import asyncio

import pytest
import structlog

from core.task_states import State
from core.tasks import RelayCall
from services.execution.notifications import Notifications
from tests.contracts.tasks import a_task
from tests.fakes.announcements import MemoryAnnouncements

CALL = RelayCall(action="CVProcess", version="2022-08-31")


@pytest.mark.parametrize("state", State)
async def test_a_relayed_task_is_announced_after_the_vendors_response(state: State) -> None:
    """A relayed task is announced in every state but those before the vendor's response."""
    announcements = MemoryAnnouncements()
    task = a_task(state=state, relay=CALL)

    Notifications(announcements).changed(task)
    await asyncio.sleep(0)

    assert announcements.announced == ([] if state in {State.PENDING, State.SUBMITTING} else [task.id])


async def test_other_tasks_are_not_announced() -> None:
    """No relay request waits for a task of the unified API."""
    announcements = MemoryAnnouncements()

    Notifications(announcements).changed(a_task(state=State.COMPLETED))
    await asyncio.sleep(0)

    assert announcements.announced == []


async def test_a_failed_notification_is_logged() -> None:
    """If Redis is unavailable the notification is lost; the API reads the stored task now and then."""
    announcements = MemoryAnnouncements()
    announcements.reachable = False

    with structlog.testing.capture_logs() as logs:
        Notifications(announcements).changed(a_task(state=State.WAITING, relay=CALL))
        await asyncio.sleep(0)

    assert announcements.announced == []
    assert [entry["event"] for entry in logs] == ["notification_failed"]
