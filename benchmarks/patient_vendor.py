"""
A provider in the worker process whose vendor answers at once and never completes: measures the lateness of polls.

It asks for a poll every `POLL_EVERY_S`. When its worker stops, it writes to `LATENESS_FILE` how late the polls came.
"""

import time
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from polyrelay import Env, Job, Model, Outcome, Params, Pending, Provider, TaskType, hookimpl

PROVIDER: Final = "patient"
MODEL: Final = "patience"


class Waited(Params, frozen=True):
    """The input that it takes."""

    prompt: str


class PatientService:
    """
    Answers each poll with "pending", and records how late it came.

    Args:
        every_s: The interval that it asks for, in seconds.
        file: When the service is closed, the moment and the lateness of each poll but a task's first are written here,
            in seconds, as doubles.
    """

    def __init__(self, *, every_s: float, file: Path | None) -> None:
        self.models = (Model(name=MODEL, type=TaskType.VIDEO, params=Waited, timeout_s=86_400),)
        self._every_s = every_s
        self._file = file
        self._due: dict[str, float] = {}
        self._lateness = array("d")

    async def submit(self, job: Job[Waited]) -> Outcome:
        """Accept."""
        return self._pending(job.task_id)

    async def poll(self, _: Job[Waited], operation: str) -> Outcome:
        """Pending."""
        return self._pending(operation)

    async def aclose(self) -> None:
        """Write the recorded polls, if there are any: the API has this service, too, and never polls."""
        if self._file is not None and self._lateness:
            self._file.write_bytes(self._lateness.tobytes())

    def _pending(self, operation: str) -> Pending:
        now = time.time()
        if operation in self._due:
            self._lateness.extend((now, now - self._due[operation]))
        self._due[operation] = now + self._every_s
        return Pending(operation=operation, poll_after_s=self._every_s)


@hookimpl
def register_providers(env: Env) -> Iterable[Provider]:
    """The provider `patient`."""
    file = env.get("LATENESS_FILE")
    service = PatientService(every_s=float(env.text("POLL_EVERY_S", "10")), file=Path(file) if file else None)
    return [Provider(PROVIDER, [service])]
