"""Fixture of a check: the service of one model, built as the server builds it, with a scripted vendor."""

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
CallResult: TypeAlias = object
"""What a call returned, or the exception that it raised."""

PATIENCE_S: Final = 10.0
_SECRET_NAMES: Final = ("KEY", "SECRET", "TOKEN", "PASSWORD")


class SetUp(Struct, frozen=True, kw_only=True):
    """
    The attributes of a test class.

    Attributes:
        register: The plugin's hook.
        settings: Made-up settings with which the provider is available.
        talks: The vendor's answers.
        not_accepted: Statuses for which the vendor documents that nothing was started, with the source.
    """

    register: Register
    settings: Mapping[str, str]
    talks: Sequence[Talk]
    not_accepted: Mapping[int, str]


class NotSetUp(Exception):
    """The author's test class is incomplete; the text says what is missing."""


class RecordingEnv(Env):
    """The settings of a test class; records which of them are read as secrets."""

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


class ServiceFixture:
    """
    The provider's service for one model, and its scripted vendor.

    Calls are made from outside of an event loop, so that the tests need no pytest plugin.
    """

    def __init__(self, set_up: SetUp, talk: Talk, env: RecordingEnv, wire: Wire, runner: asyncio.Runner) -> None:
        self.set_up = set_up
        self.talk = talk
        self.env = env
        self.wire = wire
        self.providers: list[Provider] = []
        self._runner = runner
        self.model, self.service = self._built()

    def rebuild(self) -> None:
        """Build the providers again, as another process would; the old ones are closed with the fixture."""
        self.model, self.service = self._built()

    def _built(self) -> tuple[Model, Service]:
        new = list(self.set_up.register(self.env))
        self.providers += new
        return _route(new, self.talk.model)

    def close(self) -> None:
        """Close all providers and ignore errors: closing has a check of its own."""
        for provider in self.providers:
            with suppress(Exception):
                self.run(provider.aclose())

    def job(self) -> Job[Any]:
        """An attempt with the talk's params."""
        try:
            params = msgspec.convert(dict(self.talk.params), self.model.params)
        except (msgspec.ValidationError, ValueError) as error:
            raise NotSetUp(f"the model does not accept the talk's params: {error}") from error
        deadline = datetime.now(UTC) + timedelta(seconds=self.model.timeout_s)
        return Job(task_id="task_conformance", attempt=1, model=self.model.name, params=params, deadline=deadline)

    def submit(self, *turns: Turn) -> CallResult:
        """The result of a submit to which the vendor answers with these turns."""
        return self.played(turns, lambda: self.service.submit(self.job()))

    def poll(self, operation: str, *turns: Turn) -> CallResult:
        """The result of a poll."""
        return self.played(turns, lambda: self.service.poll(self.job(), operation))

    def cancel(self, operation: str, *turns: Turn) -> CallResult:
        """The result of a cancel."""
        service: Any = self.service
        return self.played(turns, lambda: service.cancel(self.job(), operation))

    def stream(self, *turns: Turn) -> tuple[list[Delta], CallResult]:
        """The pieces of a stream, and the exception that ended it, or None."""
        pieces: list[Delta] = []
        service: Any = self.service

        async def read() -> None:
            stream: AsyncIterator[Delta] = service.stream(self.job())
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 - the pieces before a failure count

        return pieces, self.played(turns, read)

    def leave_stream(self, *turns: Turn) -> CallResult:
        """The result of closing a stream after its first piece."""
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
            NotSetUp: The submit does not return `Pending`.
        """
        outcome = self.submit(*replies_of(self.talk.accepted))
        if not isinstance(outcome, Pending):
            raise NotSetUp(f"an accepted submit must return Pending: it {described(outcome)}")
        return outcome.operation

    def played(self, turns: Iterable[Turn], call: Callable[[], Awaitable[object]]) -> CallResult:
        """The result of that call. Any exception of the plugin is returned, for the check to judge."""
        self.wire.play(list(turns))
        try:
            return self.run(_within(call))
        except NotSetUp:
            raise
        except Exception as error:
            return error

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the fixture's event loop."""
        return self._runner.run(work)

    def longest_stall(self, turns: Replies, call: Callable[[], Awaitable[object]]) -> float:
        """The longest time, in seconds, for which the event loop was blocked during that call."""
        self.wire.play(replies_of(turns))
        return self.run(_stall(call))


@contextmanager
def open_fixture(set_up: SetUp, talk: Talk) -> Iterator[ServiceFixture]:
    """
    A fixture for that talk; its provider is built without an event loop and closed at the end.

    Raises:
        NotSetUp: The plugin does not serve the model, or the model is not available with these settings.
    """
    wire = Wire()
    with capture_logs(), wire.connected(), asyncio.Runner() as runner:
        fixture = ServiceFixture(set_up, talk, RecordingEnv(set_up.settings), wire, runner)
        try:
            yield fixture
        finally:
            fixture.close()


def described(result: CallResult) -> str:
    """The result in a few words, for messages."""
    match result:
        case BaseException():
            reason = getattr(result, "reason", None)
            return f"raised {type(result).__name__}({str(result)[:200]!r}{f', reason={reason!r}' if reason else ''})"
        case Pending() | Done():
            return f"returned {str(result)[:200]}"
        case _:
            return f"returned {result!r:.200}"


def broken_outcome(result: CallResult) -> str | None:
    """Why a result of `submit` or `poll` is not a valid `Outcome`, or None where it is valid."""
    match result:
        case Pending(operation=str(operation), poll_after_s=int() | float()):
            return "the operation is longer than 4 KiB" if len(operation.encode(errors="replace")) > 4096 else None
        case Pending():
            return f"the operation is {result.operation!r:.100} and poll_after_s {result.poll_after_s!r:.100}"
        case Done(outputs=tuple(outputs)) if outputs:
            return None
        case Done():
            return "Done has no outputs"
        case _:
            return f"{type(result).__name__} is neither Pending nor Done"


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
    with suppress(Exception):  # other checks judge the result
        await _within(call)
    await asyncio.sleep(0.003)
    ticking.cancel()
    return longest
