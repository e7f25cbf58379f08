"""Secrets stay where they are: not in messages, causes, outcomes, names or logs."""

import io
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final

import msgspec
from structlog.testing import capture_logs

from polyrelay.testing.scene import Heard, NotSetUp, Scene
from polyrelay.testing.talks import Break, Reply, Turn, ending_with, replies_of

SHORTEST_SECRET: Final = 8


def secrets_are_not_shown(scene: Scene) -> Iterator[str]:
    """No secret is in an error, its causes, an outcome, a repr or a log line, even where the vendor repeats it."""
    secrets = scene.env.secrets
    for name, value in secrets.items():
        if len(value) < SHORTEST_SECRET:
            raise NotSetUp(f"give {name} a made-up value of {SHORTEST_SECRET} characters or more, to be searched for")
    seen: set[str] = set()
    for where, texts in _shown(scene, secrets):
        for name, value in secrets.items():
            told = f"{name} is shown in {where}"
            if told not in seen and any(value in text for text in texts):
                seen.add(told)
                yield told


def _shown(scene: Scene, secrets: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    yield "the repr of the service", [repr(scene.service), str(scene.service)]
    yield "the repr of the provider", [repr(provider) for provider in scene.providers]
    for what, turns in _submits(scene, secrets):
        with _logged() as lines:
            heard = scene.submit(*turns)
        yield f"what a submit comes to after {what}", _texts(heard)
        yield f"a log line of a submit after {what}", lines
    if scene.talk.polls:
        operation = scene.operation()
        for what, turns in _polls(scene, secrets):
            with _logged() as lines:
                heard = scene.poll(operation, *turns)
            yield f"what a poll comes to after {what}", _texts(heard)
            yield f"a log line of a poll after {what}", lines


def _submits(scene: Scene, secrets: Mapping[str, str]) -> Iterator[tuple[str, tuple[Turn, ...]]]:
    talk = scene.talk
    yield "an acceptance", replies_of(talk.accepted)
    yield "a refusal", replies_of(talk.refused)
    yield "a read timeout", ending_with(talk.accepted, Break(how="read_timeout"))
    yield "a refused connection", ending_with(talk.accepted, Break(how="connect"))
    yield "a body that does not decode", ending_with(talk.accepted, Reply(body=b"{"))
    refused = replies_of(talk.refused)[-1]
    for status in {refused.status, 400, 401, 500}:
        for body in _echoes(refused, secrets):
            reply = Reply(status=status, body=body, headers=refused.headers)
            yield "a refusal that repeats it", ending_with(talk.refused, reply)


def _polls(scene: Scene, secrets: Mapping[str, str]) -> Iterator[tuple[str, tuple[Turn, ...]]]:
    talk = scene.talk
    yield "an unfinished one", replies_of(talk.working)
    yield "a finished one", replies_of(talk.done)
    yield "a read timeout", ending_with(talk.working, Break(how="read_timeout"))
    if failed := replies_of(talk.failed):
        for body in _echoes(failed[-1], secrets):
            reply = Reply(status=failed[-1].status, body=body, headers=failed[-1].headers)
            yield "a failure that repeats it", ending_with(talk.failed, reply)


def _echoes(reply: Reply, secrets: Mapping[str, str]) -> Iterator[bytes]:
    """The body with the secrets in one of its texts, for each text; a body that is no JSON with them at its end."""
    echo = " ".join(("", *secrets.values()))
    try:
        value = msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        yield reply.content + echo.encode()
        return
    yield from map(msgspec.json.encode, _with_echo(value, echo))


def _with_echo(value: Any, echo: str) -> Iterator[Any]:
    if isinstance(value, str):
        yield value + echo
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: changed} for changed in _with_echo(inner, echo))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ([*value[:index], changed, *value[index + 1 :]] for changed in _with_echo(inner, echo))


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
