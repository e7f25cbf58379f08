"""Provider: a name, its services, and the routing from a model name to the service that serves it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from polyrelay.contract import Job, Model, Outcome, Service
from polyrelay.errors import Unavailable


class Disabled(Struct, frozen=True):
    """
    Takes the place of a service that is not configured: its models are listed with the reason and refuse tasks.

    Attributes:
        models: The models that the service would serve.
        reason: One sentence that says what to configure, such as "ARK_API_KEY is not set".
    """

    models: Sequence[Model]
    reason: str

    async def submit(self, job: Job[Any]) -> Outcome:
        """Refuse."""
        raise Unavailable(f"{job.model} is not available: {self.reason}")

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Refuse."""
        raise Unavailable(f"{job.model} is not available: {self.reason}; operation {operation} stays open")

    async def aclose(self) -> None:
        """Nothing to close."""


class Provider:
    """
    A registered name with the services that serve its models.

    Args:
        name: The value of `provider` in requests: lower-case letters, digits, `-` and `_`.
        services: The service objects; a service without credentials is a `Disabled`.

    Raises:
        ValueError: The name is not allowed, or two services serve a model of the same name.
    """

    def __init__(self, name: str, services: Sequence[Service]) -> None:
        if not name or not all(c.isascii() and (c.islower() or c.isdigit() or c in "-_") for c in name):
            raise ValueError(f"provider name {name!r}: use lower-case letters, digits, - and _")
        self.name = name
        self.services = tuple(services)
        self._routes = _routes(name, self.services)

    @property
    def models(self) -> tuple[Model, ...]:
        """All models, in the order of the services."""
        return tuple(model for model, _ in self._routes.values())

    def route(self, model: str) -> tuple[Model, Service]:
        """
        The model of that name and the service that serves it.

        Raises:
            KeyError: No service serves it.
        """
        return self._routes[model]

    @property
    def unavailable(self) -> str | None:
        """Why no service of this provider can work, or None where at least one can."""
        reasons = [service.reason for service in self.services if isinstance(service, Disabled)]
        return "; ".join(dict.fromkeys(reasons)) if len(reasons) == len(self.services) else None

    async def aclose(self) -> None:
        """Close every service, also where closing one of them fails; raises the last failure."""
        async with AsyncExitStack() as closing:
            for service in self.services:
                closing.push_async_callback(service.aclose)

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {len(self._routes)} models)"


def _routes(provider: str, services: Sequence[Service]) -> dict[str, tuple[Model, Service]]:
    routes: dict[str, tuple[Model, Service]] = {}
    for service in services:
        for model in service.models:
            if model.name in routes:
                raise ValueError(f"provider {provider!r} serves the model {model.name!r} twice")
            routes[model.name] = (model, service)
    return routes
