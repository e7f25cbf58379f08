"""In-memory adapter of `Quotas`."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from core.clock import Clock, utc_now
from core.errors import QueueUnavailable
from core.quotas import Counted, Quota


class MemoryQuotas:
    """
    Adapter of `Quotas` for tests.

    Attributes:
        reachable: While it is False, every call raises `QueueUnavailable`.
        asked: Number of calls of `take`.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.reachable = True
        self.asked = 0
        self._clock = clock
        self._until: dict[str, dict[str, datetime]] = {}

    async def take(self, task_id: str, quotas: Sequence[Quota], *, until: datetime) -> Quota | None:
        """As `Quotas.take`."""
        self.asked += 1
        self._check()
        for quota in quotas:
            ids = self._live(quota.name)
            if len(ids) >= quota.limit and task_id not in ids:
                return quota
        await self.restore([Counted(quota=quota.name, task_id=task_id, until=until) for quota in quotas])
        return None

    async def give_back(self, task_id: str, quotas: Sequence[str]) -> None:
        """As `Quotas.give_back`."""
        self._check()
        for name in quotas:
            self._until.get(name, {}).pop(task_id, None)

    async def restore(self, counted: Sequence[Counted]) -> None:
        """As `Quotas.restore`."""
        self._check()
        for each in counted:
            ids = self._until.setdefault(each.quota, {})
            ids[each.task_id] = max(each.until, ids.get(each.task_id, each.until))

    async def counted(self) -> Mapping[str, Set[str]]:
        """As `Quotas.counted`."""
        self._check()
        return {name: frozenset(ids) for name in self._until if (ids := self._live(name))}

    def _live(self, name: str) -> Set[str]:
        return {task_id for task_id, until in self._until.get(name, {}).items() if until > self._clock()}

    def _check(self) -> None:
        if not self.reachable:
            raise QueueUnavailable("the in-memory quotas were made unreachable by the test")
