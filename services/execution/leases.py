"""The leases that the running steps of one worker hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

from core import transitions
from core.tasks import Task


class Leases:
    """
    Gives each piece of work an owner of its own, and knows which of them still run.

    A lease that nobody in this process works under any more is thus not renewed: it runs out, and the task is taken
    up again, even where the process lives on.

    A holder's silence counts only while the database answers: after an outage that outlasted the leases, those who live
    renew them, or record what a vendor answered meanwhile, before anybody takes their tasks for abandoned.

    Args:
        worker: The worker's name, unlike any other's.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._numbers = count(1)
        self._owners: set[str] = set()
        self._trusted_from = datetime.min.replace(tzinfo=UTC)

    @contextmanager
    def held(self) -> Iterator[str]:
        """An owner for as long as the block runs."""
        owner = f"{self._worker}:{next(self._numbers)}"
        self._owners.add(owner)
        try:
            yield owner
        finally:
            self._owners.discard(owner)

    @property
    def owners(self) -> frozenset[str]:
        """The owners whose work runs just now."""
        return frozenset(self._owners)

    def distrust(self, *, until: datetime) -> None:
        """Take nobody for gone before that moment: he may live, and could not renew his lease."""
        self._trusted_from = max(self._trusted_from, until)

    def ran_out(self, task: Task, now: datetime) -> bool:
        """Whether nobody holds the task any more, as far as can be told."""
        return transitions.lease_ran_out(task, now) and (task.lease is None or now >= self._trusted_from)
