"""What a switch means for a task."""

from datetime import UTC, datetime, timedelta

import pytest

from core.switches import LAGGING, Mode, Switch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + LAGGING + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [(Mode.ENABLED, False, False), (Mode.DRAINING, False, True), (Mode.DISABLED, True, True)],
)
def test_which_tasks_a_switch_keeps_from_the_vendor(mode: Mode, before: bool, after: bool) -> None:
    """A draining provider gets tasks that were created before; a disabled one gets none."""
    switch = Switch(mode=mode, since=NOW)

    assert switch.refuses_submit_of(NOW - timedelta(hours=1)) is before
    assert switch.refuses_submit_of(NOW + LAGGING) is before
    assert switch.refuses_submit_of(LATER) is after
    assert switch.refuses_new_tasks is (mode is not Mode.ENABLED)


@pytest.mark.parametrize(("off_s", "wait_s"), [(0, 5), (4, 5), (20, 20), (86_400, 60)])
def test_a_waiting_task_is_woken_as_rarely_as_the_pause_is_long(off_s: float, wait_s: float) -> None:
    """After 5 s at least, a minute at most, else as long as the provider has been off."""
    now = NOW + timedelta(seconds=off_s)

    assert Switch(mode=Mode.DISABLED, since=NOW).again_at(now) == now + timedelta(seconds=wait_s)


def test_a_switch_has_a_text_for_people() -> None:
    """The text has the mode, the time and the reason."""
    assert Switch(mode=Mode.DISABLED, since=NOW, reason="x").text == "disabled since 2026-03-01 12:00:00 UTC (x)"
    assert Switch(mode=Mode.DRAINING, since=NOW).text == "draining since 2026-03-01 12:00:00 UTC"
