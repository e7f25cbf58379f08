"""The leases that the running steps of one worker hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count


class Leases:
    """
    Gives each piece of work an owner of its own, and knows which of them still run.

    A lease that nobody in this process works under any more is thus not renewed: it runs out, and the task is taken
    up again, even where the process lives on.

    Args:
        worker: The worker's name, unlike any other's.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._numbers = count(1)
        self._owners: set[str] = set()

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
