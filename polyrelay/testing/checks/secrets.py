"""Check that secrets do not leak into messages, causes, outcomes, reprs or logs."""

import io
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, Final

import httpx
import msgspec
from structlog.testing import capture_logs

from polyrelay.testing.service_fixture import CallResult, NotSetUp, ServiceFixture
from polyrelay.testing.talks import Break, Reply, Talk, Turn, ending_with, replies_of

SHORTEST_SECRET: Final = 8
_FOR_PEOPLE: Final = ("message", "msg", "error", "detail", "description", "reason")


def secrets_are_not_shown(fixture: ServiceFixture) -> Iterator[str]:
    """No secret is in an error, its causes, an outcome, a repr or a log line, even where the vendor repeats it."""
    secrets = fixture.env.secrets
    for name, value in secrets.items():
        if len(value) < SHORTEST_SECRET:
            raise NotSetUp(f"give {name} a made-up value of {SHORTEST_SECRET} characters or more, to be searched for")
    seen: set[str] = set()
    for where, texts in _shown(fixture, secrets):
        for name, value in secrets.items():
            reported = f"{name} is shown in {where}"
            if reported not in seen and any(value in text for text in texts):
                seen.add(reported)
                yield reported


def _shown(fixture: ServiceFixture, secrets: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    yield "the repr of the service", [repr(fixture.service), str(fixture.service)]
    yield "the repr of the provider", [repr(provider) for provider in fixture.providers]
    operation = fixture.operation() if fixture.talk.polls else ""
    fixture.submit(*replies_of(fixture.talk.accepted))
    known_to_vendor = [value for value in secrets.values() if any(map(partial(_holds, value), fixture.wire.sent))]
    for what, turns in _submits(fixture.talk, known_to_vendor):
        with _logged() as lines:
            result = fixture.submit(*turns)
        yield f"the result of a submit after {what}", _texts(result)
        yield f"a log line of a submit after {what}", lines
    for what, turns in _polls(fixture.talk, known_to_vendor) if fixture.talk.polls else ():
        with _logged() as lines:
            result = fixture.poll(operation, *turns)
        yield f"the result of a poll after {what}", _texts(result)
        yield f"a log line of a poll after {what}", lines


def _submits(talk: Talk, known: Sequence[str]) -> Iterator[tuple[str, tuple[Turn, ...]]]:
    yield "an acceptance", replies_of(talk.accepted)
    yield "a refusal", replies_of(talk.refused)
    yield "a read timeout", ending_with(talk.accepted, Break(how="read_timeout"))
    yield "a refused connection", ending_with(talk.accepted, Break(how="connect"))
    yield "a body that does not decode", ending_with(talk.accepted, Reply(body=b"{"))
    for what, reply in _echoes(talk, known):
        yield what, ending_with(talk.accepted, reply)


def _polls(talk: Talk, known: Sequence[str]) -> Iterator[tuple[str, tuple[Turn, ...]]]:
    yield "an unfinished one", replies_of(talk.working)
    yield "a finished one", replies_of(talk.done)
    yield "a read timeout", ending_with(talk.working, Break(how="read_timeout"))
    yield "a body that does not decode", ending_with(talk.working, Reply(body=b"{"))
    for what, reply in _echoes(talk, known):
        yield what, ending_with(talk.working, reply)


def _echoes(talk: Talk, known: Sequence[str]) -> Iterator[tuple[str, Reply]]:
    """Error answers that repeat the secrets that the vendor received, as vendors do: "invalid key sk-…"."""
    refused, echo = replies_of(talk.refused)[-1], " ".join(("", *known))
    for status in (refused.status, 400, 401, 403, 500):
        for body in _bodies_with(echo, refused):
            yield f"HTTP {status} that repeats it", Reply(status=status, body=body, headers=refused.headers)


def _bodies_with(echo: str, reply: Reply) -> Iterator[bytes]:
    """Variants of the body, each with that text added to one of its messages, or to the end where it is not JSON."""
    try:
        value = msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        yield reply.content + echo.encode()
    else:
        yield from map(msgspec.json.encode, _with_echo(value, echo, said=isinstance(value, str)))


def _with_echo(value: Any, echo: str, *, said: bool) -> Iterator[Any]:
    """`said`: whether the value is under a name like "message", where vendors write for people."""
    if isinstance(value, str):
        if said or " " in value:
            yield value + echo
    elif isinstance(value, dict):
        for key, inner in value.items():
            words = any(part in key.lower() for part in _FOR_PEOPLE)
            yield from ({**value, key: changed} for changed in _with_echo(inner, echo, said=words))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            changes = _with_echo(inner, echo, said=said)
            yield from ([*value[:index], changed, *value[index + 1 :]] for changed in changes)


def _holds(secret: str, request: httpx.Request) -> bool:
    """Whether the request contains the secret; a key that only signs requests is not sent."""
    return any(secret in text for text in (str(request.url), repr(request.headers.raw), repr(request.content)))


def _texts(result: CallResult) -> list[str]:
    if isinstance(result, BaseException):
        return [repr(result), str(vars(result)), "".join(traceback.format_exception(result))]
    return [repr(result)]


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what is logged or printed inside the block, as texts; complete when the block ends."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    keep, root, out = Keep(), logging.getLogger(), io.StringIO()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    try:
        with capture_logs() as entries, redirect_stdout(out), redirect_stderr(out):
            yield lines
        lines += [*map(_entry, entries), out.getvalue()]
    finally:
        root.setLevel(level)
        root.removeHandler(keep)


def _entry(entry: Mapping[str, Any]) -> str:
    raised = [value for value in entry.values() if isinstance(value, BaseException)]
    return repr(entry) + "".join("".join(traceback.format_exception(error)) for error in raised)
