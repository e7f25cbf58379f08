"""Checks with arbitrary bytes as the vendor's answer: every body gives an outcome or a ProviderError."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from polyrelay.errors import NotAccepted, ProviderError
from polyrelay.testing.service_fixture import CallResult, ServiceFixture, broken_outcome, described
from polyrelay.testing.talks import Replies, Reply, Turn, ending_with, replies_of

NASTY: Final = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b"[]",
    b"{}",
    b'""',
    b"{",
    b"\x00\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"a":1}{"a":1}',
    b'{"id":"\\ud800"}',
    b"[" * 5000,
    b"1e999999",
    b"<html></html>",
    b"data: {\n\ndata: [DONE]\n\n",
)
INSTEAD: Final[tuple[object, ...]] = (None, "", "?", -1, 10**30, True, [None], {"": None})
MOST_MUTATIONS: Final = 600
_EXAMPLES: Final = 30


def any_bytes_to_submit(fixture: ServiceFixture) -> Iterator[str]:
    """Any bytes as the answer to a submit give an outcome or a ProviderError other than NotAccepted."""

    def problem_with(turns: Sequence[Turn]) -> str | None:
        outcome = fixture.submit(*turns)
        if isinstance(outcome, NotAccepted):
            return f"{described(outcome)}: an answer that does not decode may be an acceptance; raise ProtocolError"
        return _wrong(outcome)

    yield from _findings([fixture.talk.accepted], problem_with)


def any_bytes_to_poll(fixture: ServiceFixture) -> Iterator[str]:
    """Any bytes as the answer to a poll give an outcome or a ProviderError."""
    operation = fixture.operation()

    def problem_with(turns: Sequence[Turn]) -> str | None:
        return _wrong(fixture.poll(operation, *turns))

    yield from _findings([fixture.talk.done, fixture.talk.working, fixture.talk.failed], problem_with)


def mutations(value: Any) -> Iterator[Any]:
    """Variants of the value, each with one part removed or replaced by another value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            rest = {name: other for name, other in value.items() if name != key}
            yield rest
            yield from ({**value, key: other} for other in (*INSTEAD, *mutations(inner)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            before, after = value[:index], value[index + 1 :]
            yield before + after
            yield from ([*before, other, *after] for other in (*INSTEAD, *mutations(inner)))


def _findings(talks: Sequence[Replies], problem_with: Callable[[Sequence[Turn]], str | None]) -> Iterator[str]:
    first = replies_of(talks[0])
    for index in range(len(first)):
        for body in NASTY:
            if (wrong := problem_with((*first[:index], Reply(body=body), *first[index + 1 :]))) is not None:
                yield f"the body {body[:40]!r}: it {wrong}"
    for replies in filter(None, map(replies_of, talks)):
        for body in islice(_damaged(replies[-1]), MOST_MUTATIONS):
            if (wrong := problem_with(ending_with(replies, Reply(status=replies[-1].status, body=body)))) is not None:
                yield f"the body {body[:300]!r}: it {wrong}"
    yield from _invented(lambda body: problem_with(ending_with(first, Reply(body=body))))


def _damaged(reply: Reply) -> Iterator[bytes]:
    """Variants of a recorded body: truncated, and with one part removed or replaced."""
    for step in range(1, 5):
        yield reply.content[: len(reply.content) * step // 5]
    try:
        value = msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        return
    yield from map(msgspec.json.encode, mutations(value))


def _invented(problem_with: Callable[[bytes], str | None]) -> Iterator[str]:
    """The first problem that hypothesis finds with generated bodies, where hypothesis is installed."""
    if importlib.util.find_spec("hypothesis") is None:
        return
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as some

    found: list[str] = []
    values = some.recursive(
        some.none() | some.booleans() | some.integers(-(2**63), 2**63) | some.text(max_size=5),
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )

    @settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(some.binary(max_size=60) | values.map(msgspec.json.encode))
    def try_one(body: bytes) -> None:
        if not found and (wrong := problem_with(body)) is not None:
            found.append(f"the body {body!r}: it {wrong}")

    try_one()
    yield from found


def _wrong(result: CallResult) -> str | None:
    if isinstance(result, ProviderError):
        return None
    if isinstance(result, Exception):
        return f"{described(result)}, which is not a ProviderError"
    broken = broken_outcome(result)
    return None if broken is None else f"{described(result)}, which breaks the contract: {broken}"
