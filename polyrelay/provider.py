"""A provider: a name, and the services that its models are routed to."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from polyrelay.contract import Job, Model, Outcome, Service
from polyrelay.errors import Unavailable


class Disabled(Struct, frozen=True):
    """
    A service that cannot work here: its models are listed, with the reason, and refuse tasks.

    Attributes:
        models: What it would serve.
        reason: One sentence with the way out, such as "ARK_API_KEY is not set".
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
    Routes by model name.

    Args:
        name: What callers send as `provider`: lower-case letters, digits, `-` and `_`.
        services: The service classes; a service without credentials is a `Disabled`.

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
        """Why no task can be taken, or None where at least one service works."""
        reasons = [service.reason for service in self.services if isinstance(service, Disabled)]
        return "; ".join(dict.fromkeys(reasons)) if len(reasons) == len(self.services) else None

    async def aclose(self) -> None:
        """Close every service, also where one of them fails to; raises the last failure."""
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
