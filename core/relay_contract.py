"""What a service offers whose vendor's own API this server speaks to callers, too."""

from typing import Any, Protocol, runtime_checkable

from core.tasks import RelayCall
from polyrelay import Answer, Job, Model, Outcome, Service


@runtime_checkable
class RelayService(Service, Protocol):
    """Sends calls of the vendor's own API as a caller wrote them. What `submit` answers or raises has the `answer`."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """As `Service.submit`; the call is in the job's params."""

    async def ask(self, call: RelayCall, body: bytes) -> Answer:
        """
        Send a call that starts nothing, and answer whatever the vendor does, a refusal as well.

        Raises:
            ProviderError: There is no answer.
        """


@runtime_checkable
class Relays(Protocol):
    """A service that can relay."""

    def relay_of(self, model: str) -> tuple[Model, RelayService]:
        """The model as the vendor calls it, known here or not, and what sends calls for it."""
