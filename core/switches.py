"""Switches: an operator enables, drains or disables providers while the server runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

LAGGING: Final = timedelta(seconds=10)
"""How long after a provider is drained a process that does not know it yet may still create tasks for it."""
_ASK_AGAIN_SOONEST: Final = timedelta(seconds=5)
_ASK_AGAIN_LATEST: Final = timedelta(minutes=1)


class Mode(StrEnum):
    """Which work a provider gets."""

    ENABLED = "enabled"
    DRAINING = "draining"
    DISABLED = "disabled"


class Switch(Struct, frozen=True, kw_only=True):
    """
    The switch of one provider.

    Attributes:
        mode: Enabled: all work. Draining: no new tasks; tasks that were created before run to their end. Disabled: no
            submits; open operations are polled to their end, since they are paid for.
        since: When the operator set it.
        reason: The operator's reason, or None.
    """

    mode: Mode = Mode.ENABLED
    since: datetime
    reason: str | None = None

    @property
    def text(self) -> str:
        """For people: "disabled since 2026-03-01 12:00:00 UTC (maintenance)"."""
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.mode.value} since {self.since:%Y-%m-%d %H:%M:%S} UTC{why}"

    @property
    def refuses_new_tasks(self) -> bool:
        """Whether creating a task for the provider is refused."""
        return self.mode is not Mode.ENABLED

    def refuses_submit_of(self, created: datetime) -> bool:
        """Whether a pending task that was created at that moment must not be submitted."""
        created_before = created <= self.since + LAGGING
        return self.mode is Mode.DISABLED or (self.mode is Mode.DRAINING and not created_before)

    def again_at(self, now: datetime) -> datetime:
        """
        When a task that must not be submitted is woken again.

        After as long as the provider has been off, but between 5 s and 60 s: soon after a short pause, rarely if
        thousands of tasks wait for hours.
        """
        return now + min(max(now - self.since, _ASK_AGAIN_SOONEST), _ASK_AGAIN_LATEST)


class Controls(Struct, frozen=True, kw_only=True):
    """
    The control state: all switches, and the requests to reload plugins.

    Attributes:
        revision: Incremented by each switch.
        generation: Incremented by each request to reload plugins.
        switches: By provider; a missing provider is enabled.
        forced: By plugin: processes of a generation below that number load it again even if it looks unchanged.
    """

    revision: int = 0
    generation: int = 0
    switches: Mapping[str, Switch] = {}
    forced: Mapping[str, int] = {}
