"""Relay contract: what a service implements so that the server can relay its vendor's own API to callers."""

from typing import Any, Protocol, runtime_checkable

from core.tasks import RelayCall
from polyrelay import Answer, Job, Model, Outcome, Service


@runtime_checkable
class RelayService(Service, Protocol):
    """Sends calls of the vendor's API unchanged. The outcome or the error of `submit` has its `answer` set."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Submit the call in the job's params; otherwise as `Service.submit`."""

    async def ask(self, call: RelayCall, body: bytes) -> Answer:
        """
        Send a call that starts nothing, and return the vendor's answer, also where it is an error.

        Raises:
            ProviderError: There is no answer.
        """


@runtime_checkable
class Relays(Protocol):
    """A service with this capability."""

    def relay_of(self, model: str) -> tuple[Model, RelayService]:
        """The model of that vendor name, in the catalogue or not, and the service that sends calls for it."""
