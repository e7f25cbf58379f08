"""Leases of one worker: who holds a task, and when a lease counts as expired."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

from core import transitions
from core.tasks import Task


class Leases:
    """
    The leases that the running steps of this process hold.

    Each piece of work gets an owner of its own. A lease whose work has ended is not renewed, so it expires and another
    step takes the task up, even while this process goes on.

    A lease expires only while the database is available. After an outage that was longer than the leases, live workers
    first renew them, or save what a vendor responded meanwhile, before other workers take over their tasks.

    Args:
        worker: The worker's name; no other worker has it.
        lease_s: How long a lease lasts that is not renewed, in seconds.
    """

    def __init__(self, worker: str, *, lease_s: float) -> None:
        self.lease_s = lease_s
        self._worker = worker
        self._numbers = count(1)
        self._owners: set[str] = set()
        self._trusted_from = datetime.min.replace(tzinfo=UTC)

    @contextmanager
    def held(self) -> Iterator[str]:
        """A new owner, whose leases are renewed until the block ends."""
        owner = f"{self._worker}:{next(self._numbers)}"
        self._owners.add(owner)
        try:
            yield owner
        finally:
            self._owners.discard(owner)

    @property
    def owners(self) -> frozenset[str]:
        """The owners whose work is running."""
        return frozenset(self._owners)

    def distrust(self, *, until: datetime) -> None:
        """Treat no lease as expired before `until`: its holder may be alive and unable to renew."""
        self._trusted_from = max(self._trusted_from, until)

    def expired(self, task: Task, now: datetime) -> bool:
        """Whether the task has no lease, or a lease that counts as expired."""
        return transitions.lease_expired(task, now) and (task.lease is None or now >= self._trusted_from)
