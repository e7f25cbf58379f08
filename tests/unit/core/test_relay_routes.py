"""Routes of relayed calls."""

from typing import Any

import pytest

from core.errors import UnknownModel, UnknownProvider
from core.registry import Registry
from core.relay_contract import RelayService
from core.switches import Mode, Switch
from core.tasks import Choice, RelayCall
from polyrelay import Answer, Disabled, Job, Model, Outcome, Params, Pending, Provider, TaskType
from tests.contracts.tasks import NOW, a_task

CALL = RelayCall(action="Draw", version="1")


class Plain:
    """A service that only serves its models."""

    def __init__(self, *names: str) -> None:
        self.models = tuple(Model(name=name, type=TaskType.IMAGE, params=Params, timeout_s=60) for name in names)

    async def submit(self, job: Job[Any]) -> Outcome:
        """Go on."""
        return Pending(operation=job.task_id)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Go on."""
        return Pending(operation=operation, progress=None if job.attempt else 0.0)

    async def aclose(self) -> None:
        """Nothing to close."""


class Relayed(Plain):
    """A relay service."""

    async def ask(self, call: RelayCall, body: bytes) -> Answer:
        """Echo."""
        return Answer(status=200, headers={"action": call.action}, body=body)


class Relaying(Plain):
    """A service that can relay any model."""

    def relay_of(self, model: str) -> tuple[Model, Relayed]:
        """A new one each time."""
        relayed = Relayed(model)
        return relayed.models[0], relayed


def registry() -> Registry:
    """A provider that relays, with a second service that does not; one without credentials; one that cannot relay."""
    return Registry(
        [
            Provider("relays", [Plain("chat"), Relaying("draw")]),
            Provider("shut", [Disabled([], "KEY is not set")]),
            Provider("plain", [Plain("chat")]),
        ]
    )


@pytest.mark.parametrize("model", ["draw", "unheard-of", "chat"])
def test_any_model_is_relayed_by_the_service_that_can(model: str) -> None:
    """A model need not be in the catalogue; another service may have a model of that name."""
    route = registry().relay_route("relays", model)

    assert route.model.name == model
    assert isinstance(route.service, RelayService)
    assert route.unavailable is None


def test_a_provider_without_credentials_says_why() -> None:
    """The route exists and is not available."""
    route = registry().relay_route("shut", "draw")

    assert (route.unavailable, route.closed) == ("KEY is not set", "KEY is not set")


def test_without_a_relay_service_no_model_is_known() -> None:
    """The error names no model of the provider."""
    with pytest.raises(UnknownModel, match="no API that is relayed"):
        registry().relay_route("plain", "chat")
    with pytest.raises(UnknownProvider):
        registry().relay_route("nobody", "draw")


def test_a_drained_provider_refuses_relayed_calls() -> None:
    """No new task is created for a provider that is drained."""
    switched = registry()
    switched.switches = {"relays": Switch(mode=Mode.DRAINING, reason="maintenance", since=NOW)}

    assert "maintenance" in (switched.relay_route("relays", "draw").closed or "")


def test_a_task_is_routed_by_whether_it_was_relayed() -> None:
    """A relayed task has a route to the relay service, any other task to the service of its model."""
    found, choice = registry(), Choice(provider="relays", model="chat")

    assert isinstance(found.route_of(a_task(relay=CALL), choice).service, RelayService)
    assert not isinstance(found.route_of(a_task(), choice).service, RelayService)
