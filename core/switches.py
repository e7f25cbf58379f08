"""What an operator decides about providers while the server runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

LAGGING: Final = timedelta(seconds=10)
"""For so long after a provider is drained, a process that does not know yet may still accept tasks for it."""
_ASK_AGAIN_SOONEST: Final = timedelta(seconds=5)
_ASK_AGAIN_LATEST: Final = timedelta(minutes=1)


class Mode(StrEnum):
    """Whether a provider is given work."""

    ENABLED = "enabled"
    DRAINING = "draining"
    DISABLED = "disabled"


class Switch(Struct, frozen=True, kw_only=True):
    """
    How one provider is switched.

    Attributes:
        mode: Enabled takes everything. Draining takes no new tasks; those accepted before run to their end. Disabled
            submits nothing; operations under way are polled to their end, since they are paid for.
        since: When that was decided.
        reason: What the operator said, or None.
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
        """Whether a pending task that was created then is kept from the vendor."""
        accepted_before = created <= self.since + LAGGING
        return self.mode is Mode.DISABLED or (self.mode is Mode.DRAINING and not accepted_before)

    def again_at(self, now: datetime) -> datetime:
        """
        When a task that it keeps from the vendor is looked at again.

        After about as long as the provider was off already: soon after a short pause, rarely where thousands of tasks
        wait for hours.
        """
        return now + min(max(now - self.since, _ASK_AGAIN_SOONEST), _ASK_AGAIN_LATEST)


class Controls(Struct, frozen=True, kw_only=True):
    """
    Everything that was decided.

    Attributes:
        revision: Goes up with each decision.
        generation: Goes up with each request to look for plugins again.
        switches: By provider; one that is missing is enabled.
        forced: Plugins that are to be loaded anew by processes of a generation below that number.
    """

    revision: int = 0
    generation: int = 0
    switches: Mapping[str, Switch] = {}
    forced: Mapping[str, int] = {}
