"""A scene: one provider, built as the server builds it, before a vendor that plays what it is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from structlog.testing import capture_logs

from polyrelay.contract import Delta, Done, Job, Model, Pending, Service
from polyrelay.env import Env
from polyrelay.provider import Provider
from polyrelay.secrets import Secret
from polyrelay.testing.talks import Replies, Talk, Turn, replies_of
from polyrelay.testing.wire import Wire

T = TypeVar("T")
Register: TypeAlias = Callable[[Env], Iterable[Provider]]
Heard: TypeAlias = object
"""What a call came to: its answer, or the exception that it raised."""

PATIENCE_S: Final = 10.0
_SECRET_NAMES: Final = ("KEY", "SECRET", "TOKEN", "PASSWORD")


class SetUp(Struct, frozen=True, kw_only=True):
    """
    What a test class says.

    Attributes:
        register: The plugin's hook.
        settings: With everything that the provider needs, made up.
        talks: How the vendor answers.
        not_accepted: Statuses of which the vendor documents that nothing was started, with the source.
    """

    register: Register
    settings: Mapping[str, str]
    talks: Sequence[Talk]
    not_accepted: Mapping[int, str]


class NotSetUp(Exception):
    """The author's test class lacks something; the text says what."""


class Noticing(Env):
    """The settings of a test class; notes which of them are read as secrets."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self._names = {name for name in values if any(part in name.upper() for part in _SECRET_NAMES)}

    def secret(self, name: str) -> Secret | None:
        """As `Env`."""
        self._names.add(name)
        return super().secret(name)

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets by name."""
        return {name: value for name in sorted(self._names) if (value := self.get(name)) is not None}


class Scene:
    """
    The provider's service for one model, and its vendor.

    Calls are made from outside of an event loop, as a test that needs no pytest plugin makes them.
    """

    def __init__(self, set_up: SetUp, talk: Talk, env: Noticing, wire: Wire, runner: asyncio.Runner) -> None:
        self.set_up = set_up
        self.talk = talk
        self.env = env
        self.wire = wire
        self.providers: list[Provider] = []
        self._runner = runner
        self.model, self.service = self._built()

    def rebuild(self) -> None:
        """Build the providers anew, as in another process; the old ones are closed with the scene."""
        self.model, self.service = self._built()

    def _built(self) -> tuple[Model, Service]:
        new = list(self.set_up.register(self.env))
        self.providers += new
        return _route(new, self.talk.model)

    def close(self) -> None:
        """Close all providers. What closing comes to is a check of its own."""
        for provider in self.providers:
            with suppress(Exception):
                self.run(provider.aclose())

    def job(self) -> Job[Any]:
        """An attempt with the talk's params."""
        try:
            params = msgspec.convert(dict(self.talk.params), self.model.params)
        except (msgspec.ValidationError, ValueError) as error:
            raise NotSetUp(f"the model does not take the talk's params: {error}") from error
        deadline = datetime.now(UTC) + timedelta(seconds=self.model.timeout_s)
        return Job(task_id="task_conformance", attempt=1, model=self.model.name, params=params, deadline=deadline)

    def submit(self, *turns: Turn) -> Heard:
        """What a submit comes to where the vendor plays these turns."""
        return self.played(turns, lambda: self.service.submit(self.job()))

    def poll(self, operation: str, *turns: Turn) -> Heard:
        """What a poll comes to."""
        return self.played(turns, lambda: self.service.poll(self.job(), operation))

    def cancel(self, operation: str, *turns: Turn) -> Heard:
        """What a cancel comes to."""
        service: Any = self.service
        return self.played(turns, lambda: service.cancel(self.job(), operation))

    def stream(self, *turns: Turn) -> tuple[list[Delta], Heard]:
        """The pieces of a stream, and what it ended with: None, or an exception."""
        pieces: list[Delta] = []
        service: Any = self.service

        async def read() -> None:
            stream: AsyncIterator[Delta] = service.stream(self.job())
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 - the pieces before a failure count

        return pieces, self.played(turns, read)

    def leave_stream(self, *turns: Turn) -> Heard:
        """What leaving a stream after its first piece comes to."""
        service: Any = self.service

        async def leave() -> None:
            stream: AsyncIterator[Delta] = service.stream(self.job())
            await anext(stream)
            close: Callable[[], Awaitable[None]] | None = getattr(stream, "aclose", None)
            if close is not None:
                await close()

        return self.played(turns, leave)

    def operation(self) -> str:
        """
        The operation of an accepted submit.

        Raises:
            NotSetUp: The submit is not answered with one.
        """
        outcome = self.submit(*replies_of(self.talk.accepted))
        if not isinstance(outcome, Pending):
            raise NotSetUp(f"an accepted submit must first come to Pending: it came to {described(outcome)}")
        return outcome.operation

    def played(self, turns: Iterable[Turn], call: Callable[[], Awaitable[object]]) -> Heard:
        """What that call comes to. A plugin may raise anything; it is what the check looks at."""
        self.wire.play(list(turns))
        try:
            return self.run(_within(call))
        except NotSetUp:
            raise
        except Exception as error:
            return error

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the scene's event loop."""
        return self._runner.run(work)

    def longest_stall(self, turns: Replies, call: Callable[[], Awaitable[object]]) -> float:
        """The longest time, in seconds, that the event loop stood still during that call."""
        self.wire.play(replies_of(turns))
        return self.run(_stall(call))


@contextmanager
def open_scene(set_up: SetUp, talk: Talk) -> Iterator[Scene]:
    """
    A scene for that talk; its provider is built without an event loop and closed at the end.

    Raises:
        NotSetUp: There is no such model, or it is not available with these settings.
    """
    wire = Wire()
    with capture_logs(), wire.connected(), asyncio.Runner() as runner:
        scene = Scene(set_up, talk, Noticing(set_up.settings), wire, runner)
        try:
            yield scene
        finally:
            scene.close()


def described(heard: Heard) -> str:
    """In words, short."""
    match heard:
        case BaseException():
            reason = getattr(heard, "reason", None)
            return f"raised {type(heard).__name__}({str(heard)[:200]!r}{f', reason={reason!r}' if reason else ''})"
        case Pending() | Done():
            return f"answered {str(heard)[:200]}"
        case _:
            return f"answered {heard!r:.200}"


def broken_outcome(heard: Heard) -> str | None:
    """Why an answer of `submit` or `poll` is not an `Outcome` that keeps the contract, or None where it is."""
    match heard:
        case Pending(operation=str(operation), poll_after_s=int() | float()):
            return "the operation is longer than 4 KiB" if len(operation.encode(errors="replace")) > 4096 else None
        case Pending():
            return f"the operation is {heard.operation!r:.100} and poll_after_s {heard.poll_after_s!r:.100}"
        case Done(outputs=tuple(outputs)) if outputs:
            return None
        case Done():
            return "Done has no outputs"
        case _:
            return f"{type(heard).__name__} is neither Pending nor Done"


def _route(providers: Iterable[Provider], model: str) -> tuple[Model, Service]:
    known: list[str] = []
    for provider in providers:
        known += [served.name for served in provider.models]
        if model in known:
            found, service = provider.route(model)
            if (reason := getattr(service, "reason", None)) is not None:
                raise NotSetUp(f"{model} is not available with the settings in `env`: {reason}")
            return found, service
    raise NotSetUp(f"the plugin serves no model {model!r}; it serves {', '.join(known) or 'none'}")


async def _within(call: Callable[[], Awaitable[object]]) -> object:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await call()
    except TimeoutError as error:
        raise TimeoutError(f"no answer in {PATIENCE_S:g} s, though the vendor answered at once") from error


async def _stall(call: Callable[[], Awaitable[object]]) -> float:
    longest, last = 0.0, time.perf_counter()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0.003)
    longest = 0.0
    with suppress(Exception):  # what it comes to is for other checks
        await _within(call)
    await asyncio.sleep(0.003)
    ticking.cancel()
    return longest
