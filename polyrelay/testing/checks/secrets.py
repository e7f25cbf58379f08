"""Secrets stay where they are: not in messages, causes, outcomes, names or logs."""

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

from polyrelay.testing.scene import Heard, NotSetUp, Scene
from polyrelay.testing.talks import Break, Reply, Talk, Turn, ending_with, replies_of

SHORTEST_SECRET: Final = 8
_FOR_PEOPLE: Final = ("message", "msg", "error", "detail", "description", "reason")


def secrets_are_not_shown(scene: Scene) -> Iterator[str]:
    """No secret is in an error, its causes, an outcome, a repr or a log line, even where the vendor repeats it."""
    secrets = scene.env.secrets
    for name, value in secrets.items():
        if len(value) < SHORTEST_SECRET:
            raise NotSetUp(f"give {name} a made-up value of {SHORTEST_SECRET} characters or more, to be searched for")
    seen: set[str] = set()
    for where, texts in _shown(scene, secrets):
        for name, value in secrets.items():
            reported = f"{name} is shown in {where}"
            if reported not in seen and any(value in text for text in texts):
                seen.add(reported)
                yield reported


def _shown(scene: Scene, secrets: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    yield "the repr of the service", [repr(scene.service), str(scene.service)]
    yield "the repr of the provider", [repr(provider) for provider in scene.providers]
    operation = scene.operation() if scene.talk.polls else ""
    scene.submit(*replies_of(scene.talk.accepted))
    known_to_vendor = [value for value in secrets.values() if any(map(partial(_holds, value), scene.wire.sent))]
    for what, turns in _submits(scene.talk, known_to_vendor):
        with _logged() as lines:
            heard = scene.submit(*turns)
        yield f"what a submit comes to after {what}", _texts(heard)
        yield f"a log line of a submit after {what}", lines
    for what, turns in _polls(scene.talk, known_to_vendor) if scene.talk.polls else ():
        with _logged() as lines:
            heard = scene.poll(operation, *turns)
        yield f"what a poll comes to after {what}", _texts(heard)
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
    """Refusals that repeat the secrets that the vendor was sent, as vendors do: "invalid key sk-…"."""
    refused, echo = replies_of(talk.refused)[-1], " ".join(("", *known))
    for status in (refused.status, 400, 401, 403, 500):
        for body in _bodies_with(echo, refused):
            yield f"HTTP {status} that repeats it", Reply(status=status, body=body, headers=refused.headers)


def _bodies_with(echo: str, reply: Reply) -> Iterator[bytes]:
    """The body with that text in one of its messages, for each; a body that is no JSON with it at its end."""
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
    """Whether the request shows the secret to the vendor; a key that signs is not sent."""
    return any(secret in text for text in (str(request.url), repr(request.headers.raw), repr(request.content)))


def _texts(heard: Heard) -> list[str]:
    if isinstance(heard, BaseException):
        return [repr(heard), str(vars(heard)), "".join(traceback.format_exception(heard))]
    return [repr(heard)]


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged or printed inside, as texts; complete when it ends."""
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
